"""Which predictor should be the default, by the rule that was written before any of the new ones was scored?

The rule stands in README.md: six scores, their mean, and one condition. S1 and S2: RegMix 60M, all runs and those with
little own-domain weight; S3: Data Mixing Laws, redpajama and 5mix; S4: its continued pretraining; S5 and S6: the
published 410M cells and our study, the lowest Pearson with any one target left out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses import find_table, shipped_profile
from analyses._pile import domain_profiles
from analyses._sweeps import PublicSweep, mixing_laws, regmix
from analyses.predictor_tournament import PRETRAIN, TOKENIZER, score
from analyses.public_sweeps import CORPORA, SPANS, features_of, text_predictions
from simtool.mixture import Mixture, parse_mixture
from simtool.prediction.predictors import CANDIDATES, NEW_CANDIDATES, PREDICTORS
from simtool.prediction.text_priors import rank_runs

PRESENT = ("cross_entropy.skeleton2",)  # the default when the rule was written
MARGIN = 0.05  # how far S5 of the next default may lie below that of the present one
SCORES = ("regmix_60m", "regmix_60m_low_weight", "mixing_laws", "continued_pretraining", "published_410m", "own_study")


def make(tables: Path, data: Path | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per candidate, those that can be chosen first, best first."""
    names = [name for name in (*CANDIDATES, *NEW_CANDIDATES) if PREDICTORS[name].needs == "profiles"]
    ranks = _rank_scores(names, data)
    published = find_table(tables, "published_results", "analyses")[0].filter(pl.col("size") == "410m")
    study, facts = find_table(tables, "study_effects", "simtool train-eval")
    lowest = {
        "published_410m": _lowest_pearson(published, names, TOKENIZER, PRETRAIN),
        "own_study": _lowest_pearson(_mean_cells(study), names, facts.get("tokenizer", "default"), _pretrain(facts)),
    }
    rows = [
        {"predictor": name, **ranks.get(name, {}), **{which: values[name] for which, values in lowest.items()}}
        for name in [*names, SPANS]
        if name in ranks or name in lowest["published_410m"]
    ]
    return _by_the_rule(pl.DataFrame(rows, infer_schema_length=None)), {
        "study": facts.get("study"),
        "candidates": names,
    }


def _by_the_rule(table: pl.DataFrame) -> pl.DataFrame:
    """The mean of the six scores where all are there, and whether the rule lets a candidate be chosen."""
    least = table.filter(pl.col("predictor").is_in(PRESENT))["published_410m"].item() - MARGIN
    complete = pl.all_horizontal(pl.col(name).is_not_null() for name in SCORES)
    return table.with_columns(
        mean=pl.when(complete).then(pl.mean_horizontal(SCORES)),
        allowed=complete & (pl.col("published_410m") >= least),
    ).sort("allowed", "mean", descending=True, nulls_last=True)


def _rank_scores(names: list[str], data: Path | None) -> dict[str, dict[str, float]]:
    """S1 to S4 of what can be computed for a sweep: cross-entropies, exposures, and what is made of them."""
    sweeps = [regmix(data)[-1], *mixing_laws(data, ("redpajama", "5mix", "ct"))]
    priors = [name for name in names if name.split(".")[0] in ("cross_entropy", "exposure")]
    profiles = domain_profiles(data, features_of(priors), CORPORA)
    predictions = text_predictions(sweeps, profiles, priors, data)
    for name in names:
        if name.startswith("relative."):
            parts = [predictions[f"cross_entropy.{feature}"] for feature in PREDICTORS[name].features]
            predictions[name] = {
                public.name: np.mean([np.log(part[public.name]) for part in parts], axis=0) for public in sweeps
            }
    return {name: _scores(sweeps, values) for name, values in predictions.items()}


def _scores(sweeps: list[PublicSweep], values: Mapping[str, np.ndarray]) -> dict[str, float]:
    spearman, low_weight = {}, {}
    for public in sweeps:
        own = public.sweep.own_weights(public.texts)
        ranking = rank_runs(public.sweep, own, {"": values[public.name].mean(axis=0, keepdims=True)}, draws=1)
        spearman[public.name], low_weight[public.name] = ranking.spearman[0, -1], ranking.low_weight[0, -1]
    first, *laws = (public.name for public in sweeps)
    numbers = (
        spearman[first],
        low_weight[first],
        np.mean([spearman[name] for name in laws if not name.startswith("ct")]),
        np.mean([spearman[name] for name in laws if name.startswith("ct")]),
    )
    return dict(zip(SCORES, map(float, numbers), strict=False))


def _lowest_pearson(results: pl.DataFrame, names: list[str], tokenizer: str, pretrain: Mixture) -> dict[str, float]:
    features = {feature for name in names for feature in PREDICTORS[name].features}
    corpora = sorted({*pretrain.weights, *results["mix"], *results["target"]})
    profiles = {name: shipped_profile(name, tokenizer, features) for name in corpora}
    return dict(score(results, profiles, names, pretrain).select("predictor", "lowest_without_a_target").iter_rows())


def _mean_cells(effects: pl.DataFrame) -> pl.DataFrame:
    """Mixtures that were tried with several starts or designs count by their mean."""
    return (
        effects.filter(pl.col("kind") == "midtrain")
        .group_by("size", "mix", "weight", "target", maintain_order=True)
        .agg(pl.col("control_loss", "loss").mean())
        .with_columns(pl.col("size").cast(str))
    )


def _pretrain(facts: Mapping[str, Any]) -> Mixture:
    return parse_mixture(facts.get("pretrain", "c4"))
