"""Start against weight: the improvement in every cell, arms as in the paper beside arms with more held fixed."""

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure
from simtool.plots.rows import DESIGNS, designs_of, largest_size
from simtool.plots.style import DOUBLE, title_of


def draw(study_timing: pl.DataFrame) -> Figure:
    """A row per target, a column per design; the largest size. Bold: its interval leaves 0 out."""
    rows = largest_size(study_timing)
    targets, designs = rows["target"].unique(maintain_order=True).to_list(), designs_of(rows)
    starts, weights = (sorted(rows[name].unique()) for name in ("start", "weight"))
    figure = empty_figure(DOUBLE, 0.7 + (0.5 + 0.28 * len(weights)) * len(targets))
    grid = figure.subplots(len(targets), len(designs), squeeze=False, sharex=True, sharey=True)
    most = float(rows["relative_improvement"].abs().max()) * 100
    for i, target in enumerate(targets):
        for j, design in enumerate(designs):
            axes = grid[i, j]
            values = np.full((len(weights), len(starts)), np.nan)
            own = rows.filter((pl.col("target") == target) & (pl.col("design") == design))
            for row in own.iter_rows(named=True):
                y, x = weights.index(row["weight"]), starts.index(row["start"])
                values[y, x] = row["relative_improvement"] * 100
                sure = row["low"] > 0 or row["high"] < 0
                ink = "white" if abs(values[y, x]) > 0.6 * most else "black"
                weight = "bold" if sure else "normal"
                axes.text(
                    x, y, f"{values[y, x]:.1f}", ha="center", va="center", fontsize=6, color=ink, fontweight=weight
                )
            # blue and orange differ for every kind of colour blindness
            image = axes.imshow(values, cmap="PuOr", vmin=-most, vmax=most, aspect="auto", origin="lower")
            axes.set_xticks(range(len(starts)), [f"{start:.0%}" for start in starts])
            axes.set_yticks(range(len(weights)), [f"{weight:.0%}" for weight in weights])
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            if i == 0:
                axes.set_title(DESIGNS.get(design, design))
        grid[i, 0].set_ylabel(f"{title_of(target)}\nweight")
    figure.supxlabel("start of midtraining (share of pretraining); bold: the 95% interval leaves 0 out", fontsize=7)
    figure.colorbar(image, ax=grid, shrink=0.8, pad=0.01, label="improvement (%)")
    return figure
