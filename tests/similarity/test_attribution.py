"""The parts of a difference add up to the divergence, for corpora and for mixtures, and have names."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from simtool.profiles.resolve import shipped
from simtool.similarity.attribution import difference
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
