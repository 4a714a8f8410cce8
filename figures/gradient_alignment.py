"""What SFT costs general text: whether its gradients point the other way, and what its steps add up to."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, legend_below
from simtool.plots.rows import largest_size
from simtool.plots.style import DOUBLE, color_of, title_of


def draw(gradient_alignment: pl.DataFrame) -> Figure:
    """Left the cosine of the two gradients before SFT; right what was forgotten. A row per run; the last size."""
    rows = largest_size(gradient_alignment).sort("target", "arm", "seed")
    figure = empty_figure(DOUBLE, 1.1 + 0.16 * rows.height)
    left, right = figure.subplots(1, 2, sharey=True)
    places = np.arange(rows.height)
    cosines(rows, places, left)
    costs(rows, places, right)
    names = [f"{title_of(run['target'])}, {run['arm']}, seed {run['seed']}" for run in rows.iter_rows(named=True)]
    left.set_yticks(places, names)
    left.invert_yaxis()
    legend_below(figure, *right.get_legend_handles_labels(), columns=2)
    return figure


def cosines(rows: pl.DataFrame, places: np.ndarray, axes: Axes) -> None:
    axes.axvline(0, color="0.7", linewidth=0.5)
    colors = [color_of(target) for target in rows["target"]]
    axes.hlines(places, rows["low"], rows["high"], color=colors, linewidth=0.9)
    axes.scatter(rows["cosine"], places, color=colors, s=10, zorder=3)
    holding = ((rows["low"] <= 0) & (rows["high"] >= 0)).sum()
    axes.set_title(f"General and target gradient before SFT:\n{holding} of {rows.height} intervals hold 0")
    axes.set_xlabel("debiased cosine (left of 0: they point apart; 95% over documents)")


def costs(rows: pl.DataFrame, places: np.ndarray, axes: Axes) -> None:
    """The first-order terms of the steps and what is left over add up to what was forgotten."""
    axes.barh(places, rows["first_order"], color="0.45", height=0.7, label="first order, summed along the steps")
    axes.barh(
        places, rows["remainder"], left=rows["first_order"], color="0.78", height=0.7, label="curvature: the rest"
    )
    axes.hlines(places, rows["forgetting_low"], rows["forgetting_high"], color="black", linewidth=0.8)
    share = rows["first_order"] / rows["forgetting"]
    axes.set_title(f"Rise of the general loss during SFT:\n{share.min():.0%} to {share.max():.0%} is of first order")
    axes.set_xlabel("nats per token, with its 95% interval")
