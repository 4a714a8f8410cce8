"""Which predictor, computed from corpora alone, predicts how much midtraining helped in our own study?

The tournament of predictor_tournament on study_effects: a mixture that was tried with several starts or designs
counts by its mean, since no predictor knows of time.
"""

from pathlib import Path
from typing import Any

import polars as pl

from analyses import find_table, shipped_profile
from analyses.predictor_tournament import of_profiles, score
from simtool.mixture import parse_mixture
from simtool.prediction.predictors import PREDICTORS, default_candidates


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The table, one row per size and predictor, and what it rests on."""
    effects, facts = find_table(tables, "study_effects", "simtool train-eval")
    results = mean_cells(effects)
    text = facts.get("pretrain", "c4")  # studies on other text than C4 say so
    pretrain = parse_mixture(text)
    tokenizer = facts.get("tokenizer", "default")
    names = of_profiles()
    features = {feature for name in names for feature in PREDICTORS[name].features}
    corpora = sorted({*pretrain.weights, *results["mix"], *results["target"]})
    profiles = {name: shipped_profile(name, tokenizer, features) for name in corpora}
    sizes = results["size"].unique(maintain_order=True)
    scores = pl.concat([score(results.filter(pl.col("size") == size), profiles, names, pretrain) for size in sizes])
    return scores, {
        "study": facts,
        "corpora": {name: {**profile.size, **profile.facts} for name, profile in profiles.items()},
        "tokenizer": tokenizer,
        "candidates": list(default_candidates()),
    }


def mean_cells(effects: pl.DataFrame) -> pl.DataFrame:
    """Mixtures that were tried with several starts or designs count by their mean; no continued pretraining."""
    return (
        effects.filter(pl.col("kind") == "midtrain")
        .group_by("size", "mix", "weight", "target", maintain_order=True)
        .agg(pl.col("control_loss", "loss").mean())
        .with_columns(pl.col("size").cast(str))
    )
