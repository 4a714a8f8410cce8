"""The title names the mixture that brings each target closest, where that is certain."""

import polars as pl

from simtool.plots.advantage import draw, finding
from tests.plots.example_tables import advantage


def test_the_closest_mixture_of_each_target_is_named():
    assert finding(advantage()) == "Closest to PyCode a corpus of mine, to GSM8K a corpus of mine"


def test_what_may_be_no_closer_is_not_named():
    assert finding(advantage().with_columns(low=pl.lit(-0.1))) == "No mixture brings a target closer"


def test_each_mixture_has_a_bar_per_target_with_its_interval():
    axes = draw(advantage()).axes[0]
    bars = [bar for container in axes.containers if hasattr(container, "patches") for bar in container]
    assert sorted(round(bar.get_width(), 3) for bar in bars) == [0.0, 0.0, 0.1, 0.1, 0.2, 0.2]
    assert axes.get_xlabel() == "proximity advantage by paper's score (above 0: closer; bars: 95%)"
