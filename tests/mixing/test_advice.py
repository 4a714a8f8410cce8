"""Advice is a recommendation and the curve that ends in it."""

import numpy as np
import pytest

from simtool.mixing.advice import advise
from simtool.mixing.constraints import Constraints
from simtool.mixing.recommend import recommend
from simtool.tables import load_table

QUESTION = ("web", ["code", "maths"], {"target": 1.0})


@pytest.fixture(scope="module")
def advice(profiles):
    return advise(profiles, *QUESTION, resamples=20, facts={"seed": 0})


def test_the_curve_ends_in_the_recommendation(advice, profiles):
    best = recommend(profiles, *QUESTION, resamples=20)
    np.testing.assert_array_equal(advice.recommendation.weights, best.weights)
    np.testing.assert_allclose(advice.frontier.weights[-1], best.weights, atol=1e-5)
    assert advice.to_polars()["corpus"].to_list() == ["web", "code", "maths"]
    assert advice.to_polars()["share"].sum() == pytest.approx(1)


def test_constraints_hold_for_both(profiles):
    tight = advise(profiles, *QUESTION, Constraints(min_share={"web": 0.6}), resamples=20)
    assert tight.recommendation.weights[0] >= 0.6 - 1e-9
    assert (tight.frontier.weights[:, 0] >= 0.6 - 1e-6).all()


def test_shares_gains_and_curve_are_saved_with_their_provenance(advice, tmp_path):
    paths = advice.save(tmp_path)
    assert {path.stem for path in paths} == {"mixture", "mixture_targets", "mixture_frontier"}
    table, facts = load_table(tmp_path / "mixture.csv")
    assert table["share"].to_list() == pytest.approx(advice.recommendation.weights.tolist(), abs=1e-5)
    assert facts["seed"] == 0
    assert (tmp_path / "mixture_frontier.png").exists()
