"""Which predictor should be the default, by the rule that was written before any of the new ones was scored?

The rule stands in README.md: six scores, their mean, and one condition. S1 and S2: RegMix 60M, all runs and those with
little own-domain weight; S3: Data Mixing Laws, redpajama and 5mix; S4: its continued pretraining; S5 and S6: the
published 410M cells and our first study, `mini`, the lowest Pearson with any one target left out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses import find_table, shipped_profile
from analyses._pile import domain_profiles
from analyses._sweeps import mixing_laws, regmix
from analyses.predictor_tournament import PRETRAIN, TOKENIZER, score
from analyses.predictor_tournament_study import mean_cells
from analyses.public_sweeps import CORPORA, SPANS, features_of, prior_predictions
from simtool.mixture import Mixture, parse_mixture
from simtool.prediction.predictors import CANDIDATES, NEW_CANDIDATES, PREDICTORS
from simtool.prediction.text_priors import rank_runs

PRESENT = ("cross_entropy.skeleton2",)  # the default when the rule was written
MARGIN = 0.05  # how far S5 of the next default may lie below that of the present one
SCORES = ("regmix_60m", "regmix_60m_low_weight", "mixing_laws", "continued_pretraining", "published_410m", "own_study")


def make(tables: Path, data: Path | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per candidate, those that can be chosen first, best first."""
    names = [name for name in (*CANDIDATES, *NEW_CANDIDATES) if PREDICTORS[name].needs == "profiles"]
    ranked = find_table(tables, "public_sweeps", "analyses")[0]
    others = [name for name in names if name not in set(ranked["predictor"])]
    ranked = pl.concat([ranked, _other_ranks(others, data)], how="vertical_relaxed")
    published = find_table(tables, "published_results", "analyses")[0].filter(pl.col("size") == "410m")
    study, facts = find_table(tables, "mini_effects", "the study `mini` of earlier versions")
    rows = (
        pl.DataFrame({"predictor": [*names, SPANS]})
        .join(_rank_scores(ranked), on="predictor", how="left", maintain_order="left")
        .join(_lowest_pearson("published_410m", published, names, TOKENIZER, PRETRAIN), on="predictor", how="left")
        .join(
            _lowest_pearson("own_study", mean_cells(study), names, facts.get("tokenizer", "default"), _pretrain(facts)),
            on="predictor",
            how="left",
        )
    )
    return _by_the_rule(rows), {"study": facts.get("study"), "candidates": names}


def _by_the_rule(table: pl.DataFrame) -> pl.DataFrame:
    """The mean of the six scores where all are there, and whether the rule lets a candidate be chosen."""
    least = table.filter(pl.col("predictor").is_in(PRESENT))["published_410m"].item() - MARGIN
    complete = pl.all_horizontal(pl.col(name).is_not_null() for name in SCORES)
    return table.with_columns(
        mean=pl.when(complete).then(pl.mean_horizontal(SCORES)),
        allowed=complete & (pl.col("published_410m") >= least),
    ).sort("allowed", "mean", descending=True, nulls_last=True)


def _rank_scores(ranked: pl.DataFrame) -> pl.DataFrame:
    """S1 to S4, from the rows of public_sweeps that are means over targets."""
    mean = ranked.filter(pl.col("target") == "mean")
    sweep, spearman = pl.col("sweep"), pl.col("spearman")
    return mean.group_by("predictor").agg(
        spearman.filter(sweep == "RegMix 60M").first().alias(SCORES[0]),
        pl.col("spearman_low_weight").filter(sweep == "RegMix 60M").first().alias(SCORES[1]),
        spearman.filter(sweep.str.contains("^(redpajama|5mix) ")).mean().alias(SCORES[2]),
        spearman.filter(sweep.str.starts_with("ct ")).mean().alias(SCORES[3]),
    )


def _other_ranks(names: list[str], data: Path | None) -> pl.DataFrame:
    """The same rows for candidates that public_sweeps leaves out, without intervals.

    Only what can be computed of every run at once: cross-entropies, and what is made of them.
    """
    sweeps = [regmix(data)[-1], *mixing_laws(data, ("redpajama", "5mix", "ct"))]
    relative = [name for name in names if name.startswith("relative.")]
    parts = {f"cross_entropy.{feature}" for name in relative for feature in PREDICTORS[name].features}
    priors = sorted(parts | {name for name in names if name.startswith("cross_entropy.")})
    profiles = domain_profiles(data, features_of(priors), CORPORA)
    predictions = prior_predictions(sweeps, profiles, priors, resamples=4)
    for name in relative:
        parts = [predictions[f"cross_entropy.{feature}"] for feature in PREDICTORS[name].features]
        predictions[name] = {
            public.name: np.mean([np.log(part[public.name]) for part in parts], axis=0) for public in sweeps
        }
    tables = []
    for public in sweeps:
        values = {
            name: predictions[name][public.name].mean(axis=0, keepdims=True) for name in names if name in predictions
        }
        ranking = rank_runs(public.sweep, public.sweep.own_weights(public.texts), values, draws=1)
        tables.append(ranking.to_polars().select(pl.lit(public.name).alias("sweep"), pl.lit(0).alias("runs"), pl.all()))
    return pl.concat(tables)


def _lowest_pearson(
    name: str, results: pl.DataFrame, predictors: list[str], tokenizer: str, pretrain: Mixture
) -> pl.DataFrame:
    """The lowest Pearson with any one target left out, of every predictor, as a column of that name."""
    features = {feature for predictor in predictors for feature in PREDICTORS[predictor].features}
    corpora = sorted({*pretrain.weights, *results["mix"], *results["target"]})
    profiles = {corpus: shipped_profile(corpus, tokenizer, features) for corpus in corpora}
    scores = score(results, profiles, predictors, pretrain)
    return scores.select("predictor", pl.col("lowest_without_a_target").alias(name))


def _pretrain(facts: Mapping[str, Any]) -> Mixture:
    return parse_mixture(facts.get("pretrain", "c4"))
