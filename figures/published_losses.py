"""The published losses after SFT: how much each mixture changes each target against the control."""

import polars as pl
from matplotlib.figure import Figure

from simtool.plots.latex import latex_table
from simtool.plots.panels import empty_figure, improvement_bars, largest_improvement, legend_below
from simtool.plots.style import DOUBLE, title_of
from simtool.plots.titles import size_title

SIZE = "410m"  # the one that was published whole


def draw(published_results: pl.DataFrame) -> Figure:
    rows = published_results.filter(pl.col("size") == SIZE).with_columns(
        relative_improvement=(pl.col("control_loss") - pl.col("loss")) / pl.col("control_loss"),
        low=pl.lit(None, pl.Float64),
        high=pl.lit(None, pl.Float64),
    )
    figure = empty_figure(DOUBLE, 2.5)
    axes = figure.subplots()
    improvement_bars(rows, axes)
    axes.set_title(f"Published, {size_title(SIZE)}: {largest_improvement(rows)}")
    axes.set_xlabel("target (control's loss, nats per token); published without intervals")
    legend_below(figure, *axes.get_legend_handles_labels(), columns=6)
    return figure


def latex(published_results: pl.DataFrame) -> str:
    """Every published loss, a row per mixture and a column per target."""
    blocks = []
    for size in published_results["size"].unique(maintain_order=True):
        rows = published_results.filter(pl.col("size") == size)
        targets = rows["target"].unique(maintain_order=True).to_list()
        body = [["control", *(f"{loss_of(rows, None, None, target, 'control_loss')}" for target in targets)]]
        for mix, weight in rows.select("mix", "weight").unique(maintain_order=True).iter_rows():
            cells = [loss_of(rows, mix, weight, target, "loss") for target in targets]
            body.append([f"{title_of(mix)} {weight:.0%}", *cells])
        caption = (
            f"Losses after SFT as published (arXiv:2510.14865), {size}, nats per token; published without intervals."
        )
        blocks.append(latex_table(["mixture", *map(title_of, targets)], body, caption))
    return "\n".join(blocks)


def loss_of(rows: pl.DataFrame, mix: str | None, weight: float | None, target: str, column: str) -> str:
    """A loss as it is printed; a dash where none was published."""
    cells = rows.filter(pl.col("target") == target)
    if mix is not None:
        cells = cells.filter((pl.col("mix") == mix) & (pl.col("weight") == weight))
    return f"{cells[column][0]:.3f}" if cells.height else "--"
