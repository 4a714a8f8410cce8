"""The proximity advantage of every mixture with its interval, target by target."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import headline, single_panel
from simtool.plots.style import color_of, title_of
from simtool.plots.titles import similarity_title


def draw(advantage: pl.DataFrame) -> Figure:
    figure = single_panel(advantage_bars, 4.6, 1.3 + 0.14 * advantage.height, advantage)
    headline(figure, finding(advantage))
    return figure


def finding(table: pl.DataFrame) -> str:
    """The mixture that brings each target closest, where its interval leaves 0 out."""
    best = table.sort("advantage", descending=True).unique("target", keep="first", maintain_order=True)
    closer = [
        f"to {title_of(row['target'])} {title_of(row['mixture'])}"
        for row in best.iter_rows(named=True)
        if row["low"] > 0
    ]
    return f"Closest {', '.join(closer)}" if closer else "No mixture brings a target closer"


def advantage_bars(table: pl.DataFrame, axes: Axes) -> None:
    """The advantage of every mixture for each target, with its interval.

    Parameters
    ----------
    table
        Of `Advantage.to_polars()`.
    """
    targets, mixtures = (table[column].unique(maintain_order=True).sort().to_list() for column in ("target", "mixture"))
    height = 0.8 / len(mixtures)
    for i, mixture in enumerate(mixtures):
        rows = table.filter(table["mixture"] == mixture).sort("target")
        value, low, high = (rows[column].to_numpy() for column in ("advantage", "low", "high"))
        places = np.arange(len(targets)) + (i - (len(mixtures) - 1) / 2) * height
        axes.barh(
            places, value, height * 0.92, color=color_of(mixture), label=title_of(mixture),
            xerr=np.maximum([value - low, high - value], 0).tolist(), error_kw={"elinewidth": 0.7, "ecolor": "0.25"},
        )  # fmt: skip
    axes.axvline(0, color="0.2", linewidth=0.8)
    axes.set_yticks(range(len(targets)), [title_of(name) for name in targets])
    axes.invert_yaxis()
    title = similarity_title(table["metric"][0], table["feature"][0])
    axes.set_xlabel(f"proximity advantage by {title} (above 0: closer; bars: 95%)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
