"""How much benefit goes with how much advantage?

The least-squares line and its band, for each size of model.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses import find_table
from analyses.advantage_benefit import crossed, tables_of
from simtool.statistics import BOOTSTRAPS, TAILS, drawn_cells

POINTS = 41


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per source, size, predictor and point of the line; the band draws mixtures and targets."""
    points, _ = find_table(tables, "advantage_benefit", "python -m analyses advantage_benefit")
    parts = []
    for (source, size, predictor), group in tables_of(points).items():
        if group.height < 3:
            continue
        _, _, predicted, observed, _ = crossed(group)
        grid = np.linspace(group["predicted"].min(), group["predicted"].max(), POINTS)
        fitted, low, high = fit_band(predicted, observed, grid)
        of_group = pl.DataFrame({"predicted": grid, "fitted": fitted, "low": low, "high": high})
        parts.append(
            of_group.select(
                pl.lit(source).alias("source"),
                pl.lit(size).alias("size"),
                pl.lit(predictor).alias("predictor"),
                pl.all(),
            )
        )
    return pl.concat(parts).with_columns(pl.selectors.float().fill_nan(None)), {"points": "advantage_benefit"}


def fit_band(
    predicted: np.ndarray, observed: np.ndarray, grid: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The least-squares line of results on predictions at the points of a grid, with its 95% band: three of (G,).

    Predictions and results as in `agreement`; the band draws mixtures and targets as there. NaN where nothing varies.
    """
    rows, columns = drawn_cells(observed.shape, np.random.default_rng(seed))
    tables = (
        np.concatenate([predicted[None], predicted[rows, columns]]),
        np.concatenate([observed[None], observed[rows, columns]]),
    )
    y = tables[1].reshape(BOOTSTRAPS + 1, -1)
    x = np.where(np.isfinite(y), tables[0].reshape(BOOTSTRAPS + 1, -1), np.nan)
    n = np.isfinite(y).sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        x_mean, y_mean = (np.nansum(side, axis=1, keepdims=True) / n for side in (x, y))
        spread = np.nansum((x - x_mean) ** 2, axis=1, keepdims=True)
        slope = np.nansum((x - x_mean) * (y - y_mean), axis=1, keepdims=True) / spread
    lines = np.where(spread > 1e-24, y_mean + slope * (grid - x_mean), np.nan)
    if np.isnan(lines[1:]).all():
        return lines[0], np.full(len(grid), np.nan), np.full(len(grid), np.nan)
    low, high = np.nanquantile(lines[1:], TAILS, axis=0)
    return lines[0], low, high
