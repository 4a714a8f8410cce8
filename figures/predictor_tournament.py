"""Which predictor agrees with the published 410M results, on all pairs and without the one that dominates."""

import polars as pl
from matplotlib.figure import Figure

from simtool.plots import COLORS


def draw(predictor_tournament: pl.DataFrame) -> Figure:
    """The fixed candidates and the plain baseline, best when any one target is left out first."""
    rows = predictor_tournament.filter(
        (pl.col("size") == "410m") & (pl.col("candidate") | (pl.col("predictor") == "matched domain"))
    ).sort("lowest_without_a_target", descending=False)
    figure = Figure(figsize=(5.5, 1.3 + 0.19 * rows.height), layout="constrained")
    axes = figure.subplots()
    places = range(rows.height)
    axes.hlines(places, rows["pearson_low"], rows["pearson_high"], color="0.8", linewidth=3, label="95%, bootstrap")
    for column, label, marker, color in (
        ("pearson", "all 20 pairs", "o", COLORS[0]),
        ("pearson_without_starcoder_pycode", "without StarCoder → PyCode", "s", COLORS[1]),
        ("lowest_without_a_target", "lowest without one target", "|", "black"),
    ):
        axes.plot(rows[column], places, marker, color=color, label=label, markersize=4.5 if marker != "|" else 8)
    axes.axvline(0, color="0.2", linewidth=0.8)
    axes.set_yticks(places, rows["predictor"])
    axes.set_xlim(-1, 1.02)
    axes.set_xlabel("Pearson correlation with the relative improvement after SFT")
    axes.set_title(
        "Predictors fixed beforehand, and the guess 'matched domain'\npublished 410M results, stand-in corpora"
    )
    figure.legend(frameon=False, fontsize=7, loc="outside lower center", ncols=2)
    return figure
