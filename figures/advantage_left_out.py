"""What is left of the agreement of advantage and benefit when a target or a pair is left out."""

import math

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, headline
from simtool.plots.style import COLORS, DOUBLE, title_of
from simtool.plots.titles import predictor_title, setting_title

PAIRS = 4  # that matter most, of each predictor


def draw(advantage_agreement: pl.DataFrame) -> Figure:
    """A panel per source of results, in its size with the most pairs, and predictor: all, each target left out, the
    pairs that matter most."""
    panels = panels_of(advantage_agreement)
    figure = empty_figure(DOUBLE, 0.3 + 2.2 * math.ceil(len(panels) / 2))
    grid = figure.subplots(math.ceil(len(panels) / 2), 2, squeeze=False).flat
    for axes, (source, size, predictor) in zip(grid, panels, strict=False):
        own = advantage_agreement.filter(source=source, size=size, predictor=predictor)
        left_out(own, axes)
        axes.set_title(f"{predictor_title(predictor)}\n{setting_title(source, size)}")
        axes.set_xlabel("correlation with improvement")
    headline(figure, finding(advantage_agreement))
    handles, labels = grid[0].get_legend_handles_labels()
    for axes in list(grid)[len(panels) :]:
        axes.axis("off")
        axes.legend(handles, labels, loc="center")
    if len(panels) % 2 == 0:
        grid[0].legend(handles, labels, loc="lower left")
    return figure


def panels_of(agreement: pl.DataFrame) -> list[tuple[str, str, str]]:
    """(source, size, predictor) of each panel: of each source, the size with the most pairs."""
    sizes = agreement.filter((pl.col("left_out") == "") & (pl.col("size") != "pooled"))
    largest = sizes.sort("n", maintain_order=True).unique("source", keep="last", maintain_order=True)
    panels = sizes.join(largest, on=["source", "size"], how="semi", maintain_order="left")
    return panels.select("source", "size", "predictor").rows()


def left_out(own: pl.DataFrame, axes: Axes) -> None:
    pairs = own.filter(pl.col("left_out").str.starts_with("pair")).sort("pearson", nulls_last=True).head(PAIRS)
    shown = pl.concat([own.filter(~pl.col("left_out").str.starts_with("pair")), pairs])
    places = range(shown.height)
    axes.hlines(places, shown["pearson_low"], shown["pearson_high"], color="0.8", linewidth=2.6, label="95%")
    axes.plot(shown["pearson"], places, "o", color=COLORS[0], markersize=4, label="Pearson")
    axes.plot(shown["spearman"], places, "x", color=COLORS[1], markersize=4, label="Spearman")
    axes.axvline(0, color="0.2", linewidth=0.8)
    axes.set_yticks(places, [readable(name) for name in shown["left_out"]])
    axes.invert_yaxis()
    axes.set_xlim(-1.02, 1.05)


def finding(agreement: pl.DataFrame) -> str:
    """The least that is left of r, panel by panel."""
    parts: dict[str, list[str]] = {}
    for source, size, predictor in panels_of(agreement):
        own = agreement.filter(source=source, size=size, predictor=predictor).drop_nulls("pearson").sort("pearson")
        least = f"{own['pearson'][0]:.2f} ({predictor_title(predictor)}; {setting_title(source, size)})"
        parts.setdefault(readable(own["left_out"][0]), []).append(least)
    return "; ".join(f"Lowest r, {left_out}: {', '.join(least)}" for left_out, least in parts.items())


def readable(left_out: str) -> str:
    """ "pair starcoder -> pycode" becomes "without StarCoder → PyCode"."""
    if not left_out:
        return "all results"
    return "without " + " → ".join(title_of(name) for name in left_out.split(" ", 1)[1].split(" -> "))
