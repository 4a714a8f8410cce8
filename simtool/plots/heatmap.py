"""Matrices as heatmaps: the cells of a similarity matrix with their intervals, or their colours alone."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from simtool.plots.panels import headline
from simtool.plots.style import title_of, wrapped
from simtool.plots.titles import similarity_title

COLORMAP = "viridis"  # even in lightness, so that it can be read in grey and by colour-blind readers


def heatmap(table: pl.DataFrame, axes: Axes, size: float = 6.2) -> None:
    """Every cell of a similarity matrix, its mean above and half of its interval's width below.

    Parameters
    ----------
    table
        Of `SimilarityMatrix.to_polars()`.
    size
        Of the mean's letters, in points.
    """
    names = names_of(table)
    n = len(names)
    values, low, high, at_ceiling = (cells_of(table, column) for column in ("value", "low", "high", "at_ceiling"))
    title = similarity_title(table["metric"][0], table["feature"][0])
    image = shade(table, axes)
    for i in range(n):
        for j in range(n):
            ink = ink_on(image, values[i, j])
            mark = "≈" if at_ceiling[i, j] else ""
            axes.text(j, i - 0.13, f"{mark}{short(values[i, j])}", ha="center", va="center", color=ink, fontsize=size)
            spread = f"±{short((high[i, j] - low[i, j]) / 2, 3)}"
            axes.text(j, i + 0.25, spread, ha="center", va="center", color=ink, fontsize=size * 0.68)
        axes.add_patch(Rectangle((i - 0.46, i - 0.46), 0.92, 0.92, fill=False, edgecolor="white", linewidth=1))
    axes.set_xticks(range(n), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), names)
    headline(axes.figure, most_similar_pair(table))
    axes.set_xlabel(wrapped(heatmap_notes(table), axes.figure.get_figwidth()), fontsize=6)
    sense = "higher" if higher_is_alike(table) else "lower"
    axes.figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02, label=f"{title}\n({sense}: more similar)")


def most_similar_pair(table: pl.DataFrame) -> str:
    """The finding of a matrix: which two corpora are most similar, and how near to their noise ceilings."""
    pairs = table.filter(pl.col("row") != pl.col("column")).sort("value", descending=higher_is_alike(table))
    if pairs.is_empty():
        return "Noise ceiling (split-half)"
    best = pairs.row(0, named=True)
    ceilings = dict(table.filter(pl.col("row") == pl.col("column")).select("row", "value").iter_rows())
    ends = [short(ceilings[corpus]) for corpus in (best["row"], best["column"])]
    pair = f"{title_of(best['row'])} and {title_of(best['column'])}"
    return f"Most similar: {pair}, {short(best['value'])}; their noise ceilings: {' and '.join(ends)}"


def heatmap_notes(table: pl.DataFrame) -> str:
    """How to read the cells."""
    notes = ["diagonal: noise ceiling (split-half)", "±: half the 95% interval"]
    notes += ["*: proxy corpus"] if table["row_is_proxy"].any() else []
    notes += ["≈: not distinguishable from the ceiling"] if table["at_ceiling"].any() else []
    return f"{table['tokens'][0]:,} tokens per corpus; {'; '.join(notes)}"


def higher_is_alike(table: pl.DataFrame) -> bool:
    """Whether two samples of the same text, on the diagonal, score above the others."""
    values = cells_of(table, "value")
    return bool(values.diagonal().mean() >= values.mean())


def shade(table: pl.DataFrame, axes: Axes, low: float | None = None, high: float | None = None):
    """The colours alone: bright is alike, whichever end of the metric that is."""
    values = cells_of(table, "value")
    colors = COLORMAP if higher_is_alike(table) else f"{COLORMAP}_r"
    image = axes.imshow(values, cmap=colors, vmin=low, vmax=high)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def names_of(table: pl.DataFrame) -> list[str]:
    first = table.unique("row", keep="first", maintain_order=True)
    return [title_of(corpus, proxy) for corpus, proxy in first.select("row", "row_is_proxy").iter_rows()]


def cells_of(table: pl.DataFrame, column: str):
    n = table["row"].n_unique()
    return table[column].to_numpy().reshape(n, n)


def ink_on(image, value: float) -> str:
    red, green, blue, _ = image.cmap(image.norm(value))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"  # luma, ITU-R BT.601


def short(value: float, digits: int = 2) -> str:
    """.87 for 0.87 and −.14 for -0.14: in a cell, every letter counts."""
    text = f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")  # a hyphen reads as a dash between two numbers
    return text.replace("0.", ".", 1) if text.startswith(("0.", "\N{MINUS SIGN}0.")) else text


def cells_by(table: pl.DataFrame, metric: str, feature: str) -> pl.DataFrame:
    """The cells of one metric on one feature."""
    return table.filter((pl.col("metric") == metric) & (pl.col("feature") == feature))
