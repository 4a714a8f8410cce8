"""How much benefit goes with how much advantage?

The least-squares line and its band, for each size of model.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses import find_table
from analyses.advantage_benefit import crossed, tables_of
from simtool.statistics import fit_band

POINTS = 41


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per source, size, predictor and point of the line; the band draws mixtures and targets."""
    points, _ = find_table(tables, "advantage_benefit", "python -m analyses advantage_benefit")
    parts = []
    for (source, size, predictor), group in tables_of(points).items():
        if group.height < 3:
            continue
        _, _, predicted, observed = crossed(group)
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
