"""Does an early start help by itself, or because it means more special tokens and a higher learning rate?

In each design, the improvement is laid out as a plane with a twist over start and weight: what 10 points of a start
earlier and 10 points more of weight change, and how the one depends on the other. Where exposure or rate is held
fixed, an effect of the start that remains is time's own.
"""

from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from analyses import find_table
from simtool.statistics import TAILS

DRAWS = 4_000
EFFECTS = ("start 10 points earlier", "weight 10 points more", "both at once, beyond their sum")


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per size, target, design and effect: change of the relative improvement with its 95% interval."""
    timing, facts = find_table(tables, "study_timing", "simtool train-eval")
    rows = []
    for (size, target, design), cells in timing.group_by("size", "target", "design", maintain_order=True):
        for effect, (value, low, high) in _effects(cells).items():
            labels = {"size": str(size), "target": target, "design": design, "effect": effect, "n_cells": cells.height}
            rows.append({**labels, "value": value, "low": low, "high": high})
    table = pl.DataFrame(rows, schema_overrides={"value": pl.Float64, "low": pl.Float64, "high": pl.Float64})
    return table.with_columns(pl.selectors.float().fill_nan(None)), {"study": facts, "draws": DRAWS}


def _effects(cells: pl.DataFrame) -> dict[str, tuple[float, float, float]]:
    """Least squares on the cells; intervals from redrawing each cell within its own. NaN where the grid cannot say."""
    start, weight, value, low, high = (
        cells[name].cast(pl.Float64).to_numpy() for name in ("start", "weight", "relative_improvement", "low", "high")
    )
    earlier, more = -(start - start.mean()) * 10, (weight - weight.mean()) * 10
    terms = {
        EFFECTS[0]: earlier if np.ptp(start) > 0 else None,
        EFFECTS[1]: more if np.ptp(weight) > 0 else None,
        EFFECTS[2]: earlier * more if min(len(set(start)), len(set(weight))) > 1 else None,
    }
    known = {name: column for name, column in terms.items() if column is not None}
    plane = np.column_stack([np.ones(len(value)), *known.values()])
    if np.linalg.matrix_rank(plane) < plane.shape[1]:
        return dict.fromkeys(EFFECTS, (np.nan, np.nan, np.nan))
    spread = (high - low) / (2 * NormalDist().inv_cdf(TAILS[1]))  # of a normal cell with that 95% interval
    drawn = value + np.random.default_rng(0).normal(size=(DRAWS, len(value))) * spread
    solve = np.linalg.pinv(plane)
    estimate, around = solve @ value, drawn @ solve.T
    ends = np.quantile(around, TAILS, axis=0)
    fitted = {name: (float(estimate[i]), *map(float, ends[:, i])) for i, name in enumerate(known, 1)}
    return {name: fitted.get(name, (np.nan, np.nan, np.nan)) for name in EFFECTS}
