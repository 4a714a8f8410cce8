"""A study's losses after SFT: the improvement of each mixture and target over the control, with intervals."""

import math

import polars as pl
from matplotlib.figure import Figure

from simtool.plots.latex import latex_table
from simtool.plots.panels import empty_figure, improvement_bars, largest_improvement, legend_below, limit_to_bars
from simtool.plots.rows import earliest, first_design
from simtool.plots.style import DOUBLE, title_of
from simtool.plots.titles import size_title
from simtool.statistics import t_quantile
from simtool.wording import plural


def draw(study_effects: pl.DataFrame) -> Figure:
    """The paper's arms of every size, a row per size."""
    rows = study_effects.filter(pl.col("design") == first_design(study_effects))
    sizes = rows["size"].cast(str).unique(maintain_order=True).to_list()
    figure = empty_figure(DOUBLE, 0.6 + 2.0 * len(sizes))
    # room at the left that constrained layout leaves out with a single panel
    figure.get_layout_engine().set(rect=(0.01, 0, 0.99, 1))
    panels = figure.subplots(len(sizes), 1, squeeze=False)[:, 0]
    for axes, size in zip(panels, sizes, strict=True):
        own = earliest(rows.filter(pl.col("size").cast(str) == size))
        improvement_bars(own, axes)
        fewest, most = own["n_seeds"].min(), own["n_seeds"].max()
        seeds = plural(most, "seed") if fewest == most else f"{fewest} to {most} seeds"
        cut = ", cut where they leave the panel" if limit_to_bars(own, axes) else ""
        axes.set_title(f"Model {size_title(size)}: {largest_improvement(own)}")
        axes.set_xlabel(f"target (control's loss, nats per token); bars: 95% over documents and {seeds}{cut}")
    legend_below(figure, *panels[0].get_legend_handles_labels(), columns=5)
    return figure


def latex(study_losses: pl.DataFrame) -> str:
    """Loss of every arm on every target: mean over seeds with the 95% interval that they allow (Student's t)."""

    blocks = []
    for size, design in study_losses.select("size", "design").unique(maintain_order=True).iter_rows():
        rows = study_losses.filter((pl.col("size") == size) & (pl.col("design") == design))
        targets = rows["target"].drop_nulls().unique(maintain_order=True).to_list()
        body = []
        for (arm,), own in rows.group_by("arm", maintain_order=True):
            cells = []
            for target in targets:
                losses = own.filter(pl.col("target") == target)["loss"].drop_nulls()
                n = len(losses)
                half = t_quantile(n - 1) * losses.std() / math.sqrt(n) if n > 1 else None
                interval = "" if half is None else f" ± {half:.3f}"
                cells.append(f"{losses.mean():.3f}{interval}" if n else "--")
            body.append([str(arm), *cells])
        caption = f"Losses after SFT, {size}, design {design}: nats per token, mean and 95% interval over seeds."
        blocks.append(latex_table(["arm", *map(title_of, targets)], body, caption))
    return "\n".join(blocks)
