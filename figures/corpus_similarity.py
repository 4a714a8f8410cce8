"""The paper's score between the thirteen corpora whose profiles ship."""

import polars as pl
from matplotlib.figure import Figure

from simtool.plots.heatmap import cells_by, heatmap
from simtool.plots.panels import empty_figure
from simtool.plots.style import DOUBLE


def draw(corpus_similarity: pl.DataFrame) -> Figure:
    figure = empty_figure(DOUBLE, 5.9)
    heatmap(cells_by(corpus_similarity, "token", "token"), figure.subplots(), size=5.6)
    return figure
