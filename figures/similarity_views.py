"""How alike words, spelling, syntax and meaning order the pairs of corpora."""

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from simtool.plots.heatmap import ink_on, short
from simtool.plots.panels import empty_figure, headline


def draw(similarity_views: pl.DataFrame) -> Figure:
    views = list(dict.fromkeys((*similarity_views["view_a"], *similarity_views["view_b"])))
    n = len(views)
    values = np.full((n, n), np.nan)
    figure = empty_figure(1.5 + 0.48 * n, 0.9 + 0.42 * n)
    axes = figure.subplots()
    for row in similarity_views.iter_rows(named=True):
        values[views.index(row["view_b"]), views.index(row["view_a"])] = row["spearman"]
    shown = values[1:, :-1]
    image = axes.imshow(shown, cmap="cividis", vmin=min(0, np.nanmin(shown)), vmax=1, aspect="auto")
    for row in similarity_views.iter_rows(named=True):
        x, y = views.index(row["view_a"]), views.index(row["view_b"]) - 1
        ink = ink_on(image, row["spearman"])
        axes.text(x, y - 0.14, short(row["spearman"]), ha="center", va="center", color=ink, fontsize=7)
        axes.text(
            x, y + 0.24, f"{short(row['low'])}–{short(row['high'])}", ha="center", va="center", color=ink, fontsize=5
        )
    axes.set_xticks(range(n - 1), views[:-1], rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n - 1), views[1:])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    n_cells = similarity_views["n_cells"][0]
    axes.set_xlabel(f"Spearman's ρ between orders of {n_cells} pairs of corpora; below: 95% over corpora", fontsize=6)
    headline(figure, finding(similarity_views))
    return figure


def finding(table: pl.DataFrame) -> str:
    """The range of ρ between views of symbols, and between these and embeddings."""
    embedded = {side: pl.col(side).str.starts_with("embedding") for side in ("view_a", "view_b")}
    symbols = table.filter(~embedded["view_a"], ~embedded["view_b"])["spearman"]
    across = table.filter(embedded["view_a"] != embedded["view_b"])["spearman"]
    text = f"Words, spelling and syntax order the pairs alike: ρ {short(symbols.min())} to {short(symbols.max())}"
    return f"{text}; embeddings less: {short(across.min())} to {short(across.max())}" if len(across) else text
