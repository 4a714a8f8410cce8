"""Constraints: what no mixture satisfies, and what repetition is worth."""

import math

import numpy as np
import pytest

from simtool.errors import SimtoolError
from simtool.mixing.constraints import Constraints, effective_tokens, possible_shares
from simtool.mixing.recommend import recommend


def mix(profiles, constraints=None, candidates=("code", "maths"), targets=("target",), **options):
    options = {"resamples": 40, **options}
    return recommend(profiles, "web", candidates, dict.fromkeys(targets, 1.0), constraints, **options)


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (
            {"min_share": {"web": 0.7, "code": 0.5}},
            "The minimum shares web>=0.7, code>=0.5 sum to 1.2, and the whole is 1.\nLower them by 0.2 together.",
        ),
        (
            {"min_share": {"code": 0.5}, "tokens": 1000, "available": {"code": 100}},
            "No mixture has both code>=0.5 and code<=0.4 (4 epochs of 100 in 1,000 tokens).\n"
            "Lower that minimum or raise that maximum.",
        ),
        (
            {"max_share": {"web": 0.5, "code": 0.2}, "tokens": 10_000, "available": {"maths": 500}},
            "The maximum shares web<=0.5, code<=0.2, maths<=0.2 (4 epochs of 500 in 10,000 tokens) sum to 0.9:"
            " 0.1 of the mixture has no corpus.\nRaise a maximum, train on fewer tokens, or give another candidate.",
        ),
        (
            {"min_share": {"maths": 0.5}, "max_forgetting": 0.1},
            # nearly half of every word's share is gone, so nearly 1 bit
            "With maths>=0.5, 0.9974 bits or more are forgotten, above the budget of 0.1.\n"
            "Allow as much, or loosen those constraints.",
        ),
        ({"min_share": {"wep": 0.5}}, "Unknown corpus 'wep'. Did you mean 'web'?\nKnown: code, maths, web."),
        ({"max_share": {"web": 1.5}}, "A share lies between 0 and 1. Got web<=1.5."),
        (
            {"available": {"web": 5}},
            "Available tokens limit a share only when the length of training is known.\n"
            "Give the tokens of the phase as well, as in --mid-tokens 2B.",
        ),
        (
            {"tokens": 5, "available": {"web": 0}},
            "An amount of tokens or epochs must be above 0. Got 0 for web.",
        ),
        ({"max_forgetting": -0.5}, "The budget of forgetting is in bits, 0 or more. Got -0.5."),
    ],
)
def test_constraints_that_no_mixture_satisfies_are_refused_with_their_numbers(profiles, constraints, message):
    with pytest.raises(SimtoolError) as caught:
        mix(profiles, Constraints(**constraints))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("trained", "available", "worth"),
    [
        (0, 10, 0),
        (5, 10, 5),  # half an epoch: all new
        (10, 10, 10),
        (40, 10, 10 + 10 * 15.39 * (1 - math.exp(-3 / 15.39))),  # 3 repetitions: 37.3
        (1e9, 10, 10 * 16.39),  # never more than 1 + R* times what there is
    ],
)
def test_effective_tokens(trained, available, worth):
    assert effective_tokens(trained, available) == pytest.approx(worth)


def test_shares_are_possible_beside_the_bounds_of_others():
    low, high = possible_shares(np.array([0.5, 0.0, 0.1]), np.array([0.7, 1.0, 0.15]))
    np.testing.assert_allclose(low, [0.5, 0.15, 0.1])
    np.testing.assert_allclose(high, [0.7, 0.4, 0.15])
