"""A similarity matrix: every cell with its interval, the split-half ceiling of each corpus on the diagonal."""

import polars as pl
from matplotlib.figure import Figure

from simtool.plots.heatmap import heatmap
from simtool.plots.panels import empty_figure
from simtool.plots.style import DOUBLE


def draw(similarity_matrix: pl.DataFrame) -> Figure:
    """Up to a dozen corpora fill two columns of a paper; more make it larger, so that cells stay legible."""
    n = similarity_matrix["row"].n_unique()
    width = max(min(DOUBLE, 1.9 + 0.56 * n), 0.42 * n + 1.6)
    figure = empty_figure(width, width * 0.87)
    heatmap(similarity_matrix, figure.subplots())
    return figure
