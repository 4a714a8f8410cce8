"""Advantage against benefit as a scatter: a point for each mixture and target, with intervals, a fit and its r."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from simtool.plots.style import marker_of, title_of

FEWEST = 10  # points, for a correlation and a band: of fewer, the intervals are the whole range

BAR = 0.5  # how opaque an interval is: of many points, the points are to be seen


def scatter(
    points: pl.DataFrame,
    fit: pl.DataFrame,
    agreement: pl.DataFrame,
    axes: Axes,
    colors: Mapping[str, str],
    labels: int = 0,
) -> None:
    """Points of one predictor and size: colour by mixture, marker by target, hollow for continued pretraining.

    Parameters
    ----------
    points
        mix, weight, target, predicted, relative_improvement, each with its interval where there is one.
    fit
        predicted, fitted, low, high: the line and its band; may be empty.
    agreement
        Of the same points: left_out, n, pearson, pearson_low, pearson_high.
    colors
        Of the mixtures of all panels of the figure.
    labels
        So many points of the largest improvement are named.
    """
    enough = points.height >= FEWEST
    if fit.height and enough:
        axes.fill_between(fit["predicted"], fit["low"] * 100, fit["high"] * 100, color="0.88", linewidth=0)
        axes.plot(fit["predicted"], fit["fitted"] * 100, color="0.45", linewidth=0.9)
    axes.axhline(0, color="0.7", linewidth=0.5)
    axes.axvline(0, color="0.7", linewidth=0.5)
    for point in points.iter_rows(named=True):
        draw_point(point, axes, colors[point["mix"]])
    limit_height(points["relative_improvement"] * 100, axes)
    for point in points.sort("relative_improvement", descending=True).head(labels).iter_rows(named=True):
        name_point(point, axes)
    axes.set_title(correlation_text(agreement) if enough else f"n = {points.height}: too few for r")


def draw_point(point: dict, axes: Axes, color: str) -> None:
    x, y = point["predicted"], point["relative_improvement"] * 100
    if point["low"] is not None:
        axes.plot([x, x], [point["low"] * 100, point["high"] * 100], color=color, linewidth=0.7, alpha=BAR)
    axes.plot([point["predicted_low"], point["predicted_high"]], [y, y], color=color, linewidth=0.7, alpha=BAR)
    face = color if point["weight"] < 1 else "white"
    axes.plot(x, y, marker_of(point["target"]), color=color, markerfacecolor=face, markersize=3.6)


def name_point(point: dict, axes: Axes) -> None:
    """A point's mixture and target beside it, on the side where there is room."""
    x, y = point["predicted"], point["relative_improvement"] * 100
    left, right = axes.get_xlim()
    side = -1 if x > (left + right) / 2 else 1
    axes.annotate(
        f"{title_of(point['mix'])} → {title_of(point['target'])}", (x, y), xytext=(5 * side, 3),
        textcoords="offset points", ha="right" if side < 0 else "left", fontsize=5.5, color="0.2",
    )  # fmt: skip


PLACES = ((1, 3), (-1, 3), (1, -8), (-1, -8))  # of a name: right or left of its point, points above its middle


def separate_names(figure: Figure) -> None:
    """Move names that lie over another name, or over more points than they must; the figure is laid out by then."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        dots = [axes.transData.transform(line.get_xydata()[0]) for line in axes.lines if len(line.get_xydata()) == 1]
        taken: list[Bbox] = []
        for name in axes.texts:
            if not isinstance(name, Annotation):
                continue
            first = (1 if name.get_ha() == "left" else -1, 3)
            places = sorted(PLACES, key=lambda place: place != first)
            best = min(places, key=lambda place: _crowding(name, place, taken, dots, axes.bbox))
            _put(name, best)
            taken.append(name.get_window_extent())


def _put(name: Annotation, place: tuple[int, int]) -> None:
    side, above = place
    name.set_position((5 * side, above))
    name.set_horizontalalignment("left" if side > 0 else "right")


def _crowding(
    name: Annotation, place: tuple[int, int], taken: Sequence[Bbox], dots: Sequence[np.ndarray], inside: Bbox
) -> tuple[bool, int, int]:
    """How badly a name stands in a place: outside its panel, over other names, over points."""
    _put(name, place)
    box = name.get_window_extent()
    is_out = box.x0 < inside.x0 or box.x1 > inside.x1
    return is_out, sum(box.overlaps(other) for other in taken), sum(box.contains(*dot) for dot in dots)


def limit_height(improvements: pl.Series, axes: Axes) -> None:
    """The height that the points need: a band of few points may be far wider."""
    room = max(improvements.max() - improvements.min(), 1) * 0.25
    axes.set_ylim(improvements.min() - room, improvements.max() + room)


def correlation_text(agreement: pl.DataFrame) -> str:
    """ "r = 0.91 [0.60, 0.99], n = 20"; empty where none was computed."""
    whole = agreement.filter(pl.col("left_out") == "")
    if whole.is_empty() or whole["pearson"][0] is None:
        return ""
    r = whole.row(0, named=True)
    interval = "" if r["pearson_low"] is None else f" [{r['pearson_low']:.2f}, {r['pearson_high']:.2f}]"
    return f"r = {r['pearson']:.2f}{interval}, n = {r['n']}"


def scatter_legend(points: pl.DataFrame, colors: Mapping[str, str]) -> tuple[list[Line2D], list[str]]:
    """What the colours and the markers stand for."""
    targets = points["target"].unique(maintain_order=True).to_list()
    shown = [(title_of(mix), "_", color, None) for mix, color in colors.items()]
    shown += [(f"→ {title_of(target)}", marker_of(target), "0.35", None) for target in targets]
    if (points["weight"] >= 1).any():
        shown.append(("hollow: 100%", "o", "0.35", "white"))
    handles = [
        Line2D([], [], color=color, marker=marker, markerfacecolor=face or color, linestyle="", markersize=4,
               markeredgewidth=2 if marker == "_" else 1)
        for _, marker, color, face in shown
    ]  # fmt: skip
    return handles, [label for label, *_ in shown]
