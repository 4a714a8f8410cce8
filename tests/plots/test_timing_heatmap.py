"""Axes say whose share they are, and numbers whose interval leaves 0 out are bold."""

import polars as pl

from simtool.plots.timing_heatmap import draw
from tests.plots.example_tables import timing, timing_of_one_seed


def test_the_axis_is_the_share_of_what_is_mixed_in():
    assert draw(timing()).axes[0].get_ylabel() == "share of StarCoder\n(target PyCode)"


def test_bold_is_certain():
    unsure = timing().with_columns(low=pl.when(pl.col("weight") == 0.1).then(-1.0).otherwise("low"))
    texts = draw(unsure).axes[0].texts
    assert {text.get_fontweight() for text in texts} == {"bold", "normal"}
    assert sum(text.get_fontweight() == "normal" for text in texts) == 3  # one weight, three starts


def test_of_one_seed_nothing_is_certain():
    figure = draw(timing_of_one_seed())
    assert {text.get_fontweight() for text in figure.axes[0].texts} == {"normal"}
    assert "one seed: no intervals" in figure.get_supxlabel()
