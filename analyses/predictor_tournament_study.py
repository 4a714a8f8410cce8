"""Which predictor, computed from corpora alone, predicts how much midtraining helped in our own study?

The tournament of predictor_tournament on study_effects: a mixture that was tried with several starts or designs
counts by its mean, since no predictor knows of time.
"""

from pathlib import Path
from typing import Any

import polars as pl

from analyses import Missing, find_table, shipped_profile
from analyses.advantage_benefit import error_of_mean
from analyses.predictor_tournament import of_profiles, score
from simtool.mixture import parse_mixture
from simtool.prediction.predictors import PREDICTORS, default_candidates
from simtool.profiles.count import Budget
from simtool.profiles.profile import Profile
from simtool.profiles.resolve import Options, find_profile

TOKENS = 500_000  # of a corpus whose profile does not ship: as many as studies predict from


def make(tables: Path, data: Path | None = None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The table, one row per size and predictor, and what it rests on."""
    effects, facts = find_table(tables, "study_effects", "simtool train-eval")
    results = mean_cells(effects)
    text = facts.get("pretrain", "c4")  # studies on other text than C4 say so
    pretrain = parse_mixture(text)
    tokenizer = facts.get("tokenizer", "default")
    names = of_profiles()
    features = {feature for name in names for feature in PREDICTORS[name].features}
    corpora = sorted({*pretrain.weights, *results["mix"], *results["target"]})
    profiles = study_profiles(corpora, tokenizer, features, data)
    sizes = results["size"].unique(maintain_order=True)
    same_domain = facts.get("same_domain")  # None: of the catalogue
    scores = pl.concat(
        [score(results.filter(pl.col("size") == size), profiles, names, pretrain, same_domain) for size in sizes]
    )
    return scores, {
        "study": facts,
        "corpora": {name: {**profile.size, **profile.facts} for name, profile in profiles.items()},
        "tokenizer": tokenizer,
        "candidates": list(default_candidates()),
    }


def study_profiles(corpora: list[str], tokenizer: str, features: set[str], data: Path | None) -> dict[str, Profile]:
    """Those that ship; where one does not, all from the data folder, as the study itself predicted."""
    try:
        return {name: shipped_profile(name, tokenizer, features) for name in corpora}
    except Missing:
        if data is None:
            raise
    options = Options(tokenizer=tokenizer, data=data, budget=Budget(tokens=TOKENS, at_most=True))
    return {name: find_profile(name, features, options).profile for name in corpora}


def mean_cells(effects: pl.DataFrame) -> pl.DataFrame:
    """Mixtures that were tried with several starts or designs count by their mean; no continued pretraining."""
    return (
        effects.filter(pl.col("kind") == "midtrain")
        .group_by("size", "mix", "weight", "target", maintain_order=True)
        .agg(pl.col("control_loss", "loss").mean(), error_of_mean())
        .with_columns(pl.col("size").cast(str))
    )
