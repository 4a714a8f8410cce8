"""The five corpora that the argument turns on, for one column of a paper."""

import polars as pl
from matplotlib.figure import Figure

from simtool.plots.heatmap import cells_by, heatmap
from simtool.plots.panels import empty_figure
from simtool.plots.style import SINGLE

CORPORA = ("c4", "starcoder", "math", "pycode", "gsm8k")


def draw(corpus_similarity: pl.DataFrame) -> Figure:
    cells = cells_by(corpus_similarity, "token", "token")
    figure = empty_figure(SINGLE, 3.1)
    heatmap(cells.filter(pl.col("row").is_in(CORPORA) & pl.col("column").is_in(CORPORA)), figure.subplots(), size=7)
    return figure
