"""The same thirteen corpora by words, spelling and syntax: Jensen-Shannon divergence on four features."""

import polars as pl
from matplotlib.figure import Figure

from simtool.plots.heatmap import cells_by, names_of, shade
from simtool.plots.panels import empty_figure
from simtool.plots.style import DOUBLE

VIEWS = {
    "token": "words (tokens)",
    "char4": "spelling (4 characters)",
    "skeleton1": "syntax (single symbols)",
    "skeleton3": "syntax (triples)",
}


def draw(corpus_similarity: pl.DataFrame) -> Figure:
    figure = empty_figure(DOUBLE, 6.3)
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    names = names_of(cells_by(corpus_similarity, "js", "token"))
    for axes, (feature, title) in zip(grid.flat, VIEWS.items(), strict=True):
        image = shade(cells_by(corpus_similarity, "js", feature), axes, 0, 1)
        axes.set_title(title)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
    figure.colorbar(image, ax=grid, shrink=0.5, pad=0.02, label="Jensen-Shannon divergence (bits); yellow: alike")
    return figure
