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
ASKED = (
    ("token", "token"),
    ("js", "token"),
    ("js", "token2"),
    ("js", "char4"),
    ("js", "skeleton1"),
    ("js", "skeleton3"),
    ("hellinger", "token"),
    ("cross_entropy", "skeleton2"),
)


def make() -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row a metric, feature and cell, as SimilarityMatrix.to_polars()."""
    profiles = {name: shipped_profile(name, "default", {feature for _, feature in ASKED}) for name in CORPORA}
    stand_ins = [name for name, profile in profiles.items() if profile.facts["stand_in"]]
    parts = []
    for metric, feature in ASKED:
        found = similarity_matrix(profiles, metric=metric, feature=feature, resamples=RESAMPLES)
        parts.append(found.to_polars().with_columns(_stand_in("row", stand_ins), _stand_in("column", stand_ins)))
    return pl.concat(parts), {
        "corpora": {name: {**profile.size, **profile.facts} for name, profile in profiles.items()},
        "tokenizer": "default",
        "resamples": RESAMPLES,
        "seed": 0,
        "stand_ins": stand_ins,
    }


def _stand_in(side: str, stand_ins: list[str]) -> pl.Expr:
    return pl.col(side).is_in(stand_ins).alias(f"{side}_stand_in")
