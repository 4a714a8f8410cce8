"""Which predictor agrees with the published 410M results, on all pairs and without the one that dominates."""

import polars as pl
from matplotlib.figure import Figure

from figures.panels import tournament


def draw(predictor_tournament: pl.DataFrame) -> Figure:
    rows = predictor_tournament.filter(pl.col("size") == "410m")
    title = "Predictors fixed beforehand, and the same-domain baseline\npublished 410M results, proxy corpora"
    return tournament(rows, title)
