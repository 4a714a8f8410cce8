"""What figures of this folder share among themselves."""

import polars as pl
from matplotlib.figure import Figure

from simtool.corpora.catalogue import SAME_DOMAIN
from simtool.plots.panels import empty_figure, legend_below
from simtool.plots.style import COLORS


def tournament(table: pl.DataFrame, title: str) -> Figure:
    """Fixed candidates and same-domain baseline of one size of model, ordered by their lowest r without a target."""
    rows = table.filter(pl.col("candidate") | (pl.col("predictor") == SAME_DOMAIN)).sort("lowest_without_a_target")
    figure = empty_figure(4.4, 1.1 + 0.155 * rows.height)
    axes = figure.subplots()
    places = range(rows.height)
    axes.hlines(places, rows["pearson_low"], rows["pearson_high"], color="0.8", linewidth=2.6, label="95%, bootstrap")
    for column, label, marker, color in (
        ("pearson", f"all {rows['n'][0]} pairs", "o", COLORS[0]),
        ("pearson_without_starcoder_pycode", "without StarCoder → PyCode", "s", COLORS[1]),
        ("lowest_without_a_target", "lowest without one target", "|", "black"),
    ):
        axes.plot(rows[column], places, marker, color=color, label=label, markersize=4 if marker != "|" else 7)
    axes.axvline(0, color="0.2", linewidth=0.8)
    axes.set_yticks(places, rows["predictor"])
    axes.set_xlim(-1, 1.02)
    axes.set_xlabel("Pearson correlation with the relative improvement after SFT")
    axes.set_title(title)
    legend_below(figure, *axes.get_legend_handles_labels(), columns=2)
    return figure
