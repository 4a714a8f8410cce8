"""What a study costs: tokens trained with shared prefixes, against every run by itself."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import headline, single_panel
from simtool.plots.style import COLORS, SINGLE

UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def draw(study_cost: pl.DataFrame) -> Figure:
    figure = single_panel(cost, SINGLE, 1.1 + 0.42 * study_cost.height, study_cost)
    headline(figure, finding(study_cost))
    return figure


def finding(table: pl.DataFrame) -> str:
    """The least and the most that shared prefixes save."""
    saved = 1 - table["tokens_shared"] / table["tokens_separate"]
    ends = f"{saved.min():.0%}" if table.height == 1 else f"{saved.min():.0%} to {saved.max():.0%}"
    return f"Shared prefixes save {ends} of a study's tokens"


def cost(table: pl.DataFrame, axes: Axes) -> None:
    """Two bars per study, relative to separate runs, with the tokens written beside them."""
    names = table["study"].to_list()
    share = (table["tokens_shared"] / table["tokens_separate"] * 100).to_list()
    axes.barh(range(len(names)), [100.0] * len(names), 0.72, color="0.88", label="separate runs")
    axes.barh(range(len(names)), share, 0.72, color=COLORS[0], label="shared prefixes")
    for y, row in enumerate(table.iter_rows(named=True)):
        amounts = f"{amount(row['tokens_shared'])} of {amount(row['tokens_separate'])}"
        axes.text(98, y, amounts, ha="right", va="center", fontsize=6)
        axes.text(share[y] - 1.5, y, f"{share[y]:.0f}%", ha="right", va="center", fontsize=6, color="white")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("tokens trained (% of separate runs)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def amount(tokens: float) -> str:
    """ "1.3B" for 1,300,000,000."""
    for size, letter in UNITS:
        if tokens >= size:
            return f"{tokens / size:.3g}{letter}"
    return f"{tokens:.0f}"
