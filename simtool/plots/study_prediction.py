"""What was predicted before a study was trained, against what came out: every mixture and target, with intervals."""

import polars as pl
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, headline, legend_below
from simtool.plots.rows import earliest, first_design
from simtool.plots.scatter import scatter, scatter_legend, separate_names
from simtool.plots.style import DOUBLE, colors_of, title_of
from simtool.plots.titles import size_title

LABELS = 3  # points named in each panel


def draw(study_effects: pl.DataFrame, study_agreement: pl.DataFrame) -> Figure:
    """A panel per size, of the points that r is over: midtraining arms, each with its earliest start."""
    rows = study_effects.filter(
        pl.col("design") == first_design(study_effects),
        pl.col("kind") == "midtrain",
        pl.col("predicted").is_not_null(),
    ).with_columns(pl.col("size").cast(str))
    sizes = rows["size"].unique(maintain_order=True).to_list()
    colors = colors_of(rows["mix"])
    figure = empty_figure(min(DOUBLE, 1.2 + 2.6 * len(sizes)), 3.5)
    panels = figure.subplots(1, len(sizes), squeeze=False, sharey=True)[0]
    for axes, size in zip(panels, sizes, strict=True):
        agreement = study_agreement.filter(pl.col("size").cast(str) == size, pl.col("predictor") == "predicted")
        scatter(earliest(rows.filter(size=size)), pl.DataFrame(), agreement, axes, colors, LABELS)
        axes.set_title(f"Model {size_title(size)}: {axes.get_title()}")
        axes.set_xlabel("proximity advantage, predicted before training")
    panels[0].set_ylabel("relative improvement after SFT (%)")
    headline(figure, finding(earliest(rows.filter(size=sizes[-1]))))
    legend_below(figure, *scatter_legend(rows, colors), columns=3)
    separate_names(figure)
    return figure


def finding(points: pl.DataFrame) -> str:
    """Of how many targets the mixture that was predicted to be best came out best."""
    targets = points["target"].unique(maintain_order=True).to_list()
    columns = ("predicted", "relative_improvement")
    hits = [target for target in targets if len({_best(points, target, column) for column in columns}) == 1]
    return f"The mixture predicted to be best came out best on {len(hits)} of {len(targets)} targets" + (
        f": {', '.join(map(title_of, hits))}" if 0 < len(hits) < len(targets) else ""
    )


def _best(points: pl.DataFrame, target: str, column: str) -> tuple[str, float]:
    return points.filter(pl.col("target") == target).sort(column).select("mix", "weight").row(-1)
