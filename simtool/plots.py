"""Drawings of tables on a given Axes. To add one, write a function `name(table, axes)`.

Identical tables give identical bytes: nothing of the day or the machine goes into a file.
"""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from simtool.similarity.metrics import find_metric
from simtool.tables import written_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    "svg.hashsalt": "simtool",
    "figure.dpi": 200,
}
FORMATS = ("png", "svg", "pdf")


@contextmanager
def paper_style() -> "Iterator[None]":
    import matplotlib

    matplotlib.use("Agg")
    with matplotlib.rc_context(STYLE):
        yield


def save_figure(figure: "Figure", stem: Path) -> list[Path]:
    """`stem`.png, .svg and .pdf."""
    paths = [Path(f"{stem}.{ending}") for ending in FORMATS]
    undated = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    for ending, path in zip(FORMATS, paths, strict=True):
        with written_whole(path) as temporary:
            figure.savefig(temporary, format=ending, bbox_inches="tight", metadata=undated[ending])
    return paths


def similarity_heatmap(table: "pl.DataFrame", axes: "Axes") -> None:
    """Every cell of a similarity matrix with its interval; the diagonal, framed, is each corpus's ceiling.

    table   SimilarityMatrix.to_polars()
    """
    from matplotlib.patches import Rectangle

    first = table.unique("row", keep="first", maintain_order=True)
    names = [
        f"{name} †" if stand_in else name for name, stand_in in zip(first["row"], first["row_stand_in"], strict=True)
    ]
    n = len(names)
    values, low, high = (table[column].to_numpy().reshape(n, n) for column in ("value", "low", "high"))
    at_ceiling = table["at_ceiling"].to_numpy().reshape(n, n)
    metric, feature, tokens = (table[column][0] for column in ("metric", "feature", "tokens"))
    # bright is alike, whichever end of the metric that is
    image = axes.imshow(values, cmap="viridis" if find_metric(metric).alike == "high" else "viridis_r")
    for i in range(n):
        for j in range(n):
            red, green, blue, _ = image.cmap(image.norm(values[i, j]))
            ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"  # luma, ITU-R BT.601
            mark = "≈" if at_ceiling[i, j] else ""
            axes.text(j, i - 0.08, f"{mark}{values[i, j]:.2f}", ha="center", va="center", color=ink, fontsize=7)
            axes.text(
                j, i + 0.24, f"{low[i, j]:.2f}–{high[i, j]:.2f}", ha="center", va="center", color=ink, fontsize=4.5
            )
        axes.add_patch(Rectangle((i - 0.47, i - 0.47), 0.94, 0.94, fill=False, edgecolor="white", linewidth=1.2))
    axes.set_xticks(range(n), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    notes = "diagonal: split-half ceiling" + ("; †: stand-in" if first["row_stand_in"].any() else "")
    axes.set_title(f"{metric} on {feature}, {tokens:,} tokens a corpus\n{notes}")
    axes.figure.colorbar(image, ax=axes, shrink=0.8, label=metric)


def matrix_figure(table: "pl.DataFrame") -> "Figure":
    """The heatmap on a figure of its own, sized so that cells stay legible."""
    from matplotlib.figure import Figure

    n = table["row"].n_unique()
    side = 1.6 + 0.52 * n
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    similarity_heatmap(table, figure.subplots())
    return figure
