"""What is left of the agreement of advantage and benefit when a target or a pair is left out."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, legend_below
from simtool.plots.style import COLORS, DOUBLE, title_of

PAIRS = 4  # that matter most, of each predictor


def draw(advantage_agreement: pl.DataFrame) -> Figure:
    """A row per source of results, in its size with the most pairs; a column per predictor: all, each target left
    out, the pairs that matter most."""
    sizes = advantage_agreement.filter((pl.col("left_out") == "") & (pl.col("size") != "pooled"))
    largest = sizes.sort("n", maintain_order=True).unique("source", keep="last", maintain_order=True)
    predictors = advantage_agreement["predictor"].unique(maintain_order=True).to_list()
    figure = empty_figure(DOUBLE, 0.6 + 2.1 * largest.height)
    grid = figure.subplots(largest.height, len(predictors), squeeze=False)
    for row, (source, size) in zip(grid, largest.select("source", "size").iter_rows(), strict=True):
        for axes, predictor in zip(row, predictors, strict=True):
            own = advantage_agreement.filter(source=source, size=size, predictor=predictor)
            if own.is_empty():  # a study predicts by one score
                axes.axis("off")
                continue
            left_out(own, axes)
            axes.set_title(f"{predictor}\n{size}, {source}")
    for axes in grid[-1]:
        axes.set_xlabel("correlation with improvement")
    legend_below(figure, *grid[0][0].get_legend_handles_labels(), columns=3)
    return figure


def left_out(own: pl.DataFrame, axes: Axes) -> None:
    pairs = own.filter(pl.col("left_out").str.starts_with("pair")).sort("pearson", nulls_last=True).head(PAIRS)
    shown = pl.concat([own.filter(~pl.col("left_out").str.starts_with("pair")), pairs])
    places = range(shown.height)
    axes.hlines(places, shown["pearson_low"], shown["pearson_high"], color="0.8", linewidth=2.6, label="95%")
    axes.plot(shown["pearson"], places, "o", color=COLORS[0], markersize=4, label="Pearson")
    axes.plot(shown["spearman"], places, "x", color=COLORS[1], markersize=4, label="Spearman")
    axes.axvline(0, color="0.2", linewidth=0.8)
    axes.set_yticks(places, [readable(name) for name in shown["left_out"]])
    axes.invert_yaxis()
    axes.set_xlim(-1.02, 1.02)


def readable(left_out: str) -> str:
    """ "pair starcoder -> pycode" becomes "without StarCoder → PyCode"."""
    if not left_out:
        return "all results"
    return "without " + " → ".join(title_of(name) for name in left_out.split(" ", 1)[1].split(" -> "))
