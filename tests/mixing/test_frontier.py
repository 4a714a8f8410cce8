"""The trade-off curve: from the least forgetting to the recommendation."""

import numpy as np

from simtool.mixing.frontier import frontier
from simtool.mixing.recommend import recommend


def test_the_frontier_runs_from_nothing_forgotten_to_the_recommendation(profiles):
    result = frontier(profiles, "web", ["code", "maths"], {"target": 1, "other": 1}, points=9, resamples=20)
    both = recommend(profiles, "web", ["code", "maths"], {"target": 1, "other": 1}, resamples=20)
    np.testing.assert_allclose(result.weights[0], [1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(result.weights[-1], both.weights, atol=1e-5)
    np.testing.assert_allclose(result.gain[-1], both.gain, atol=1e-8)
    assert (np.diff(result.forgetting) > 0).all() and (np.diff(result.gain @ result.target_weights) > 0).all()
    table = result.to_polars()
    assert len(table) == 18 and table["target"].to_list()[:2] == ["target", "other"]
    assert {"share_web", "share_code", "share_maths"} <= set(table.columns)
    assert (table["gain_low"] <= table["gain_bits"] + 1e-12).all()
    assert (table["gain_bits"] <= table["gain_high"] + 1e-12).all()
