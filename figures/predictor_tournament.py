"""Which predictor agrees with the published 410M results, and with our own study, on all pairs and without the first.

The pair that is left out carries most of the variance of the published table.
"""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.corpora.catalogue import SAME_DOMAIN
from simtool.plots.panels import empty_figure, headline, legend_below
from simtool.plots.style import COLORS, DOUBLE
from simtool.plots.titles import predictor_title, setting_title

PUBLISHED_SIZE = "410m"  # the one that was published whole


def draw(predictor_tournament: pl.DataFrame, predictor_tournament_study: pl.DataFrame) -> Figure:
    """Fixed candidates and same-domain baseline, ordered by their lowest r without a target in the published cells."""
    study_size = predictor_tournament_study["size"][-1]
    published = competitors(predictor_tournament, PUBLISHED_SIZE).sort("lowest_without_a_target")
    order = {name: place for place, name in enumerate(published["predictor"])}
    study = competitors(predictor_tournament_study, study_size).filter(pl.col("predictor").is_in(list(order)))
    figure = empty_figure(DOUBLE, 1.1 + 0.155 * published.height)
    left, right = figure.subplots(1, 2, sharey=True)
    correlations(published, order, left)
    correlations(study, order, right)
    left.set_yticks(list(order.values()), [predictor_title(name) for name in order])
    left.set_title(f"{setting_title('published', PUBLISHED_SIZE)} (proxy corpora): {published['n'][0]} pairs")
    right.set_title(f"{setting_title('study', study_size)}: {study['n'][0]} pairs")
    remaining = f"r = {finding(published)} published, {finding(study)} in our study"
    headline(figure, f"Best candidate without the target that helps it most: {remaining}")
    for axes in (left, right):
        axes.set_xlabel("Pearson's r with improvement after SFT")
    legend_below(figure, *left.get_legend_handles_labels(), columns=4)
    return figure


def competitors(table: pl.DataFrame, size: str) -> pl.DataFrame:
    """The candidates that were fixed beforehand, and the same-domain baseline, at one size of model."""
    return table.filter((pl.col("size") == size) & (pl.col("candidate") | (pl.col("predictor") == SAME_DOMAIN)))


def correlations(rows: pl.DataFrame, order: dict[str, int], axes: Axes) -> None:
    places = [order[name] for name in rows["predictor"]]
    axes.hlines(places, rows["pearson_low"], rows["pearson_high"], color="0.8", linewidth=2.6, label="95%, bootstrap")
    for column, label, marker, color in (
        ("pearson", "all pairs", "o", COLORS[0]),
        ("pearson_without_starcoder_pycode", "without StarCoder → PyCode", "s", COLORS[1]),
        ("lowest_without_a_target", "lowest without one target", "|", "black"),
    ):
        axes.plot(rows[column], places, marker, color=color, label=label, markersize=3.5 if marker != "|" else 7)
    axes.axvline(0, color="0.2", linewidth=0.8)
    axes.set_xlim(-1, 1.02)


def finding(rows: pl.DataFrame) -> str:
    """How the best candidate compares with the baseline, without the target that helps it most."""
    lowest = dict(rows.select("predictor", "lowest_without_a_target").iter_rows())
    baseline = lowest.pop(SAME_DOMAIN)
    best = max(lowest, key=lambda name: lowest[name] if lowest[name] is not None else -1.0)
    known = "no value" if baseline is None else f"{baseline:.2f}"
    return f"{lowest[best]:.2f} ({predictor_title(best)}; same-domain baseline {known})"
