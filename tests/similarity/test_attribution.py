"""Parts add up to the whole, for corpora and for mixtures, and have names."""

import itertools
from math import log, log2

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile
from simtool.profiles.resolve import shipped
from simtool.similarity import metrics
from simtool.similarity.attribution import difference, explain, shares_once
from simtool.tokens.tokenizer import load_tokenizer

DEFAULT = load_tokenizer("default")
FEATURES = ("token", "token2", "skeleton1", "skeleton3", "char3")


@pytest.fixture(scope="module")
def profiles():
    return {name: shipped(name, DEFAULT, FEATURES) for name in ("c4", "starcoder", "gsm8k")}


@pytest.mark.parametrize("feature", FEATURES)
def test_bits_sum_to_the_divergence(profiles, feature):
    found = difference(profiles, {"c4": 1.0}, {"gsm8k": 1.0}, feature, DEFAULT.token_text)
    p, q = (profiles[name].features[feature].sum(axis=0) for name in ("c4", "gsm8k"))
    assert found.total == pytest.approx(jensenshannon(p, q, 2) ** 2)
    assert (found.bits >= -1e-15).all()


def test_a_mixture_is_the_weighted_mean_of_token_shares(profiles):
    found = difference(profiles, {"c4": 0.8, "starcoder": 0.2}, {"gsm8k": 1.0}, "token")
    p, q = (
        profiles[name].features["token"].sum(axis=0) / profiles[name].size["tokens"] for name in ("c4", "starcoder")
    )
    np.testing.assert_allclose(found.share_a, 0.8 * p + 0.2 * q, atol=1e-15)


def test_the_largest_are_on_their_side_and_in_order(profiles):
    found = difference(profiles, {"c4": 1.0}, {"gsm8k": 1.0}, "token", DEFAULT.token_text)
    top = found.largest("b", 20)
    assert (found.share_b[top] > found.share_a[top]).all()
    assert (np.diff(found.bits[top]) <= 0).all()
    assert "=" in [found.names[entry] for entry in top]


def test_ngrams_have_names(profiles):
    for feature in ("token2", "skeleton3", "char3"):
        found = difference(profiles, {"c4": 1.0}, {"gsm8k": 1.0}, feature, DEFAULT.token_text)
        assert any(int(entry) in found.names for entry in found.largest("b", 10)), feature


def test_without_the_tokenizer_tokens_are_numbers(profiles):
    assert difference(profiles, {"c4": 1.0}, {"gsm8k": 1.0}, "token").names[5] == "#5"


# --- Why a mixture is closer ---

P, M = Mixture({"p": 1.0}), Mixture({"p": 0.5, "s": 0.5})


def exactly(name: str, *counts: int) -> Profile:
    """The same counts in every fold."""
    folds = np.tile(np.array(counts, np.int64), (N_FOLDS, 1))
    sizes = folds.sum(axis=1)
    return Profile(name, "toy", "f" * 64, sizes, sizes, sizes, {"token": folds})


def test_the_parts_sum_to_the_reduction(profiles):
    mixture = Mixture({"c4": 0.8, "starcoder": 0.2})
    explanation = explain(profiles, Mixture({"c4": 1.0}), mixture, "gsm8k")
    c4, starcoder, target = (
        profiles[name].features["token"].sum(axis=0) / profiles[name].size["tokens"]
        for name in ("c4", "starcoder", "gsm8k")
    )
    before, after = (metrics.cross_entropy(p, target) for p in (c4, 0.8 * c4 + 0.2 * starcoder))
    assert explanation.total == pytest.approx(before - after, abs=1e-12)
    assert explanation.to_polars()["bits"].sum() == pytest.approx(explanation.total)


def test_an_explanation_by_hand():
    """V = 3; P = (1, 0, 0), M = (1/2, 1/2, 0), T = (0, 1, 0): entry 1 costs .995 + .01/3 at most less."""
    profiles = {"p": exactly("p", 10, 0, 0), "s": exactly("s", 0, 10, 0), "t": exactly("t", 0, 10, 0)}
    explanation = explain(profiles, P, M, "t")
    third = 0.01 / 3
    expected = [
        third * log2((0.495 + third) / (0.99 + third)),  # the target's uniform part, under half as much
        (0.99 + third) * log2((0.495 + third) / third),
        0,  # nobody has it
    ]
    np.testing.assert_allclose(explanation.bits, expected, atol=1e-12)
    assert explanation.newly_covered.tolist() == [False, True, False]
    table = explanation.to_polars(1)
    assert table["ngram"].to_list() == ["#1", "#0"]
    assert explanation.total == pytest.approx(sum(expected)) and explanation.total * log(2) > 4


def test_explaining_an_unknown_corpus(profiles):
    mixture = Mixture({"c4": 0.8, "starcoder": 0.2})
    with pytest.raises(SimtoolError, match=r"^Unknown corpus 'gsm8'\. Did you mean 'gsm8k'\?"):
        explain(profiles, Mixture({"c4": 1.0}), mixture, "gsm8")


def test_length_features_are_named_by_the_lengths_they_hold():
    profiles = {name: shipped(name, DEFAULT, ["line_length"]) for name in ("c4", "gsm8k")}
    names = difference(profiles, {"c4": 1.0}, {"gsm8k": 1.0}, "line_length").names
    assert [names[entry] for entry in (0, 1, 4, 8)] == ["0", "1", "4-5", "16-22"]


def test_shares_that_are_taken_once_change_nothing(profiles):
    once, taken = shares_once(), []
    remembered = lambda *given: taken.append(id(once(*given))) or once(*given)  # noqa: E731
    for a, b in itertools.permutations(profiles, 2):
        plain = difference(profiles, {a: 1.0}, {b: 1.0}, "token2")
        cached = difference(profiles, {a: 1.0}, {b: 1.0}, "token2", None, remembered)
        assert (plain.bits == cached.bits).all() and (plain.share_a == cached.share_a).all()
    assert len(taken) == 12 and len(set(taken)) == 3
