"""Which documents are forgotten during SFT: the rise of each one's loss against its likeness to the target."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import headline, legend_below, target_panels
from simtool.plots.rows import largest_size
from simtool.plots.style import arm_color, title_of
from simtool.plots.titles import size_title


def draw(forgetting_documents: pl.DataFrame) -> Figure:
    """A panel per target, a dot per document and arm; the last size."""
    rows = largest_size(forgetting_documents)
    arms = rows["arm"].unique(maintain_order=True).to_list()
    figure, panels = target_panels(rows)
    for target, axes in panels.items():
        documents(rows.filter(pl.col("target") == target), axes, arms)
        axes.set_title(f"SFT on {title_of(target)}, {size_title(rows['size'][0])}")
        axes.set_xlabel(
            "similarity of its tokens to the target's\n(bits per token against general text; right: more similar)"
        )
    first = next(iter(panels.values()))
    first.set_ylabel("rise of its loss (nats per token)")
    headline(figure, finding(rows))
    legend_below(figure, *first.get_legend_handles_labels(), columns=4)
    return figure


def finding(rows: pl.DataFrame) -> str:
    """How many documents are forgotten, and whether those like the target are forgotten more."""
    groups = rows.group_by("arm", "target", maintain_order=True)
    order = groups.agg(rho=pl.corr("likeness", "change", method="spearman"))["rho"]
    share = (rows["change"] > 0).mean()
    more = "more if they are like the target" if order.min() > 0 else "whether like the target or not"
    return f"SFT raises the loss of {share:.0%} of documents, {more} (Spearman {order.min():.2f} to {order.max():.2f})"


def documents(rows: pl.DataFrame, axes: Axes, arms: list[str]) -> None:
    """Above 0: forgotten. The bar of a dot spans the seeds."""
    axes.axhline(0, color="0.7", linewidth=0.5)
    for arm in arms:
        own, color = rows.filter(pl.col("arm") == arm), arm_color(arms, arm)
        axes.vlines(
            own["likeness"],
            own["change_lowest_seed"],
            own["change_highest_seed"],
            color=color,
            alpha=0.2,
            linewidth=0.5,
        )
        axes.plot(own["likeness"], own["change"], ".", color=color, alpha=0.7, markersize=2.5, label=arm)
