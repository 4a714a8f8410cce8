"""The figure of placebos shows every share of its table, and no other."""

import polars as pl

from figures import placebo_coverage
from tests.plots.example_tables import table


def test_every_share_of_the_table_is_a_dot_before_and_now():
    rows = table("placebo_coverage")
    drawn = [line for axes in placebo_coverage.draw(rows).axes for line in axes.lines if line.get_marker() == "o"]
    assert sorted(line.get_xdata()[0] for line in drawn) == sorted(
        pl.concat([rows[way] for way in placebo_coverage.WAYS])
    )


def test_the_headline_is_of_the_advantages():
    rows = pl.DataFrame({"quantity": ["advantage", "advantage", "share"], "declared_before": [0.1, 0.3, 1.0],
                         "declared": [0.0, 0.03, 0.07], "replicates": [60, 60, 60]})  # fmt: skip
    assert placebo_coverage.finding(rows) == (
        "More of the same text was declared an advantage in 10% to 30% of 60 draws, and is in 0% to 3%"
    )
