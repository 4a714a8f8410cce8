"""Do meaning, words, spelling and syntax order the pairs of corpora alike?

Rank correlation of the off-diagonal cells between each two views, with intervals over which corpora were compared.
Divergences are turned, so that 1 is always the same order. Where no embedding was measured, meaning is not in the
table.
"""

import itertools
from pathlib import Path
from typing import Any

import polars as pl

from analyses import find_table
from analyses.tokenizer_sensitivity import as_matrix
from simtool.statistics import cells_agreement

VIEWS = {
    "words": ("js", "token"),
    "spelling": ("js", "char4"),
    "syntax, single": ("js", "skeleton1"),
    "syntax, triples": ("js", "skeleton3"),
    "the paper's score": ("token", "token"),
}
SEMANTIC = {"embedding cosine": "embedding_cosine", "embedding MMD": "embedding_mmd"}
ALIKE_IS_HIGH = ("token", "embedding_cosine")


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per pair of views."""
    measured, facts = find_table(tables, "corpus_similarity", "python -m analyses corpus_similarity")
    views = {
        name: as_matrix(measured.filter((pl.col("metric") == metric) & (pl.col("feature") == feature)))
        * (1 if metric in ALIKE_IS_HIGH else -1)
        for name, (metric, feature) in VIEWS.items()
    }
    embedding = None
    if (tables / "semantic_similarity.csv").exists():
        semantic, semantic_facts = find_table(
            tables, "semantic_similarity", "python -m analyses semantic_similarity --data DIR"
        )
        embedding = semantic_facts["model"]
        for name, metric in SEMANTIC.items():
            matrix = as_matrix(semantic.filter(pl.col("metric") == metric))
            views[name] = (matrix + matrix.T) / 2 * (1 if metric in ALIKE_IS_HIGH else -1)
    rows = []
    for a, b in itertools.combinations(views, 2):
        result = cells_agreement(views[a], views[b])
        rows.append(
            {
                "view_a": a,
                "view_b": b,
                "n_cells": result.n,
                "spearman": result.spearman,
                "low": result.low,
                "high": result.high,
            }
        )
    return pl.DataFrame(rows), {"views": VIEWS, "stand_ins": facts["stand_ins"], "embedding": embedding}
