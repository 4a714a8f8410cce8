"""Start against share: the improvement in every cell, arms as in the paper beside arms with more held fixed."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, headline
from simtool.plots.rows import DESIGNS, designs_of, held_fixed, largest_size, timing_finding
from simtool.plots.style import DOUBLE, title_of


def draw(study_timing: pl.DataFrame) -> Figure:
    """A row per target, a column per design; the largest size. Bold: its interval leaves 0 out."""
    rows = largest_size(study_timing)
    targets, designs = rows["target"].unique(maintain_order=True).to_list(), designs_of(rows)
    starts, weights = (sorted(rows[name].unique()) for name in ("start", "weight"))
    figure = empty_figure(DOUBLE, 1.0 + (0.5 + 0.28 * len(weights)) * len(targets))
    grid = figure.subplots(len(targets), len(designs), squeeze=False, sharex=True, sharey=True)
    most = float(rows["relative_improvement"].abs().max()) * 100
    mixed_in = " and ".join(map(title_of, rows["mix"].unique(maintain_order=True)))
    for i, target in enumerate(targets):
        for j, design in enumerate(designs):
            image = cells(rows.filter(target=target, design=design), grid[i, j], starts, weights, most)
            if i == 0:
                grid[i, j].set_title(DESIGNS.get(design, design))
        grid[i, 0].set_ylabel(f"share of {mixed_in}\n(target {title_of(target)})")
    bold = "one seed: no intervals" if rows["low"].is_null().all() else "bold: the 95% interval leaves 0 out"
    note = f"start of midtraining (share of pretraining); {bold}; blank: not trained"
    figure.supxlabel(f"{note}\n{held_fixed(designs, mixed_in)}".rstrip(), fontsize=7)
    figure.colorbar(image, ax=grid, shrink=0.8, pad=0.01, label="improvement over the control (%)")
    headline(figure, timing_finding(rows))
    return figure


def cells(rows: pl.DataFrame, axes: Axes, starts: list[float], weights: list[float], most: float):
    """One panel: the improvement of every start and weight that was trained, in its colour."""
    values = np.full((len(weights), len(starts)), np.nan)
    for row in rows.iter_rows(named=True):
        y, x = weights.index(row["weight"]), starts.index(row["start"])
        values[y, x] = value = row["relative_improvement"] * 100
        ink = "white" if abs(value) > 0.6 * most else "black"
        weight = "bold" if row["low"] is not None and (row["low"] > 0 or row["high"] < 0) else "normal"
        axes.text(x, y, f"{value:.1f}", ha="center", va="center", fontsize=6, color=ink, fontweight=weight)
    # blue and orange differ for every kind of colour blindness
    image = axes.imshow(values, cmap="PuOr", vmin=-most, vmax=most, aspect="auto", origin="lower")
    axes.set_xticks(range(len(starts)), [f"{start:.0%}" for start in starts])
    axes.set_yticks(range(len(weights)), [f"{weight:.0%}" for weight in weights])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image
