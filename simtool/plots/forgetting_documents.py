"""Which documents are forgotten during SFT: the rise of each one's loss against its likeness to the target."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots import COLORS, DOUBLE, SINGLE, blank, legend_below, title_of


def draw(forgetting_documents: pl.DataFrame) -> Figure:
    """A panel a target, a dot a document and arm; the last size."""
    size = forgetting_documents["size"].unique(maintain_order=True)[-1]
    rows = forgetting_documents.filter(pl.col("size") == size)
    targets = rows["target"].unique(maintain_order=True).to_list()
    figure = blank(SINGLE if len(targets) == 1 else DOUBLE, 2.6)
    panels = figure.subplots(1, len(targets), sharey=True, squeeze=False)[0]
    arms = rows["arm"].unique(maintain_order=True).to_list()
    for axes, target in zip(panels, targets, strict=True):
        documents(rows.filter(pl.col("target") == target), axes, arms)
        axes.set_title(f"SFT on {title_of(target)}, {size}")
        axes.set_xlabel(
            "likeness of its tokens to the target's\n(bits a token against general text; right: more alike)"
        )
    panels[0].set_ylabel("rise of a document's loss (nats a token)")
    legend_below(figure, *panels[0].get_legend_handles_labels(), columns=4)
    return figure


def documents(rows: pl.DataFrame, axes: Axes, arms: list[str]) -> None:
    """Above 0: forgotten. The bar of a dot spans the seeds."""
    axes.axhline(0, color="0.7", linewidth=0.5)
    for i, arm in enumerate(arms):
        own = rows.filter(pl.col("arm") == arm)
        color = "black" if arm.startswith("control") else COLORS[i % len(COLORS)]
        axes.vlines(
            own["likeness"],
            own["change_lowest_seed"],
            own["change_highest_seed"],
            color=color,
            alpha=0.2,
            linewidth=0.5,
        )
        axes.plot(own["likeness"], own["change"], ".", color=color, alpha=0.7, markersize=2.5, label=arm)
