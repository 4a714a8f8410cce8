"""Facts over each predictor, and values by hand."""

from math import log2, sqrt

import numpy as np
import pytest
from scipy.special import ndtr

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.prediction import predictors, spans
from simtool.prediction.advantage import Measured
from simtool.prediction.predictors import (
    BAG,
    CANDIDATES,
    NEW_CANDIDATES,
    PREDICTORS,
    benefit,
    benefits,
    default_candidates,
    find_predictor,
    makes_sense,
)
from simtool.prediction.question import Question
from simtool.profiles.features import FEATURES, N_FOLDS
from simtool.profiles.profile import Profile
from simtool.similarity.metrics import EXPOSURE_SCALE, METRICS, unlearnt

C4 = Mixture({"c4": 1.0})
OF_PROFILES = [name for name, predictor in PREDICTORS.items() if predictor.needs == "profiles"]


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


@pytest.mark.parametrize("name", OF_PROFILES)
def test_code_helps_code_by_every_predictor(name, question):
    result = benefit(name, question)
    assert result.value.shape == (2, 1)
    assert result.value[0, 0] > 0
    if not name.startswith("jaccard"):  # the toy corpora have nearly all entries
        assert result.rank[0, 0] == 1
    assert (result.low <= result.value).all() and (result.value <= result.high).all()


@pytest.mark.parametrize("predictor", PREDICTORS.values(), ids=PREDICTORS)
def test_every_predictor_has_a_sentence_and_a_source(predictor):
    assert predictor.about.endswith(".") and predictor.about[0].isupper() and predictor.source
    assert (predictor.needs == "text") == (not predictor.features)
    assert set(predictor.features) <= set(FEATURES)


def test_every_metric_brings_its_predictors():
    for metric in METRICS.values():
        assert metric.by_ceilings or f"{metric.name}.{metric.feature}" in PREDICTORS
        for feature in FEATURES:
            assert (f"{metric.name}.{feature}" in PREDICTORS) == (
                makes_sense(metric, feature) and not metric.by_ceilings
            )


def test_a_vocabulary_of_buckets_makes_no_sense():
    assert makes_sense(METRICS["jaccard"], "token") and makes_sense(METRICS["token"], "skeleton2")
    assert not makes_sense(METRICS["jaccard"], "token2") and not makes_sense(METRICS["token"], "document_length")


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
    assert EXPOSURE_SCALE == 3e-6
    assert (spans.SPAN, spans.ORDER, spans.WEIGHT_FLOOR) == (3, 3, 5e-4)


def test_what_is_left_to_learn():
    # 0 is never read; at 3 scales 1 / sqrt(1 + 3) is left; at 99 scales 1 / sqrt(100)
    np.testing.assert_allclose(unlearnt(EXPOSURE_SCALE * np.array([0, 3, 99])), [1, 1 / 2, 1 / 10])


def test_relative_cross_entropy_is_the_mean_of_logarithms(question):
    values = [benefit(f"cross_entropy.{feature}", question) for feature in ("token", "skeleton3")]
    both = benefit("relative.token+skeleton3", question)
    for name, value in zip(("token", "skeleton3"), values, strict=True):
        single = benefit(f"relative.{name}", question)
        ratio = np.log(value.pretrain_proximity / value.proximity)
        assert single.value + single.placebo == pytest.approx(ratio, abs=2e-3)
    parts = [benefit(f"relative.{name}", question).value for name in ("token", "skeleton3")]
    np.testing.assert_allclose(both.value, np.mean(parts, axis=0))


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
    result = benefit("witten_bell.token", by_hand((1, 0), (0, 1)))
    assert result.pretrain_proximity[0] == pytest.approx(log2(18))
    assert result.proximity[0, 0] == pytest.approx(-log2(8.5 / 9))


def test_two_samples_by_hand():
    """Shares (3/4, 1/4) and its mirror: the ratio is +-r, r on the likelier side; both sides are alike.

    Mean r/2 and mean square r^2, so variance 3/4 r^2: mean over spread is 1/sqrt(3), whatever the smoothing.
    """
    result = benefit("two_sample.token", by_hand((3, 1), (1, 3)))
    right = ndtr(sqrt(BAG / 3))
    assert result.pretrain_proximity[0] == pytest.approx(2 * (2 * right - 1))
    assert result.proximity[0, 0] == pytest.approx(0)  # the mixture is the target: it guesses


def test_two_samples_without_anything_in_common_are_always_told_apart():
    assert benefit("two_sample.token", by_hand((1, 0), (0, 1))).pretrain_proximity[0] == pytest.approx(2, abs=1e-6)


def test_a_classifier_has_no_control_that_it_has_seen(question):
    """Held-out documents of the pretraining corpus are in the half that it is tested on."""
    assert PREDICTORS["two_sample.token"].measure(question).controls.tolist() == [0, 0]
    assert PREDICTORS["witten_bell.token"].measure(question).controls.tolist() == [3, 3]


def test_witten_bell_gives_the_unseen_their_share(monkeypatch):
    source, target = np.array([[3.0, 1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 1.0, 0.0]])
    monkeypatch.setattr(predictors, "_on_halves", lambda question, feature, compute: compute(source, 0, target, 0, 4))
    # N = 4 symbols of T = 2 kinds, V = 4: p = (c + 2/4) / 6, so 1.5/6 = 1/4 and 0.5/6 = 1/12
    assert predictors.witten_bell("token", None) == pytest.approx((log2(4) + log2(12)) / 2)


def test_orders_count_by_symbol(monkeypatch):
    bits = {name: FEATURES[name].order * 3.0 for name in ("token", "token2", "token3", "token4")}
    measured = lambda name, question: Measured(np.full((2, 2, 1), bits[name]), "low", np.zeros(1, int), 10)  # noqa: E731
    monkeypatch.setattr(predictors, "witten_bell", measured)
    assert (predictors.witten_bell_orders(tuple(bits), None).values == 3).all()
