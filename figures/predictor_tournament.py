"""Which predictor agrees with the published 410M results, on all pairs and without the one that dominates."""

import polars as pl
from matplotlib.figure import Figure

from figures.panels import GUESS, tournament


def draw(predictor_tournament: pl.DataFrame) -> Figure:
    rows = predictor_tournament.filter(pl.col("size") == "410m")
    title = f"Predictors fixed beforehand, and the guess '{GUESS}'\npublished 410M results, stand-in corpora"
    return tournament(rows, title)
