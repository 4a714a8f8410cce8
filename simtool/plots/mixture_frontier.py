"""What the targets gain for what general text costs, and the mixtures that give it."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, headline, spread_labels
from simtool.plots.style import color_of, title_of
from simtool.plots.titles import symbol_of


def draw(mixture_frontier: pl.DataFrame) -> Figure:
    """Gain above, the mixtures that give it below, on one scale of cost."""
    figure = empty_figure(4.6, 4.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    gains(mixture_frontier, above)
    frontier_shares(mixture_frontier, below)
    headline(figure, finding(mixture_frontier))
    return figure


def finding(table: pl.DataFrame) -> str:
    """What half of the largest gain costs."""
    last = table.filter(pl.col("point") == table["point"].max()).sort("gain_bits").row(-1, named=True)
    own = table.filter(pl.col("target") == last["target"]).sort("forgetting_bits")
    most, symbol = last["gain_bits"], symbol_of(table["feature"][0])
    if most <= 0:
        return "No mixture brings any target closer"
    half = own.filter(pl.col("gain_bits") >= most / 2)["forgetting_bits"][0]
    whole = own["forgetting_bits"][-1]
    cost = f"{half:.3f} of {whole:.2f} bits per {symbol} on general text"
    return f"The first half of the gain on {title_of(last['target'])}, {most / 2:.2f} bits, costs {cost}"


def gains(table: pl.DataFrame, axes: Axes) -> None:
    """What each target gains for what general text costs, with intervals over half-samples; one line per target.

    Parameters
    ----------
    table
        Of `Frontier.to_polars()`.
    """
    forgotten = max(table["forgetting_bits"].max(), 1e-6)  # where nothing helps, the axis still has a width
    ends = {}
    for name in table["target"].unique(maintain_order=True):
        rows, color = table.filter(table["target"] == name), color_of(name)
        axes.plot(rows["forgetting_bits"], rows["gain_bits"], marker="o", markersize=2.2, linewidth=1, color=color)
        axes.fill_between(
            rows["forgetting_bits"], rows["gain_low"], rows["gain_high"], color=color, alpha=0.2, linewidth=0
        )
        ends[name] = rows["gain_bits"][-1]
    axes.set_xlim(0, forgotten * 1.001)
    axes.set_ylim(bottom=min(0, table["gain_low"].min()))
    for name, place in spread_labels(ends, (axes.get_ylim()[1] - axes.get_ylim()[0]) * 0.07).items():
        axes.annotate(
            title_of(name), (forgotten, place), xytext=(4, 0), textcoords="offset points", va="center", color="0.1",
            bbox={"boxstyle": "square,pad=0.1", "facecolor": color_of(name), "alpha": 0.35, "linewidth": 0},
            annotation_clip=False,
        )  # fmt: skip
    axes.set_ylabel(f"gain on the target\n(bits per {symbol_of(table['feature'][0])})")


def frontier_shares(table: pl.DataFrame, axes: Axes) -> None:
    """The mixture at each point of a frontier: shares over what general text costs, the pretraining corpus below.

    Parameters
    ----------
    table
        Of `Frontier.to_polars()`.
    """
    points = table.unique("point", maintain_order=True)
    columns = [column for column in table.columns if column.startswith("share_")]
    used = [column for column in columns if points[column].max() >= 0.005]  # a thinner layer cannot be seen
    names = [column.removeprefix("share_") for column in used]
    colors = ["0.88" if column == columns[0] else color_of(name) for column, name in zip(used, names, strict=True)]
    layers = axes.stackplot(points["forgetting_bits"], [points[column] for column in used], colors=colors, linewidth=0)
    axes.legend(layers[::-1], [title_of(name) for name in names[::-1]], loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.set_xlim(0, max(points["forgetting_bits"].max(), 1e-6) * 1.001)
    axes.set_ylim(0, 1)
    symbol = symbol_of(table["feature"][0])
    axes.set_xlabel(f"coding cost on general text (bits per {symbol} more; bands: 95% over half-samples)")
    axes.set_ylabel("share of tokens")
