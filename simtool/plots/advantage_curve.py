"""The advantage against the share of the special corpus, with its band and its peak."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import headline, single_panel, spread_labels
from simtool.plots.style import SINGLE, color_of, title_of
from simtool.plots.titles import similarity_title


def draw(advantage_curve: pl.DataFrame) -> Figure:
    figure = single_panel(advantage_curves, SINGLE, 2.8, advantage_curve)
    headline(figure, finding(advantage_curve))
    return figure


def finding(table: pl.DataFrame) -> str:
    """Where the advantage of each target peaks."""
    peaks = table.filter(pl.col("share") == pl.col("peak")).unique("target", maintain_order=True)
    places = [f"{row['share']:.0%} for {title_of(row['target'])}" for row in peaks.iter_rows(named=True)]
    return f"Closest at a share of {', '.join(places)}"


def advantage_curves(table: pl.DataFrame, axes: Axes) -> None:
    """The advantage for each target over the share of the special corpus, with its band and its peak.

    Parameters
    ----------
    table
        Of `Curve.to_polars()`.
    """
    ends = {}
    for target in table["target"].unique(maintain_order=True):
        rows = table.filter(table["target"] == target)
        color = color_of(target)
        axes.fill_between(rows["share"], rows["low"], rows["high"], color=color, alpha=0.2, linewidth=0)
        axes.plot(rows["share"], rows["advantage"], color=color)
        ends[target] = rows["advantage"][-1]
        peak = rows.filter(rows["share"] == rows["peak"])
        axes.plot(peak["share"], peak["advantage"], "o", color=color, markersize=4)
    axes.axhline(0, color="0.2", linewidth=0.8)
    axes.set_xlabel(f"share of {title_of(table['special'][0].removesuffix(':1'))}")
    title = similarity_title(table["metric"][0], table["feature"][0])
    axes.set_ylabel(f"proximity advantage\nby {title} (bands: 95%)")
    low, high = axes.get_ylim()
    for target, place in spread_labels(ends, (high - low) * 0.06).items():
        axes.annotate(
            title_of(target), (table["share"].max(), place), xytext=(4, 0), textcoords="offset points", va="center",
            fontsize=6, color=color_of(target), annotation_clip=False,
        )  # fmt: skip
