"""How well do advantage and benefit agree: per size of model, pooled over sizes, and with a target or a pair left out?

Rows as in study_agreement: one a size, predictor and what was left out.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses import find_table
from analyses.advantage_benefit import crossed, tables_of
from simtool.similarity.agreement import agreement

FEWEST = 3  # results below which a correlation is not computed


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row a source, size, predictor and what was left out ("" for nothing); null where nothing can be said."""
    points, facts = find_table(tables, "advantage_benefit", "python -m analyses advantage_benefit")
    rows = []
    for (source, size, predictor), group in tables_of(points).items():
        arms, targets, predicted, observed = crossed(group)
        told = {"source": source, "size": size, "predictor": predictor}
        for left_out, kept in _leaving_out(arms, targets, observed):
            rows.append({**told, "left_out": left_out, **_agreement(predicted, kept)})
    return pl.DataFrame(rows).with_columns(pl.selectors.float().fill_nan(None)), {
        "points": "advantage_benefit",
        "results": facts["results"],
        "p": "one-sided, by moving whole mixtures and whole targets; intervals draw mixtures and targets",
    }


def _leaving_out(arms: list[tuple[str, float]], targets: list[str], observed: np.ndarray):
    """(what is left out, the results that are kept): nothing, each target, each pair."""
    yield "", observed
    for t, target in enumerate(targets):
        kept = observed.copy()
        kept[:, t] = np.nan
        yield f"target {target}", kept
    for m, t in np.argwhere(np.isfinite(observed)):
        kept = observed.copy()
        kept[m, t] = np.nan
        mix, weight = arms[m]
        name = mix if [one for one, _ in arms].count(mix) == 1 else f"{mix}:{weight:g}"
        yield f"pair {name} -> {targets[t]}", kept


def _agreement(predicted: np.ndarray, observed: np.ndarray) -> dict[str, Any]:
    n = int(np.isfinite(observed).sum())
    columns = ("pearson", "pearson_low", "pearson_high", "spearman", "spearman_low", "spearman_high", "p")
    if n < FEWEST:
        return {"n": n, **dict.fromkeys(columns, float("nan"))}
    filled = observed[np.isfinite(observed).any(axis=1)][:, np.isfinite(observed).any(axis=0)]
    asked = predicted[np.isfinite(observed).any(axis=1)][:, np.isfinite(observed).any(axis=0)]
    found = agreement(asked, filled)
    return {"n": n, **{column: getattr(found, column) for column in columns}}
