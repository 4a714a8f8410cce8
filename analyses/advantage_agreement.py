"""How well do advantage and benefit agree: per size of model, pooled over sizes, and with a target or a pair left out?

Rows as in study_agreement: one a size, predictor and what was left out.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses import find_table
from analyses.advantage_benefit import crossed, tables_of
from simtool.statistics import Agreement, agreement

FEWEST = 3  # results below which a correlation is not computed
COLUMNS = ("pearson", "pearson_low", "pearson_high", "spearman", "spearman_low", "spearman_high", "p")


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row a source, size, predictor and what was left out ("" for nothing); null where nothing can be said."""
    points, facts = find_table(tables, "advantage_benefit", "python -m analyses advantage_benefit")
    rows = []
    for (source, size, predictor), group in tables_of(points).items():
        arms, targets, predicted, observed = crossed(group)
        told = {"source": source, "size": size, "predictor": predictor}
        rows += [{**told, **row} for row in _rows(arms, targets, predicted, observed)]
    return pl.DataFrame(rows).with_columns(pl.selectors.float().fill_nan(None)), {
        "points": "advantage_benefit",
        "results": facts["results"],
        "p": "one-sided, by moving whole mixtures and whole targets; intervals draw mixtures and targets",
    }


def _rows(arms: list[tuple[str, float]], targets: list[str], predicted: np.ndarray, observed: np.ndarray):
    """With nothing left out, and without each target, each with its intervals; and without each pair."""
    whole = _agreement(predicted, observed)
    yield {"left_out": "", **_told(observed, whole)}
    for t, target in enumerate(targets):
        kept = observed.copy()
        kept[:, t] = np.nan
        yield {"left_out": f"target {target}", **_told(kept, _agreement(predicted, kept))}
    for m, t in whole.without_pair if whole else ():
        mix, weight = arms[m]
        name = mix if [one for one, _ in arms].count(mix) == 1 else f"{mix}:{weight:g}"
        left = {"pearson": whole.without_pair[m, t], "spearman": whole.spearman_without_pair[m, t]}
        yield {"left_out": f"pair {name} -> {targets[t]}", **_told(observed, None), "n": whole.n - 1, **left}


def _agreement(predicted: np.ndarray, observed: np.ndarray) -> Agreement | None:
    """On the mixtures and targets that have a result; None where there are too few."""
    there = np.isfinite(observed)
    if there.sum() < FEWEST:
        return None
    some = np.ix_(there.any(axis=1), there.any(axis=0))
    found = agreement(predicted[some], observed[some])
    return found if there.all() else replace(found, **_renumbered(found, there))


def _renumbered(found: Agreement, there: np.ndarray) -> dict[str, Any]:
    """Pairs by their place in the whole table, where some mixtures or targets were left out."""
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    return {
        name: {(int(rows[m]), int(columns[t])): r for (m, t), r in getattr(found, name).items()}
        for name in ("without_pair", "spearman_without_pair")
    }


def _told(observed: np.ndarray, found: Agreement | None) -> dict[str, Any]:
    values = {column: getattr(found, column) if found else float("nan") for column in COLUMNS}
    return {"n": int(np.isfinite(observed).sum()), **values}
