"""Every line is named by its weight, at its beginning; of one seed there are no bars."""

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from simtool.plots.study_timing import curves, draw, name_lines
from tests.plots.example_tables import timing, timing_of_one_seed


def test_each_line_is_named_by_its_weight():
    axes = Figure().subplots()
    rows = timing().filter(design="confounded", target="pycode")
    curves(rows, axes, [0.1, 0.2, 0.5])
    name_lines(rows, axes, [0.1, 0.2, 0.5])
    assert [text.get_text() for text in axes.texts] == ["10%", "20%", "50%"]
    assert len(axes.containers) == 3  # a line with its bars per weight


def test_names_of_lines_that_begin_alike_are_set_apart():
    rows = (
        timing()
        .filter(design="confounded", target="pycode")
        .with_columns(pl.lit(0.05).alias("relative_improvement"), pl.lit(0.04).alias("low"), pl.lit(0.06).alias("high"))
    )
    axes = Figure().subplots()
    curves(rows, axes, [0.1, 0.2, 0.5])
    name_lines(rows, axes, [0.1, 0.2, 0.5])
    places = sorted(text.xy[1] for text in axes.texts)
    bottom, top = axes.get_ylim()
    assert min(np.diff(places)) > 0.07 * (top - bottom)


def test_of_one_seed_there_are_no_intervals():
    figure = draw(timing_of_one_seed())
    assert "one seed: no intervals" in figure.get_supxlabel()
    assert "bars: 95%" in draw(timing()).get_supxlabel()


def test_a_line_joins_starts_of_one_exposure():
    rows = timing().filter(design="exposure", target="pycode").with_columns(special_tokens="weight")  # as if
    axes = Figure().subplots()
    curves(rows, axes, [0.1, 0.2, 0.5])
    joined = [line for line in axes.lines if line.get_color() == "0.75"]
    assert [len(line.get_xdata()) for line in joined] == [3, 3, 3]
