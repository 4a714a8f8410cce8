"""Does the order of similarities depend on the tokenizer?

Rank correlation of the off-diagonal cells between each two tokenizers, with intervals over which corpora were compared,
and the cell that moves the most.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses import find_table
from simtool.statistics import cells_agreement


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per metric and pair of tokenizers."""
    cells, facts = find_table(tables, "tokenizer_cells", "python -m analyses tokenizer_cells --data DIR")
    rows = []
    for metric in cells["metric"].unique(maintain_order=True):
        of_metric = cells.filter(pl.col("metric") == metric)
        matrices = {name: as_matrix(of_metric.filter(pl.col("tokenizer") == name)) for name in facts["fingerprints"]}
        corpora = of_metric["row"].unique(maintain_order=True).to_list()
        for a, b in itertools.combinations(matrices, 2):
            result = cells_agreement(matrices[a], matrices[b])
            moved = np.triu(np.abs(matrices[a] - matrices[b]), 1)
            i, j = np.unravel_index(moved.argmax(), moved.shape)
            rows.append(
                {
                    "metric": metric,
                    "tokenizer_a": a,
                    "tokenizer_b": b,
                    "n_cells": result.n,
                    "spearman": result.spearman,
                    "low": result.low,
                    "high": result.high,
                    "mean_difference": float(moved[np.triu_indices(len(corpora), 1)].mean()),
                    "largest_difference": float(moved.max()),
                    "largest_in": f"{corpora[i]} and {corpora[j]}",
                }
            )
    return pl.DataFrame(rows), {"cells": "tokenizer_cells", "fingerprints": facts["fingerprints"]}


def as_matrix(cells: pl.DataFrame) -> np.ndarray:
    """The values of one matrix's cells, in the order of its rows: float64 (n, n)."""
    n = cells["row"].n_unique()
    return cells["value"].to_numpy().reshape(n, n)
