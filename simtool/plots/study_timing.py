"""When to begin and how much to mix in: curves, arms as in the paper beside arms with exposure or rate held fixed."""

import polars as pl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, headline, spread_labels
from simtool.plots.rows import DESIGNS, designs_of, held_fixed, largest_size, timing_finding
from simtool.plots.style import DOUBLE, title_of


def draw(study_timing: pl.DataFrame) -> Figure:
    """A row per target, a column per design; the largest size."""
    rows = largest_size(study_timing)
    targets = rows["target"].unique(maintain_order=True).to_list()
    designs, weights = designs_of(rows), sorted(rows["weight"].unique())
    figure = empty_figure(DOUBLE, 0.9 + 1.6 * len(targets))
    grid = figure.subplots(len(targets), len(designs), squeeze=False, sharex=True, sharey="row")
    for i, target in enumerate(targets):
        for j, design in enumerate(designs):
            curves(rows.filter(target=target, design=design), grid[i, j], weights)
            if i == 0:
                grid[i, j].set_title(DESIGNS.get(design, design))
        for j, design in enumerate(designs):  # when the scale of the row is known
            name_lines(rows.filter(target=target, design=design), grid[i, j], weights)
        grid[i, 0].set_ylabel(f"{title_of(target)}:\nimprovement (%)")
    mixed_in = " and ".join(map(title_of, rows["mix"].unique(maintain_order=True)))
    bars = "one seed: no intervals" if rows["low"].is_null().all() else "bars: 95%"
    note = f"start of midtraining (share of pretraining); numbers: share of {mixed_in}; {bars}"
    figure.supxlabel(f"{note}\n{held_fixed(designs, mixed_in)}".rstrip(), fontsize=7)
    headline(figure, timing_finding(rows))
    return figure


def curves(rows: pl.DataFrame, axes: Axes, weights: list[float]) -> None:
    """Improvement against the start, a line per weight: darker is more."""
    axes.axhline(0, color="0.7", linewidth=0.5)
    if "exposure" in rows["design"]:  # every start has a weight of its own; a line joins those of one exposure
        for _, along in rows.sort("start").group_by("special_tokens", maintain_order=True):
            axes.plot(along["start"], along["relative_improvement"] * 100, color="0.75", linewidth=0.8, zorder=0)
    for i, weight in enumerate(weights):
        own = rows.filter(pl.col("weight") == weight).sort("start")
        if own.is_empty():
            continue
        value, low, high = (own[name].cast(float).to_numpy() * 100 for name in ("relative_improvement", "low", "high"))
        # lines that begin at one place are set apart, so that their intervals do not overlap
        places = own["start"].to_numpy() + (i - (len(weights) - 1) / 2) * 0.006
        bars = [(value - low).tolist(), (high - value).tolist()]
        axes.errorbar(places, value, yerr=bars, fmt="o-", color=_color(i, len(weights)), markersize=3, elinewidth=0.7)


def name_lines(rows: pl.DataFrame, axes: Axes, weights: list[float]) -> None:
    """The weight of each line at its beginning; those that begin at one start are set apart."""
    firsts = rows.sort("start").group_by("weight", maintain_order=True).first()
    bottom, top = axes.get_ylim()
    for start, own in firsts.group_by("start", maintain_order=True):
        values = dict(own.select("weight", pl.col("relative_improvement") * 100).iter_rows())
        for weight, place in spread_labels(values, (top - bottom) * 0.08).items():
            color = _color(weights.index(weight), len(weights))
            axes.annotate(
                f"{weight:.0%}", (start[0], place), xytext=(5, 3), textcoords="offset points", fontsize=6, color=color,
            )  # fmt: skip


def _color(i: int, n: int) -> tuple[float, ...]:
    return colormaps["viridis_r"](0.15 + 0.85 * i / max(n - 1, 1))
