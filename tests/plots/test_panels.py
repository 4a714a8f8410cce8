"""Parts of figures: bars with the intervals that there are, a panel per target, a figure that shows itself."""

import polars as pl
import pytest
from matplotlib.figure import Figure

from simtool.plots.panels import (
    empty_figure,
    improvement_bars,
    limit_to_bars,
    single_panel,
    spread_labels,
    target_panels,
)
from simtool.plots.style import DOUBLE, SINGLE
from tests.plots.example_tables import effects


def test_a_figure_shows_itself_in_a_notebook():
    assert empty_figure(1, 1)._repr_png_().startswith(b"\x89PNG")


def test_a_single_panel_gets_its_tables_and_then_the_axes():
    table = pl.DataFrame({"x": [1, 2]})
    figure = single_panel(lambda frame, axes: axes.plot(frame["x"], frame["x"]), 2, 1, table)
    assert [line.get_xdata().tolist() for line in figure.axes[0].lines] == [[1, 2]]


@pytest.mark.parametrize(("targets", "width"), [(["pycode"], SINGLE), (["pycode", "gsm8k"], DOUBLE)])
def test_each_target_has_a_panel(targets, width):
    figure, panels = target_panels(effects().filter(pl.col("target").is_in(targets)))
    assert list(panels) == targets and figure.get_figwidth() == width


def test_bars_are_relative_improvements_with_intervals_where_there_are_any():
    rows = effects().filter(pl.col("size") == "tiny")
    axes = Figure().subplots()
    improvement_bars(rows.with_columns(low=pl.when(pl.col("mix") == "math").then("low")), axes)
    heights = [bar.get_height() for bars in axes.containers if hasattr(bars, "patches") for bar in bars]
    assert sorted(heights) == pytest.approx(sorted(rows["relative_improvement"] * 100))
    spans = [segment for lines in axes.collections for segment in lines.get_segments()]
    assert len(spans) == (rows["mix"] == "math").sum()  # none where an end is not known
    assert [label.get_text() for label in axes.get_xticklabels()] == ["PyCode (2.000)", "GSM8K (2.000)"]


def test_an_interval_far_beyond_all_bars_is_cut():
    rows = effects().filter(pl.col("size") == "tiny")
    wide = rows.with_columns(high=pl.when(pl.int_range(pl.len()) == 0).then(9.0).otherwise("high"))
    for table, is_cut in ((rows, False), (wide, True)):
        axes = Figure().subplots()
        improvement_bars(table, axes)
        assert limit_to_bars(table, axes) is is_cut
    values = [0.0, *(rows["relative_improvement"] * 100)]
    assert axes.get_ylim()[1] == pytest.approx(max(values) + 0.35 * (max(values) - min(values)))


def test_labels_move_up_until_none_is_too_near():
    moved = spread_labels({"a": 0.0, "b": 0.01, "c": 0.5, "d": 0.02}, 0.1)
    assert moved == {"a": 0.0, "b": 0.1, "d": 0.2, "c": 0.5}
