"""How much each layer changes during SFT: debiased linear CKA of a layer before and after, arm by arm."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import legend_below, target_panels
from simtool.plots.rows import largest_size
from simtool.plots.style import COLORS, arm_color, title_of

STYLES = ("-", "--", ":", "-.")


def draw(representation_change: pl.DataFrame) -> Figure:
    """A panel per target, a line per arm; the last size. Below: changed more."""
    rows = largest_size(representation_change)
    arms = rows["arm"].unique(maintain_order=True).to_list()
    figure, panels = target_panels(rows)
    for target, axes in panels.items():
        layers(rows.filter(pl.col("target") == target), axes, arms)
        axes.set_title(f"{title_of(target)}, {rows['size'][0]}")
        axes.set_xlabel("layer")
    first = next(iter(panels.values()))
    first.set_ylabel("CKA before and after SFT")
    legend_below(figure, *first.get_legend_handles_labels(), columns=3)
    return figure


def layers(rows: pl.DataFrame, axes: Axes, arms: list[str]) -> None:
    """The mean over seeds of each arm against the layer; the band spans the seeds' intervals."""
    for i, arm in enumerate(arms):
        own = rows.filter(pl.col("arm") == arm)
        if own.is_empty():
            continue
        by_layer = (
            own.group_by("layer").agg(pl.col("cka").mean(), pl.col("low").min(), pl.col("high").max()).sort("layer")
        )
        color = arm_color(arms, arm)
        x = np.asarray(by_layer["layer"])
        axes.fill_between(x, by_layer["low"], by_layer["high"], color=color, alpha=0.15, linewidth=0)
        style = STYLES[i // len(COLORS) % len(STYLES)]
        axes.plot(x, by_layer["cka"], style, marker="o", markersize=2.5, color=color, label=arm)
    axes.xaxis.get_major_locator().set_params(integer=True)
