"""How often another sample of the pretraining corpus is declared an advantage, or recommended, before and now."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simtool.plots.panels import empty_figure, headline, legend_below
from simtool.plots.style import COLORS, DOUBLE
from simtool.plots.titles import feature_title, metric_title

# a column's fill, size and name; the larger ring still shows where both are the same
WAYS = {
    "declared_before": ("white", 5.2, "before: against the pretraining corpus, or the best mixture"),
    "declared": (COLORS[0], 3.4, "now: against the placebo"),
}


def draw(placebo_coverage: pl.DataFrame) -> Figure:
    groups = placebo_coverage.partition_by("quantity", "feature", maintain_order=True)
    heights = [group.height + 1 for group in groups]
    figure = empty_figure(DOUBLE, 1.4 + 0.16 * sum(heights))
    panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, group in zip(panels, groups, strict=True):
        shares(group, axes)
    panels[-1].set_xlabel("share of replicates (dotted: claimed)")
    headline(figure, finding(placebo_coverage))
    legend_below(figure, *legend(), columns=2)
    return figure


def shares(rows: pl.DataFrame, axes: Axes) -> None:
    """A line for each metric: a dot before and one now, and what lies between them."""
    for y, row in enumerate(rows.iter_rows(named=True)):
        axes.plot([row[way] for way in WAYS], [y, y], color="0.75", linewidth=0.8, zorder=1)
        for way, (color, size, _) in WAYS.items():
            axes.plot(row[way], y, "o", color=color, markeredgecolor=COLORS[0], markersize=size, zorder=2)
    axes.set_yticks(range(rows.height), [metric_title(metric) for metric in rows["metric"]])
    axes.set_ylim(rows.height - 0.3, -0.7)
    axes.axvline(rows["claimed"][0], color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    quantity = {"advantage": "An advantage declared", "share": "A share recommended"}[rows["quantity"][0]]
    axes.set_title(f"{quantity}, on {feature_title(rows['feature'][0])}")


def finding(table: pl.DataFrame) -> str:
    """What is declared of advantages, before and now."""
    advantages = table.filter(pl.col("quantity") == "advantage")
    before, now = (f"{advantages[way].min():.0%} to {advantages[way].max():.0%}" for way in WAYS)
    draws = table["replicates"][0]
    return f"More of the same text was declared an advantage in {before} of {draws} draws, and is in {now}"


def legend() -> tuple[list[Line2D], list[str]]:
    dots = [
        Line2D([], [], color=color, marker="o", markeredgecolor=COLORS[0], markersize=size, linestyle="")
        for color, size, _ in WAYS.values()
    ]
    return dots, [label for *_, label in WAYS.values()]
