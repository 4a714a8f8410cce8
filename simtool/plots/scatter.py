"""Advantage against benefit as a scatter: a point for each mixture and target, with intervals, a fit and its r."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from simtool.plots.style import color_of, marker_of, title_of


def scatter(points: pl.DataFrame, fit: pl.DataFrame, agreement: pl.DataFrame, axes: Axes) -> None:
    """Points of one predictor and size: colour by mixture, marker by target, hollow for continued pretraining."""
    if points.is_empty():  # a study predicts by one score
        axes.text(0.5, 0.5, "not predicted\nby this score", ha="center", va="center", color="0.5", fontsize=6,
                  transform=axes.transAxes)  # fmt: skip
        return
    if fit.height:
        axes.fill_between(fit["predicted"], fit["low"] * 100, fit["high"] * 100, color="0.88", linewidth=0)
        axes.plot(fit["predicted"], fit["fitted"] * 100, color="0.45", linewidth=0.9)
    axes.axhline(0, color="0.7", linewidth=0.5)
    axes.axvline(0, color="0.7", linewidth=0.5)
    for point in points.iter_rows(named=True):
        x, y, color = point["predicted"], point["relative_improvement"] * 100, color_of(point["mix"])
        if point["low"] is not None:
            axes.plot([x, x], [point["low"] * 100, point["high"] * 100], color=color, linewidth=0.7)
        axes.plot([point["predicted_low"], point["predicted_high"]], [y, y], color=color, linewidth=0.7)
        face = color if point["weight"] < 1 else "white"
        axes.plot(x, y, marker_of(point["target"]), color=color, markerfacecolor=face, markersize=3.6)
    low = min(fit["low"].min() * 100, 0) if fit.height and fit["low"].min() is not None else None
    shown = points["relative_improvement"] * 100
    room = max(shown.max() - shown.min(), 1) * 0.4  # a band of few points may be far wider than what was seen
    axes.set_ylim(max(shown.min() - room, low if low is not None else -1e9), shown.max() + room)
    whole = agreement.filter(pl.col("left_out") == "")
    if whole.height and whole["pearson"][0] is not None:
        r = whole.row(0, named=True)
        interval = "" if r["pearson_low"] is None else f" [{r['pearson_low']:.2f}, {r['pearson_high']:.2f}]"
        axes.set_title(f"r = {r['pearson']:.2f}{interval}, n = {r['n']}")


def scatter_legend(points: pl.DataFrame) -> tuple[list[Line2D], list[str]]:
    """What the colours and the markers stand for."""
    mixes, targets = (points[column].unique(maintain_order=True).to_list() for column in ("mix", "target"))
    shown = [(title_of(mix), "_", color_of(mix), None) for mix in mixes]
    shown += [(f"→ {title_of(target)}", marker_of(target), "0.35", None) for target in targets]
    if (points["weight"] >= 1).any():
        shown.append(("hollow: 100%", "o", "0.35", "white"))
    handles = [
        Line2D([], [], color=color, marker=marker, markerfacecolor=face or color, linestyle="", markersize=4,
               markeredgewidth=2 if marker == "_" else 1)
        for _, marker, color, face in shown
    ]  # fmt: skip
    return handles, [label for label, *_ in shown]
