"""How alike words, spelling, syntax and meaning order the pairs of corpora."""

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from simtool.plots.heatmap import ink_on, short
from simtool.plots.panels import empty_figure


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
    axes.set_title(f"Rank correlation of {similarity_views['n_cells'][0]} pairs of corpora\nbelow: 95% over corpora")
    return figure
