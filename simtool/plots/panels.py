"""What several figures are put together from: empty figures, panels, legends, and bars of improvements."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.style import DOUBLE, SINGLE, STYLE, colors_of, title_of, wrapped


class NotebookFigure(Figure):
    """A matplotlib figure that shows itself in a notebook, whether or not pyplot was ever imported there."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def empty_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, whose parts make room for each other."""
    return NotebookFigure(figsize=(width, height), layout="constrained")


def single_panel(draw_on: Callable[..., None], width: float, height: float, *tables: pl.DataFrame) -> Figure:
    """A figure of one panel, which `draw_on(*tables, axes)` draws."""
    figure = empty_figure(width, height)
    draw_on(*tables, figure.subplots())
    return figure


def target_panels(rows: pl.DataFrame) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a panel for each target of these rows, side by side on one scale; and the panels."""
    targets = rows["target"].unique(maintain_order=True).to_list()
    figure = empty_figure(SINGLE if len(targets) == 1 else DOUBLE, 2.6)
    return figure, dict(zip(targets, figure.subplots(1, len(targets), sharey=True, squeeze=False)[0], strict=True))


def headline(figure: Figure, finding: str) -> None:
    """What a figure shows, in a sentence above all of its panels."""
    figure.suptitle(wrapped(finding, figure.get_figwidth()), fontsize=STYLE["axes.titlesize"])


def legend_below(figure: Figure, handles: list[Any], labels: list[str], columns: int) -> None:
    """One legend for all panels, below them."""
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, handletextpad=0.4, columnspacing=1.2)


def spread_labels(places: dict[str, float], least: float) -> dict[str, float]:
    """Places of labels moved upwards until none is nearer to the next than `least`."""
    moved: dict[str, float] = {}
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        moved[name] = max(place, max(moved.values(), default=place - least) + least)
    return moved


def improvement_bars(rows: pl.DataFrame, axes: Axes) -> None:
    """Bars of the relative improvement, target by target, a colour a mixture, with intervals where there are any.

    Parameters
    ----------
    rows
        With columns mix, weight, target, control_loss, relative_improvement, low, high.
    """
    targets = rows["target"].unique(maintain_order=True).to_list()
    arms = rows.select("mix", "weight").unique(maintain_order=True).rows()
    colors = colors_of(mix for mix, _ in arms)
    width = 0.8 / len(arms)
    for i, (mix, weight) in enumerate(arms):
        own = rows.filter((pl.col("mix") == mix) & (pl.col("weight") == weight))
        places = np.array([targets.index(target) for target in own["target"]]) + (i - (len(arms) - 1) / 2) * width
        value, low, high = (
            own[name].cast(pl.Float64).to_numpy() * 100 for name in ("relative_improvement", "low", "high")
        )
        hatch = "////" if weight == 1 else None  # continued pretraining
        shares = sorted(share for name, share in arms if name == mix and share < 1)
        paler = 0.4 * (1 - shares.index(weight) / (len(shares) - 1)) if len(shares) > 1 and weight < 1 else 0.0
        axes.bar(
            places, value, width * 0.9, color=colors[mix], alpha=1 - paler, label=f"{title_of(mix)} {weight:.0%}",
            hatch=hatch, edgecolor="white" if hatch else colors[mix], linewidth=0.4,
        )  # fmt: skip
        known = np.isfinite(low) & np.isfinite(high)
        if known.any():
            spread = np.maximum([value - low, high - value], 0)[:, known]
            # a list: of an array of one value NumPy before 2.4 warns in matplotlib
            axes.errorbar(places[known], value[known], yerr=spread.tolist(), fmt="none", ecolor="0.2", elinewidth=0.7)
    axes.axhline(0, color="0.2", linewidth=0.8)
    controls = {target: rows.filter(pl.col("target") == target)["control_loss"].mean() for target in targets}
    axes.set_xticks(range(len(targets)), [f"{title_of(name)} ({controls[name]:.3f})" for name in targets])
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("improvement over\nthe control (%)")


def limit_to_bars(rows: pl.DataFrame, axes: Axes) -> bool:
    """The height that the bars need, where intervals reach much farther; whether any interval leaves the panel.

    Parameters
    ----------
    rows
        As of `improvement_bars`, which drew them.
    """
    values = rows["relative_improvement"].cast(pl.Float64) * 100
    lowest, highest = min(values.min(), 0.0), max(values.max(), 0.0)
    room = 0.35 * (highest - lowest)
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, lowest - room), min(top, highest + room))
    return axes.get_ylim() != (bottom, top)


def largest_improvement(rows: pl.DataFrame) -> str:
    """The finding of such bars: the arm of midtraining that improves its target most.

    Parameters
    ----------
    rows
        As of `improvement_bars`.
    """
    midtraining = rows.filter(pl.col("weight") < 1)
    best = (midtraining if midtraining.height else rows).sort("relative_improvement").row(-1, named=True)
    interval = "" if best["low"] is None else f" [{best['low'] * 100:.1f}, {best['high'] * 100:.1f}]"
    pair = f"{title_of(best['mix'])} {best['weight']:.0%} → {title_of(best['target'])}"
    return f"largest gain of midtraining is {pair}, {best['relative_improvement'] * 100:+.1f}%{interval}"
