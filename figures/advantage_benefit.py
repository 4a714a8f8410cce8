"""Proximity advantage against the benefit of midtraining, for each size of model, with fits and bands."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, headline, legend_below
from simtool.plots.scatter import FEWEST, scatter, scatter_legend, separate_names
from simtool.plots.style import DOUBLE, colors_of, title_of
from simtool.plots.titles import predictor_title, setting_title, size_title

LABELS = 3  # points named in each panel


def draw(advantage_benefit: pl.DataFrame, advantage_fit: pl.DataFrame, advantage_agreement: pl.DataFrame) -> Figure:
    """A row per predictor, a column per size: published sizes, then those of our study."""
    predictors = advantage_benefit["predictor"].unique(maintain_order=True).to_list()
    sizes = sorted(advantage_benefit.select("source", "size").unique(maintain_order=True).rows(), key=by_size)
    colors = colors_of(advantage_benefit["mix"])
    figure = empty_figure(DOUBLE, 1.1 + 1.85 * len(predictors))
    rows = figure.subfigures(len(predictors), 1, squeeze=False)[:, 0]
    for part, predictor in zip(rows, predictors, strict=True):
        grid = part.subplots(1, len(sizes), squeeze=False, sharex=True)[0]
        tables = [
            table.filter(predictor=predictor) for table in (advantage_benefit, advantage_fit, advantage_agreement)
        ]
        for axes, (source, size) in zip(grid, sizes, strict=True):
            points, fit, agreement = (table.filter(source=source, size=size) for table in tables)
            panel(points, fit, agreement, axes, colors)
            axes.set_title(f"{setting_title(source, size)}\n{axes.get_title()}", fontsize=6.5)
        grid[0].set_ylabel("relative improvement (%)")
        part.supxlabel(f"proximity advantage by {predictor_title(predictor)}", fontsize=7)
    headline(figure, finding(advantage_agreement))
    legend_below(figure, *scatter_legend(advantage_benefit, colors), columns=5)
    separate_names(figure)
    return figure


def panel(points: pl.DataFrame, fit: pl.DataFrame, agreement: pl.DataFrame, axes: Axes, colors: dict[str, str]) -> None:
    if points.height:
        scatter(points, fit, agreement, axes, colors, LABELS if points.height >= FEWEST else 0)
    else:  # a study predicts by one score
        axes.axis("off")
        axes.text(0.5, 0.5, "not predicted\nby this score", ha="center", va="center", color="0.5", fontsize=6,
                  transform=axes.transAxes)  # fmt: skip


def by_size(group: tuple[str, str]) -> tuple[str, float]:
    """(source, size) in order: "160m" before "1b"; names that are no numbers stay as they are."""
    source, size = group
    number, unit = size[:-1], {"m": 1e6, "b": 1e9}.get(size[-1:])
    return source, float(number) * unit if unit and number.replace(".", "", 1).isdigit() else 0.0


def finding(agreement: pl.DataFrame) -> str:
    """What a single pair does to r where it does most."""
    groups = agreement.filter(pl.col("size") != "pooled").group_by("source", "size", "predictor", maintain_order=True)
    drops = []
    for (_, size, predictor), rows in groups:
        whole = rows.filter(pl.col("left_out") == "")
        pairs = rows.filter(pl.col("left_out").str.starts_with("pair")).drop_nulls("pearson").sort("pearson")
        if whole["n"][0] >= FEWEST and pairs.height:
            r, without = whole["pearson"][0], pairs["pearson"][0]
            pair = " → ".join(map(title_of, pairs["left_out"][0].removeprefix("pair ").split(" -> ")))
            change = f"r of {predictor_title(predictor)} at {size_title(size)} falls from {r:.2f} to {without:.2f}"
            drops.append((r - without, f"Without {pair}, {change}"))
    return max(drops)[1] if drops else "Proximity advantage against benefit"
