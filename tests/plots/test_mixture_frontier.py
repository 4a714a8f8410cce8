"""What a frontier's title says is read off its points."""

import polars as pl

from simtool.plots.mixture_frontier import finding


def frontier(gains: list[float]) -> pl.DataFrame:
    points = list(range(len(gains)))
    cost = [0.1 * point for point in points]
    columns = {"point": points, "target": "gsm8k", "feature": "token"}
    return pl.DataFrame({**columns, "forgetting_bits": cost, "gain_bits": gains})


def test_half_of_the_gain_is_found_at_the_first_point_that_has_it():
    said = finding(frontier([0.0, 1.2, 1.8, 2.0]))
    assert said == "The first half of the gain on GSM8K, 1.00 bits, costs 0.100 of 0.30 bits per token on general text"


def test_without_gain_nothing_is_claimed():
    assert finding(frontier([0.0, 0.0])) == "No mixture brings any target closer"
