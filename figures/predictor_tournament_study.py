"""Which predictor agrees with our own study: the same tournament on its largest model."""

import polars as pl
from matplotlib.figure import Figure

from figures.panels import tournament


def draw(predictor_tournament_study: pl.DataFrame) -> Figure:
    size = predictor_tournament_study["size"][-1]
    rows = predictor_tournament_study.filter(pl.col("size") == size)
    return tournament(rows, f"Predictors fixed beforehand, and the same-domain baseline\nour study, {size}")
