"""Proximity advantage against the benefit of midtraining, for each size of model, with fits and bands."""

from itertools import product

import polars as pl
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, legend_below
from simtool.plots.scatter import scatter, scatter_legend
from simtool.plots.style import DOUBLE


def draw(advantage_benefit: pl.DataFrame, advantage_fit: pl.DataFrame, advantage_agreement: pl.DataFrame) -> Figure:
    """A row per predictor, a column per size: published sizes, then those of our study."""
    predictors = advantage_benefit["predictor"].unique(maintain_order=True).to_list()
    sizes = sorted(advantage_benefit.select("source", "size").unique(maintain_order=True).rows(), key=by_size)
    figure = empty_figure(DOUBLE, 0.9 + 1.75 * len(predictors))
    grid = figure.subplots(len(predictors), len(sizes), squeeze=False, sharex="row", sharey="col")
    for (i, predictor), (j, (source, size)) in product(enumerate(predictors), enumerate(sizes)):
        these = (pl.col("predictor") == predictor) & (pl.col("size") == size) & (pl.col("source") == source)
        scatter(
            advantage_benefit.filter(these), advantage_fit.filter(these), advantage_agreement.filter(these), grid[i, j]
        )
        if j == 0:
            grid[i, j].set_ylabel("relative improvement (%)")
        if j == len(sizes) // 2:
            grid[i, j].set_xlabel(f"proximity advantage by {predictor}")
    for axes, (source, size) in zip(grid[0], sizes, strict=True):
        axes.set_title(f"{size}, {source}\n{axes.get_title()}")
    for axes in grid.flat if len(sizes) > 3 else ():
        axes.title.set_fontsize(6)
    legend_below(figure, *scatter_legend(advantage_benefit), columns=5)
    return figure


def by_size(group: tuple[str, str]) -> tuple[str, float]:
    """(source, size) in order: "160m" before "1b"; names that are no numbers stay as they are."""
    source, size = group
    number, unit = size[:-1], {"m": 1e6, "b": 1e9}.get(size[-1:])
    return source, float(number) * unit if unit and number.replace(".", "", 1).isdigit() else 0.0
