"""The published losses after SFT: how much each mixture changes each target against the control."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots import DOUBLE, blank, color_of, legend_below, title_of
from simtool.plots._latex import latex_table

SIZE = "410m"  # the one that was published whole


def draw(published_results: pl.DataFrame) -> Figure:
    rows = published_results.filter(pl.col("size") == SIZE).with_columns(
        relative_improvement=(pl.col("control_loss") - pl.col("loss")) / pl.col("control_loss"),
        low=pl.lit(None, pl.Float64),
        high=pl.lit(None, pl.Float64),
    )
    figure = blank(DOUBLE, 2.3)
    axes = figure.subplots()
    improvements(rows, axes)
    axes.set_title(f"Published, {SIZE}: loss of the control in brackets; no intervals were published")
    legend_below(figure, *axes.get_legend_handles_labels(), columns=6)
    return figure


def improvements(rows: pl.DataFrame, axes: Axes) -> None:
    """Bars of the relative improvement, target by target, a colour a mixture, with intervals where there are any.

    rows   mix, weight, target, control_loss, relative_improvement, low, high
    """
    targets = rows["target"].unique(maintain_order=True).to_list()
    arms = rows.select("mix", "weight").unique(maintain_order=True).rows()
    width = 0.8 / len(arms)
    for i, (mix, weight) in enumerate(arms):
        own = rows.filter((pl.col("mix") == mix) & (pl.col("weight") == weight))
        places = np.array([targets.index(target) for target in own["target"]]) + (i - (len(arms) - 1) / 2) * width
        value, low, high = (
            own[name].cast(pl.Float64).to_numpy() * 100 for name in ("relative_improvement", "low", "high")
        )
        hatch = "////" if weight == 1 else None  # continued pretraining
        shares = sorted(share for name, share in arms if name == mix and share < 1)
        paler = 0.4 * (1 - shares.index(weight) / (len(shares) - 1)) if len(shares) > 1 and weight < 1 else 0.0
        axes.bar(
            places, value, width * 0.9, color=color_of(mix), alpha=1 - paler, label=f"{title_of(mix)} {weight:.0%}",
            hatch=hatch, edgecolor="white" if hatch else color_of(mix), linewidth=0.4,
        )  # fmt: skip
        there = np.isfinite(low) & np.isfinite(high)
        if there.any():
            spread = np.maximum([value - low, high - value], 0)[:, there]
            axes.errorbar(places[there], value[there], yerr=spread, fmt="none", ecolor="0.2", elinewidth=0.7)
    axes.axhline(0, color="0.2", linewidth=0.8)
    controls = {target: rows.filter(pl.col("target") == target)["control_loss"].mean() for target in targets}
    axes.set_xticks(range(len(targets)), [f"{title_of(name)} ({controls[name]:.3f})" for name in targets])
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("improvement over\nthe control (%)")


def latex(published_results: pl.DataFrame) -> str:
    """Every published loss, a row a mixture and a column a target."""
    blocks = []
    for size in published_results["size"].unique(maintain_order=True):
        rows = published_results.filter(pl.col("size") == size)
        targets = rows["target"].unique(maintain_order=True).to_list()
        body = [["control", *(f"{loss_of(rows, None, None, target, 'control_loss')}" for target in targets)]]
        for mix, weight in rows.select("mix", "weight").unique(maintain_order=True).iter_rows():
            cells = [loss_of(rows, mix, weight, target, "loss") for target in targets]
            body.append([f"{title_of(mix)} {weight:.0%}", *cells])
        caption = f"Losses after SFT as published (arXiv:2510.14865), {size}, nats a token; without intervals there."
        blocks.append(latex_table(["mixture", *map(title_of, targets)], body, caption))
    return "\n".join(blocks)


def loss_of(rows: pl.DataFrame, mix: str | None, weight: float | None, target: str, column: str) -> str:
    """A loss as it is printed; a dash where none was published."""
    found = rows.filter(pl.col("target") == target)
    if mix is not None:
        found = found.filter((pl.col("mix") == mix) & (pl.col("weight") == weight))
    return f"{found[column][0]:.3f}" if found.height else "--"
