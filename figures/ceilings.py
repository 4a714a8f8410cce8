"""Each corpus's noise ceiling, and how far below it the most similar other corpora lie, with intervals."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simtool.plots.heatmap import cells_by
from simtool.plots.panels import empty_figure, headline, legend_below
from simtool.plots.style import SINGLE, color_of, title_of

NEAREST = 3


def draw(corpus_similarity: pl.DataFrame) -> Figure:
    cells = cells_by(corpus_similarity, "token", "token")
    figure = empty_figure(SINGLE, 4.1)
    axes = figure.subplots()
    for y, corpus in enumerate(corpora_of(cells)):
        line_of(cells.filter(pl.col("row") == corpus), y, axes)
    proxies = dict(cells.select("row", "row_is_proxy").iter_rows())
    axes.set_yticks(range(len(proxies)), [title_of(name, proxies[name]) for name in corpora_of(cells)])
    axes.set_ylim(len(proxies) - 0.5, -0.8)
    axes.set_xlabel(f"paper's score at {cells['tokens'][0]:,} tokens per corpus\n*: proxy corpus")
    headline(figure, finding(cells))
    legend_below(figure, *legend(), columns=1)
    return figure


def corpora_of(cells: pl.DataFrame) -> list[str]:
    return cells["row"].unique(maintain_order=True).to_list()


def line_of(own: pl.DataFrame, y: int, axes: Axes) -> None:
    """One line per corpus: its ceiling (bar) and the corpora that are most similar to it (dots)."""
    ceiling = own.filter(pl.col("column") == pl.col("row")).row(0, named=True)
    axes.plot([ceiling["low"], ceiling["high"]], [y, y], color="0.6", linewidth=4, solid_capstyle="butt")
    axes.plot(ceiling["value"], y, "|", color="black", markersize=8)
    for i, cell in enumerate(most_similar(own).iter_rows(named=True)):
        axes.plot([cell["low"], cell["high"]], [y, y], color=color_of(cell["column"]), linewidth=1)
        axes.plot(cell["value"], y, "o", color=color_of(cell["column"]), markersize=3.2)
        if i == 0:
            axes.annotate(
                title_of(cell["column"]), (cell["value"], y), xytext=(0, 3), textcoords="offset points",
                ha="center", fontsize=5.5, color="0.25",
            )  # fmt: skip


def most_similar(own: pl.DataFrame) -> pl.DataFrame:
    return own.filter(pl.col("column") != pl.col("row")).sort("value", descending=True).head(NEAREST)


def finding(cells: pl.DataFrame) -> str:
    """How far every corpus is from the one most similar to it."""
    gaps = {}
    for corpus in corpora_of(cells):
        own = cells.filter(pl.col("row") == corpus)
        ceiling = own.filter(pl.col("column") == corpus)["value"][0]
        gaps[corpus] = ceiling - most_similar(own)["value"][0]
    least, most = min(gaps, key=gaps.__getitem__), max(gaps, key=gaps.__getitem__)
    ends = f"{gaps[least]:.2f} ({title_of(least)}) to {gaps[most]:.2f} ({title_of(most)})"
    return f"The most similar other corpus lies {ends} below the noise ceiling"


def legend() -> tuple[list[Line2D], list[str]]:
    bar = Line2D([], [], color="0.6", linewidth=4, marker="|", markeredgecolor="black", markersize=8)
    dot = Line2D([], [], color="0.35", linewidth=1, marker="o", markersize=3.2)
    return [bar, dot], ["noise ceiling (split-half)", f"the {NEAREST} most similar corpora, the first named"]
