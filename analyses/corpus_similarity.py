"""How alike are the thirteen corpora whose profiles ship, by metric and by what is counted?

All are thinned to the size of the smallest (TREC), so the cells of one metric and feature can be compared with each
other. The views: words (tokens), spelling (characters), syntax (skeletons).
"""

from typing import Any

import polars as pl

from analyses import shipped_profile
from simtool.profiles.reference.build import CORPORA
from simtool.similarity.matrix import similarity_matrix

RESAMPLES = 100
SIMILARITIES = (
    ("token", "token"),
    ("js", "token"),
    ("js", "char4"),
    ("js", "skeleton1"),
    ("js", "skeleton3"),
    ("hellinger", "token"),
    ("cross_entropy", "skeleton1"),
)


def make() -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per metric, feature and cell, as SimilarityMatrix.to_polars()."""
    profiles = {name: shipped_profile(name, "default", {feature for _, feature in SIMILARITIES}) for name in CORPORA}
    proxies = [name for name, profile in profiles.items() if profile.facts["stand_in"]]
    parts = []
    for metric, feature in SIMILARITIES:
        matrix = similarity_matrix(profiles, metric=metric, feature=feature, resamples=RESAMPLES)
        parts.append(matrix.to_polars().with_columns(_is_proxy("row", proxies), _is_proxy("column", proxies)))
    return pl.concat(parts), {
        "corpora": {name: {**profile.size, **profile.facts} for name, profile in profiles.items()},
        "tokenizer": "default",
        "resamples": RESAMPLES,
        "seed": 0,
        "stand_ins": proxies,
    }


def _is_proxy(side: str, proxies: list[str]) -> pl.Expr:
    return pl.col(side).is_in(proxies).alias(f"{side}_is_proxy")
