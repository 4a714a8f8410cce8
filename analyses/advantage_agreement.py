"""How well do advantage and benefit agree: per size of model, pooled over sizes, and with a target or a pair left out?

Rows as in study_agreement: one per size, predictor and what was left out.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses import find_table
from analyses.advantage_benefit import crossed, tables_of
from simtool.corpora.catalogue import same_domain_pairs
from simtool.prediction.scoring import attainable, beside, beyond_baseline
from simtool.statistics import Agreement, agreement

FEWEST = 3  # results below which a correlation is not computed
COLUMNS = ("pearson", "pearson_low", "pearson_high", "spearman", "spearman_low", "spearman_high", "p", "undefined")


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per source, size, predictor and what was left out ("" for nothing); null where nothing can be said."""
    points, facts = find_table(tables, "advantage_benefit", "python -m analyses advantage_benefit")
    rows = []
    for (source, size, predictor), group in tables_of(points).items():
        arms, targets, predicted, observed, error = crossed(group)
        labels = {"source": source, "size": size, "predictor": predictor}
        of_group = list(_rows(arms, targets, predicted, observed))
        pairs = same_domain_pairs({mix for mix, _ in arms}, targets)
        same_domain = np.array([[float((mix, target) in pairs) for target in targets] for mix, _ in arms])
        of_group[0] |= beside(attainable(observed, error), beyond_baseline(predicted, observed, same_domain))
        rows += [labels | row for row in of_group]
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.selectors.float().fill_nan(None)), {
        "points": "advantage_benefit",
        "results": facts["results"],
        "attainable": "given the noise of the outcomes; not known of the published ones, one run per cell",
        "p": "one-sided, by moving whole mixtures and whole targets; intervals draw mixtures and targets",
    }


def _rows(arms: list[tuple[str, float]], targets: list[str], predicted: np.ndarray, observed: np.ndarray):
    """With nothing left out, and without each target, each with its intervals; and without each pair."""
    whole = _agreement(predicted, observed)
    yield {"left_out": "", **_values(observed, whole)}
    for t, target in enumerate(targets):
        remaining = observed.copy()
        remaining[:, t] = np.nan
        yield {"left_out": f"target {target}", **_values(remaining, _agreement(predicted, remaining))}
    for m, t in whole.without_pair if whole else ():
        mix, weight = arms[m]
        name = mix if [name for name, _ in arms].count(mix) == 1 else f"{mix}:{weight:g}"
        left = {"pearson": whole.without_pair[m, t], "spearman": whole.spearman_without_pair[m, t]}
        yield {"left_out": f"pair {name} -> {targets[t]}", **_values(observed, None), "n": whole.n - 1, **left}


def _agreement(predicted: np.ndarray, observed: np.ndarray) -> Agreement | None:
    """On the mixtures and targets that have a result; None where there are too few."""
    known = np.isfinite(observed)
    if known.sum() < FEWEST:
        return None
    some = np.ix_(known.any(axis=1), known.any(axis=0))
    result = agreement(predicted[some], observed[some])
    return result if known.all() else replace(result, **_renumbered(result, known))


def _renumbered(result: Agreement, known: np.ndarray) -> dict[str, Any]:
    """Pairs by their place in the whole table, where some mixtures or targets were left out."""
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    return {
        name: {(int(rows[m]), int(columns[t])): r for (m, t), r in getattr(result, name).items()}
        for name in ("without_pair", "spearman_without_pair")
    }


def _values(observed: np.ndarray, result: Agreement | None) -> dict[str, Any]:
    values = {column: getattr(result, column) if result else float("nan") for column in COLUMNS}
    return {"n": int(np.isfinite(observed).sum()), **values}
