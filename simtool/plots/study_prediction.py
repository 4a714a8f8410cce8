"""What was predicted before a study was trained, against what came out: every mixture and target, with intervals."""

import polars as pl
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, legend_below
from simtool.plots.rows import earliest, first_design
from simtool.plots.scatter import scatter, scatter_legend
from simtool.plots.style import DOUBLE


def draw(study_effects: pl.DataFrame, study_agreement: pl.DataFrame) -> Figure:
    """A panel per size; r is over midtraining arms, without continued pretraining."""
    rows = study_effects.filter(pl.col("design") == first_design(study_effects), pl.col("predicted").is_not_null())
    sizes = rows["size"].cast(str).unique(maintain_order=True).to_list()
    figure = empty_figure(min(DOUBLE, 1.2 + 2.6 * len(sizes)), 3.4)
    panels = figure.subplots(1, len(sizes), squeeze=False, sharey=True)[0]
    for axes, size in zip(panels, sizes, strict=True):
        agreed = study_agreement.filter(pl.col("size").cast(str) == size, pl.col("predictor") == "predicted")
        scatter(earliest(rows.filter(pl.col("size").cast(str) == size)), pl.DataFrame(), agreed, axes)
        axes.set_title(f"{size}: {axes.get_title()}")
        axes.set_xlabel("proximity advantage, predicted")
    panels[0].set_ylabel("relative improvement (%)")
    legend_below(figure, *scatter_legend(rows), columns=3)
    return figure
