"""What is left of the agreement of advantage and benefit when a target or a pair is left out."""

import polars as pl
from matplotlib.figure import Figure

from simtool.plots import COLORS, DOUBLE, blank, legend_below, title_of

PAIRS = 4  # that matter most, of each predictor


def draw(advantage_agreement: pl.DataFrame) -> Figure:
    """The largest table of results, a column a predictor: all, each target left out, the pairs that matter most."""
    size = advantage_agreement.filter(pl.col("left_out") == "").sort("n")["size"][-1]
    rows = advantage_agreement.filter(pl.col("size") == size)
    predictors = rows["predictor"].unique(maintain_order=True).to_list()
    figure = blank(DOUBLE, 2.8)
    panels = figure.subplots(1, len(predictors), sharex=True, squeeze=False)[0]
    for axes, predictor in zip(panels, predictors, strict=True):
        own = rows.filter(pl.col("predictor") == predictor)
        pairs = own.filter(pl.col("left_out").str.starts_with("pair")).sort("pearson", nulls_last=True).head(PAIRS)
        shown = pl.concat([own.filter(~pl.col("left_out").str.starts_with("pair")), pairs])
        places = range(shown.height)
        axes.hlines(places, shown["pearson_low"], shown["pearson_high"], color="0.8", linewidth=2.6, label="95%")
        axes.plot(shown["pearson"], places, "o", color=COLORS[0], markersize=4, label="Pearson")
        axes.plot(shown["spearman"], places, "x", color=COLORS[1], markersize=4, label="Spearman")
        axes.axvline(0, color="0.2", linewidth=0.8)
        axes.set_yticks(places, [readable(name) for name in shown["left_out"]])
        axes.invert_yaxis()
        axes.set_xlim(-1.02, 1.02)
        axes.set_title(f"{predictor}, {size}")
    for axes in panels:
        axes.set_xlabel("correlation with the relative improvement")
    legend_below(figure, *panels[0].get_legend_handles_labels(), columns=3)
    return figure


def readable(left_out: str) -> str:
    """ "pair starcoder -> pycode" becomes "without StarCoder → PyCode"."""
    if not left_out:
        return "all results"
    return "without " + " → ".join(title_of(name) for name in left_out.split(" ", 1)[1].split(" -> "))
