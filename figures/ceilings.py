"""Each corpus's ceiling, and how far below it the nearest other corpora lie, with intervals."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.heatmap import cells_by
from simtool.plots.panels import single_panel
from simtool.plots.style import SINGLE, color_of, title_of

NEAREST = 3


def draw(corpus_similarity: pl.DataFrame) -> Figure:
    return single_panel(ceilings, SINGLE, 3.9, cells_by(corpus_similarity, "token", "token"))


def ceilings(cells: pl.DataFrame, axes: Axes) -> None:
    """One line per corpus: its ceiling (bar) and its nearest neighbours (dots), cells of one similarity."""
    corpora = cells["row"].unique(maintain_order=True).to_list()
    proxies = dict(cells.select("row", "row_is_proxy").iter_rows())
    for y, corpus in enumerate(corpora):
        own = cells.filter(pl.col("row") == corpus)
        ceiling = own.filter(pl.col("column") == corpus).row(0, named=True)
        axes.plot([ceiling["low"], ceiling["high"]], [y, y], color="0.6", linewidth=4, solid_capstyle="butt")
        axes.plot(ceiling["value"], y, "|", color="black", markersize=8)
        near = own.filter(pl.col("column") != corpus).sort("value", descending=True).head(NEAREST)
        for cell in near.iter_rows(named=True):
            axes.plot([cell["low"], cell["high"]], [y, y], color=color_of(cell["column"]), linewidth=1)
            axes.plot(cell["value"], y, "o", color=color_of(cell["column"]), markersize=3.2)
        nearest = near.row(0, named=True)
        axes.annotate(
            title_of(nearest["column"]), (nearest["value"], y), xytext=(0, 3), textcoords="offset points",
            ha="center", fontsize=5.5, color="0.25",
        )  # fmt: skip
    axes.set_yticks(range(len(corpora)), [title_of(name, proxies[name]) for name in corpora])
    axes.set_ylim(len(corpora) - 0.5, -0.8)
    axes.set_xlabel(f"token score at {cells['tokens'][0]:,} tokens per corpus")
    axes.set_title(
        f"| ceiling with its 95% interval\n● the {NEAREST} nearest corpora, the nearest named\n*: proxy corpus"
    )
