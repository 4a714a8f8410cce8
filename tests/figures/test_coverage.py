"""The figure of coverage shows every share of its table, and no other."""

import polars as pl

from figures import coverage
from tests.plots.example_tables import table


def test_every_share_of_the_table_is_a_dot_before_and_now():
    rows = table("coverage")
    cells, ceilings = coverage.draw(rows).axes
    for axes, what in ((cells, "cell"), (ceilings, "ceiling")):
        own = rows.filter(pl.col("what").str.starts_with(what))
        shares = pl.concat([own[way] for way in coverage.WAYS]).drop_nulls()
        dots = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
        assert sorted(dots) == sorted(shares)


def test_the_headline_is_of_the_ceilings():
    rows = pl.DataFrame({"what": ["cell", "ceiling a", "ceiling b"], "covered_half_splits": [0.1, 0.5, 0.6],
                         "covered_jackknife": [0.2, 0.9, 1.0]})  # fmt: skip
    assert coverage.finding(rows) == (
        "Intervals of 95% held a noise ceiling in 50% to 60% of draws by half-splits, and hold it in 90% to 100% now"
    )
