"""When to begin and how much to mix in: curves, arms as in the paper beside arms with exposure or rate held fixed."""

from collections.abc import Iterable
from typing import Any

import polars as pl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, legend_below
from simtool.plots.rows import DESIGNS, designs_of, largest_size
from simtool.plots.style import DOUBLE, title_of


def draw(study_timing: pl.DataFrame) -> Figure:
    """A row per target, a column per design; the largest size."""
    rows = largest_size(study_timing)
    targets = rows["target"].unique(maintain_order=True).to_list()
    designs = designs_of(rows)
    figure = empty_figure(DOUBLE, 0.8 + 1.6 * len(targets))
    grid = figure.subplots(len(targets), len(designs), squeeze=False, sharex=True, sharey="row")
    for i, target in enumerate(targets):
        for j, design in enumerate(designs):
            own = rows.filter((pl.col("target") == target) & (pl.col("design") == design))
            curves(own, grid[i, j], sorted(rows["weight"].unique()))
            if i == 0:
                grid[i, j].set_title(DESIGNS.get(design, design))
        grid[i, 0].set_ylabel(f"{title_of(target)}\nimprovement (%)")
    grid[-1, len(designs) // 2].set_xlabel("start of midtraining (share of pretraining); lines: weight")
    legend_below(figure, *weight_legend(grid.flat), columns=6)
    return figure


def weight_legend(panels: Iterable[Axes]) -> tuple[list[Any], list[str]]:
    """The line of each weight that any panel shows, from small to large."""
    lines = {label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    labels = sorted(lines, key=lambda label: float(label.rstrip("%")))
    return [lines[label] for label in labels], labels


def curves(rows: pl.DataFrame, axes: Axes, weights: list[float]) -> None:
    """Improvement against the start, a line per weight: darker is more."""
    axes.axhline(0, color="0.7", linewidth=0.5)
    if "exposure" in rows["design"]:  # every start has a weight of its own
        along = rows.sort("start")
        axes.plot(along["start"], along["relative_improvement"] * 100, color="0.75", linewidth=0.8, zorder=0)
    for i, weight in enumerate(weights):
        own = rows.filter(pl.col("weight") == weight).sort("start")
        if own.is_empty():
            continue
        color = colormaps["viridis_r"](0.15 + 0.85 * i / max(len(weights) - 1, 1))
        value, low, high = (own[name].to_numpy() * 100 for name in ("relative_improvement", "low", "high"))
        # lines that begin at one place are set apart, so that their intervals do not overlap
        places = own["start"].to_numpy() + (i - (len(weights) - 1) / 2) * 0.006
        axes.errorbar(
            places, value, yerr=[value - low, high - value], fmt="o-", color=color, markersize=3, elinewidth=0.7,
            label=f"{weight:.0%}",
        )  # fmt: skip
