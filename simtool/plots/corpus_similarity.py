"""The paper's score between the thirteen corpora whose profiles ship."""

import polars as pl
from matplotlib.figure import Figure

from simtool.plots import DOUBLE, blank
from simtool.plots.similarity_matrix import heatmap


def draw(corpus_similarity: pl.DataFrame) -> Figure:
    figure = blank(DOUBLE, 5.9)
    heatmap(chosen(corpus_similarity, "token", "token"), figure.subplots(), size=5.6)
    return figure


def chosen(table: pl.DataFrame, metric: str, feature: str) -> pl.DataFrame:
    """The cells of one metric on one feature."""
    return table.filter((pl.col("metric") == metric) & (pl.col("feature") == feature))
