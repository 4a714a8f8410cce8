"""Midtraining, continued pretraining and the control: the target's loss and what general text costs at the end."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simtool.plots.panels import empty_figure, headline, legend_below
from simtool.plots.style import DOUBLE, color_of, title_of
from simtool.plots.titles import setting_title

MARKERS = {"control": "s", "midtrain": "o", "cpt": "X"}
NAMES = {"control": "control", "midtrain": "midtraining", "cpt": "continued pretraining"}


def draw(midtraining_cpt: pl.DataFrame) -> Figure:
    """A panel per source and size: improvement against what general text costs more than after the control, on the
    target that each corpus helps most when it is mixed in."""
    rows = most_helped(midtraining_cpt)
    groups = rows.select("source", "size").unique(maintain_order=True).rows()
    figure = empty_figure(min(DOUBLE, 1.2 + 2.6 * len(groups)), 3.0)
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for axes, (source, size) in zip(panels, groups, strict=True):
        trade(rows.filter(source=source, size=size), axes)
        axes.set_title(setting_title(source, size))
    panels[0].set_ylabel("improvement on target (%)")
    headline(figure, finding(rows))
    legend_below(figure, *legend(rows), columns=3)
    return figure


def most_helped(table: pl.DataFrame) -> pl.DataFrame:
    """Of each special corpus, the rows of the target that midtraining on it helps most, at the lower end of the
    interval where there is one: a target whose loss is noise would come first by chance."""
    helped = (
        table.filter(pl.col("kind") == "midtrain")
        .sort(pl.coalesce("low", "relative_improvement"), descending=True, maintain_order=True)
        .unique(["source", "size", "mix"], keep="first", maintain_order=True)
    )
    return table.join(helped, on=["source", "size", "mix", "target"], how="semi", maintain_order="left")


def finding(rows: pl.DataFrame) -> str:
    """How often midtraining ends better than continued pretraining, on the target and on general text."""
    parts = []
    for (source, size), own in rows.group_by("source", "size", maintain_order=True):
        pairs = own.pivot("kind", index=["mix", "target"], values=["relative_improvement", "general_difference"])
        target = (pairs["relative_improvement_midtrain"] > pairs["relative_improvement_cpt"]).sum()
        general = (pairs["general_difference_midtrain"] < pairs["general_difference_cpt"]).sum()
        where = setting_title(source, size)
        parts.append(f"on general text in {general} of {pairs.height}, on the target in {target} ({where})")
    return f"Midtraining ends better than continued pretraining {'; '.join(parts)}"


def trade(rows: pl.DataFrame, axes: Axes) -> None:
    """Up is better on the target, right is worse on general text; the control is the origin, a line joins two arms."""
    axes.axhline(0, color="0.7", linewidth=0.5)
    axes.axvline(0, color="0.7", linewidth=0.5)
    axes.plot(0, 0, MARKERS["control"], color="black", markersize=4)
    for (mix, target), own in rows.group_by("mix", "target", maintain_order=True):
        color = color_of(mix)
        axes.plot(own["general_difference"], own["relative_improvement"] * 100, color=color, linewidth=0.6, alpha=0.6)
        for arm in own.iter_rows(named=True):
            draw_arm(arm, color, axes)
        best = own.sort("relative_improvement").row(-1, named=True)
        axes.annotate(
            title_of(target), (best["general_difference"], best["relative_improvement"] * 100), xytext=(5, 5),
            textcoords="offset points", fontsize=6,
        )  # fmt: skip
    axes.margins(0.15)
    axes.set_xlabel("general text after SFT: loss above the control's\n(nats per token; right: worse)")


def draw_arm(arm: dict, color: str, axes: Axes) -> None:
    x, y = arm["general_difference"], arm["relative_improvement"] * 100
    if arm["low"] is not None:
        axes.plot([x, x], [arm["low"] * 100, arm["high"] * 100], color=color, linewidth=0.7)
    if arm["general_low"] is not None:
        axes.plot([arm["general_low"], arm["general_high"]], [y, y], color=color, linewidth=0.7)
    axes.plot(x, y, MARKERS[arm["kind"]], color=color, markersize=4.5)


def legend(table: pl.DataFrame) -> tuple[list[Line2D], list[str]]:
    handles = [Line2D([], [], color="0.3", marker=marker, linestyle="", markersize=4) for marker in MARKERS.values()]
    labels = list(NAMES.values())
    for mix in table["mix"].unique(maintain_order=True):
        handles.append(Line2D([], [], color=color_of(mix), linewidth=2))
        labels.append(title_of(mix))
    return handles, labels
