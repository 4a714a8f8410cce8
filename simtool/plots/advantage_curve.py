"""The advantage against the share of the special corpus, with its band and its peak."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import single_panel
from simtool.plots.style import SINGLE, color_of, title_of


def draw(advantage_curve: pl.DataFrame) -> Figure:
    return single_panel(advantage_curves, SINGLE, 2.6, advantage_curve)


def advantage_curves(table: pl.DataFrame, axes: Axes) -> None:
    """table   Curve.to_polars()"""
    for target in table["target"].unique(maintain_order=True):
        rows = table.filter(table["target"] == target)
        color = color_of(target)
        axes.fill_between(rows["share"], rows["low"], rows["high"], color=color, alpha=0.2, linewidth=0)
        axes.plot(rows["share"], rows["advantage"], color=color, label=title_of(target))
        peak = rows.filter(rows["share"] == rows["peak"])
        axes.plot(peak["share"], peak["advantage"], "o", color=color, markersize=4)
    axes.axhline(0, color="0.2", linewidth=0.8)
    axes.set_xlabel(f"share of {title_of(table['special'][0].removesuffix(':1'))}")
    axes.set_ylabel(f"proximity advantage\n{table['metric'][0]} on {table['feature'][0]}")
    axes.legend()
