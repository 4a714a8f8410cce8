"""The same thirteen corpora by words, spelling and syntax: Jensen-Shannon divergence on four features."""

import polars as pl
from matplotlib.figure import Figure

from simtool.plots.heatmap import cells_by, names_of, shade, short
from simtool.plots.panels import empty_figure, headline
from simtool.plots.style import DOUBLE, title_of
from simtool.profiles.features import FEATURES

VIEWS = {
    "token": "words (tokens)",
    "char4": "spelling (4 characters)",
    "skeleton1": "syntax (single symbols)",
    "skeleton3": "syntax (triples)",
}


HASHED = ", hashed"


def draw(corpus_similarity: pl.DataFrame) -> Figure:
    figure = empty_figure(DOUBLE, 6.4)
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    names = names_of(cells_by(corpus_similarity, "js", "token"))
    for axes, (feature, title) in zip(grid.flat, VIEWS.items(), strict=True):
        cells = cells_by(corpus_similarity, "js", feature)
        image = shade(cells, axes, 0, 1)
        axes.set_title(f"{title}: {spread(cells)}{HASHED if FEATURES[feature].n_buckets else ''}")
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
    scale = "Jensen-Shannon divergence (bits; lower: more similar);\nof hashed views comparable only within a panel"
    figure.colorbar(image, ax=grid, shrink=0.5, pad=0.02, label=scale)
    headline(figure, finding(corpus_similarity))
    return figure


def finding(table: pl.DataFrame) -> str:
    """The pair that differs most by each view."""
    furthest = {}
    for feature in VIEWS:
        pairs = cells_by(table, "js", feature).filter(pl.col("row") != pl.col("column"))
        furthest[feature] = frozenset(pairs.sort("value").select("row", "column").row(-1))
    by_pair = {pair: [VIEWS[view] for view in VIEWS if furthest[view] == pair] for pair in furthest.values()}
    parts = [f"{' and '.join(sorted(map(title_of, pair)))} by {', '.join(views)}" for pair, views in by_pair.items()]
    return f"Furthest apart: {'; '.join(parts)}"


def spread(cells: pl.DataFrame) -> str:
    """The least and the most that two different corpora differ."""
    values = cells.filter(pl.col("row") != pl.col("column"))["value"]
    return f"{short(values.min())} to {short(values.max())} bits"
