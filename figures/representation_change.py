"""How much each layer changes during SFT: debiased linear CKA of a layer before and after, arm by arm."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import headline, legend_below, target_panels
from simtool.plots.rows import largest_size
from simtool.plots.style import COLORS, arm_color, title_of
from simtool.plots.titles import size_title

STYLES = ("-", "--", ":", "-.")


def draw(representation_change: pl.DataFrame) -> Figure:
    """A panel per target, a line per arm; the last size. Below: changed more."""
    rows = largest_size(representation_change)
    arms = rows["arm"].unique(maintain_order=True).to_list()
    figure, panels = target_panels(rows)
    for target, axes in panels.items():
        layers(rows.filter(pl.col("target") == target), axes, arms)
        axes.set_title(f"SFT on {title_of(target)}, {size_title(rows['size'][0])}")
        seeds = rows["seed"].n_unique()
        axes.set_xlabel(f"layer (bands: 95% over documents, {seeds} seeds)")
    first = next(iter(panels.values()))
    first.set_ylabel("CKA before and after SFT\n(1: unchanged)")
    headline(figure, finding(rows))
    legend_below(figure, *first.get_legend_handles_labels(), columns=3)
    return figure


def finding(rows: pl.DataFrame) -> str:
    """The first and the last layer's mean CKA, over targets, arms and seeds."""
    by_layer = rows.group_by("layer").agg(pl.col("cka").mean()).sort("layer")
    first, last = by_layer["cka"][0], by_layer["cka"][-1]
    later = "Later layers change more in SFT" if by_layer["cka"].is_sorted(descending=True) else "Layers in SFT"
    return f"{later}: CKA {first:.3f} at the embedding, {last:.3f} after layer {by_layer['layer'][-1]}"


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
    numbers = sorted(rows["layer"].unique())
    axes.set_xticks(numbers, ["embedding" if number == 0 else f"{number}" for number in numbers])
