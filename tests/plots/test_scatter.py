"""A scatter says r of the points that it draws, and nothing of too few."""

import polars as pl
import pytest
from matplotlib.figure import Figure

from simtool.plots.scatter import FEWEST, correlation_text, scatter, separate_names
from simtool.plots.style import colors_of


def points(n: int) -> pl.DataFrame:
    x = [float(i) for i in range(n)]
    return pl.DataFrame(
        {"mix": ["math"] * n, "weight": [0.2] * n, "target": ["gsm8k"] * n, "predicted": x, "predicted_low": x,
         "predicted_high": x, "relative_improvement": [i / 100 for i in x], "low": x, "high": x}
    ).with_columns(low=pl.lit(None, pl.Float64))  # fmt: skip


COLORS = {"math": "#D55E00"}
AGREEMENT = pl.DataFrame({"left_out": [""], "n": [12], "pearson": [0.9], "pearson_low": [0.5], "pearson_high": [1.0]})
FIT = pl.DataFrame({"predicted": [0.0, 1.0], "fitted": [0.0, 0.01], "low": [-0.01, 0.0], "high": [0.01, 0.02]})


@pytest.mark.parametrize(
    ("n", "title", "bands"), [(FEWEST, "r = 0.90 [0.50, 1.00], n = 12", 1), (9, "n = 9: too few for r", 0)]
)
def test_too_few_points_have_no_correlation_and_no_band(n, title, bands):
    axes = Figure().subplots()
    scatter(points(n), FIT, AGREEMENT, axes, COLORS)
    assert axes.get_title() == title and len(axes.collections) == bands


def test_the_largest_improvements_are_named():
    axes = Figure().subplots()
    scatter(points(12), FIT, AGREEMENT, axes, COLORS, labels=2)
    assert [text.get_text() for text in axes.texts] == ["Math → GSM8K"] * 2
    assert [text.xy[0] for text in axes.texts] == [11.0, 10.0]


def test_names_do_not_lie_over_each_other():
    """Two points of one height, side by side: the names of both would meet in the middle."""
    figure = Figure(figsize=(3.3, 3))
    axes = figure.subplots()
    crowd = points(12).with_columns(
        predicted=pl.Series([0.0] * 10 + [4.0, 6.5]), relative_improvement=pl.Series([0.0] * 10 + [0.09, 0.091])
    )
    axes.set_xlim(0, 10)
    scatter(crowd, pl.DataFrame(), AGREEMENT, axes, colors_of(crowd["mix"]), labels=2)
    before, after = [], []
    for boxes in (before, after):
        boxes += [text.get_window_extent() for text in axes.texts]
        separate_names(figure)
    assert before[0].overlaps(before[1]) and not after[0].overlaps(after[1])
    assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in after)


def test_what_was_not_computed_is_not_said():
    assert correlation_text(AGREEMENT.with_columns(pearson=pl.lit(None))) == ""
    assert correlation_text(AGREEMENT.with_columns(pearson_low=pl.lit(None))) == "r = 0.90, n = 12"
