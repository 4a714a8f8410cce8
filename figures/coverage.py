"""How often intervals of 95% hold the truth, by half-splits before and by the jackknife now."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simtool.plots.panels import empty_figure, headline, legend_below
from simtool.plots.style import COLORS, DOUBLE, title_of
from simtool.plots.titles import metric_title

METRICS = ("token", "js", "kl", "size_free")
PANELS = {"cell": "Cell", "ceiling": "Noise ceiling of each sample"}
# a column's fill, size and name; the larger ring still shows where both are the same
WAYS = {
    "covered_half_splits": ("white", 5.2, "before: half-splits"),
    "covered_jackknife": (COLORS[0], 3.4, "now: jackknife"),
}
DESIGN = ("a", "documents_a", "b", "documents_b")


def draw(coverage: pl.DataFrame) -> Figure:
    figure = empty_figure(DOUBLE, 3.6)
    cells, ceilings = figure.subplots(1, 2, sharex=True, sharey=True)
    places = row_places(coverage)
    for axes, (what, title) in zip((cells, ceilings), PANELS.items(), strict=True):
        rows = coverage.filter(pl.col("what").str.starts_with(what))
        for row in rows.iter_rows(named=True):
            line_of(row, places[key_of(row)], axes)
        axes.axvline(row["claimed"], color="0.6", linewidth=0.8, linestyle=":", zorder=0)
        axes.set_title(title)
        axes.set_xlabel("share of intervals that hold it (dotted: claimed)")
    cells.set_yticks([*places.values()], [label for *_, label in places])
    cells.set_ylim(max(places.values()) + 0.7, -1.2)
    for design, place in first_places(places).items():
        cells.annotate(design, (0, place - 0.75), xycoords=("axes fraction", "data"), xytext=(3, 0),
                       textcoords="offset points", va="center", fontsize=6, color="0.25")  # fmt: skip
    headline(figure, finding(coverage))
    legend_below(figure, *legend(), columns=2)
    return figure


def key_of(row: dict) -> tuple[str, str]:
    """The pair of samples that a row is of, as people write it, and its metric."""
    a, n_a, b, n_b = (row[name] for name in DESIGN)
    return f"{title_of(a)}, {n_a:,} documents, and {title_of(b)}, {n_b:,}", metric_title(row["metric"])


def row_places(table: pl.DataFrame) -> dict[tuple[str, str], float]:
    """A line for each metric of each design, with room for the design's name above its first."""
    designs = dict.fromkeys(key_of(row)[0] for row in table.iter_rows(named=True))
    step = len(METRICS) + 1.2
    return {
        (design, title): i * step + j
        for i, design in enumerate(designs)
        for j, title in enumerate(map(metric_title, METRICS))
    }


def first_places(places: dict[tuple[str, str], float]) -> dict[str, float]:
    """Where each design begins."""
    return {design: min(y for (other, _), y in places.items() if other == design) for design, _ in places}


def line_of(row: dict, y: float, axes: Axes) -> None:
    """A dot before and one now, and what lies between them."""
    before, now = (row[way] for way in WAYS)
    if before is not None:
        axes.plot([before, now], [y, y], color="0.75", linewidth=0.8, zorder=1)
    for value, (color, size, _) in zip((before, now), WAYS.values(), strict=True):
        if value is not None:
            axes.plot(value, y, "o", color=color, markeredgecolor=COLORS[0], markersize=size, zorder=2)


def finding(table: pl.DataFrame) -> str:
    """What the intervals of noise ceilings hold, before and now."""
    ceilings = table.filter(pl.col("what").str.starts_with("ceiling"))
    before, now = (f"{ceilings[way].min():.0%} to {ceilings[way].max():.0%}" for way in WAYS)
    return f"Intervals of 95% held a noise ceiling in {before} of draws by half-splits, and hold it in {now} now"


def legend() -> tuple[list[Line2D], list[str]]:
    dots = [
        Line2D([], [], color=color, marker="o", markeredgecolor=COLORS[0], markersize=size, linestyle="")
        for color, size, _ in WAYS.values()
    ]
    return dots, [label for *_, label in WAYS.values()]
