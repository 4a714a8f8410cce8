"""Does the proximity advantage of a mixture go with its benefit, the relative improvement of the loss after SFT?

Predicted by the paper's score and by the best candidate of the tournament, from the profiles that ship; observed in the
published tables and, where a study of ours has run, in its effects. The predictions of a study are those written
before it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses import find_table, shipped_profile
from simtool.mixture import Mixture, blend
from simtool.prediction.advantage import advantage

# the paper's score, and the default predictor of the time at which the studies were predicted
PREDICTORS = {"token.token": ("token", "token"), "cross_entropy.skeleton2": ("cross_entropy", "skeleton2")}
PRETRAIN = Mixture({"c4": 1.0})
TOKENIZER = "pythia"  # the paper's
RESAMPLES = 200
POOLED = "pooled"


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per size, predictor, mixture and target: predicted and observed, with intervals where there are any."""
    results, facts = find_table(tables, "published_results", "the paper")
    observed = results.select(
        "size", "mix", "weight", "target",
        relative_improvement=(pl.col("control_loss") - pl.col("loss")) / pl.col("control_loss"),
        low=pl.lit(None, pl.Float64),
        high=pl.lit(None, pl.Float64),
        standard_error=pl.lit(None, pl.Float64),
    )  # fmt: skip
    arms = list(dict.fromkeys(observed.select("mix", "weight").iter_rows()))
    predicted = pl.concat([_predicted(arms, sorted(set(observed["target"])), name) for name in PREDICTORS])
    parts = [
        observed.join(predicted, on=["mix", "weight", "target"], maintain_order="left").with_columns(
            source=pl.lit("published")
        )
    ]
    if (tables / "study_effects.csv").exists():
        parts.append(_of_study(*find_table(tables, "study_effects", "simtool train-eval")))
    columns = ["source", "size", "predictor", "mix", "weight", "target"]
    columns += ["predicted", "predicted_low", "predicted_high", "relative_improvement", "low", "high", "standard_error"]
    return pl.concat([part.select(columns) for part in parts]), {
        "results": facts["about"],
        "tokenizer": TOKENIZER,
        "resamples": RESAMPLES,
        "unit": "predicted: score (token.token) or bits per symbol; relative_improvement: share of the control's loss",
    }


def _predicted(arms: list[tuple[str, float]], targets: list[str], name: str) -> pl.DataFrame:
    metric, feature = PREDICTORS[name]
    corpora = sorted({"c4", *(mix for mix, _ in arms), *targets})
    profiles = {corpus: shipped_profile(corpus, TOKENIZER, (feature,)) for corpus in corpora}
    mixtures = {f"{mix}:{weight:g}": blend(PRETRAIN, Mixture({mix: 1.0}), weight) for mix, weight in arms}
    result = advantage(profiles, PRETRAIN, mixtures, targets, metric, feature, resamples=RESAMPLES)
    named = pl.DataFrame({"mixture": list(mixtures), "mix": [a for a, _ in arms], "weight": [w for _, w in arms]})
    return (
        result.to_polars()
        .join(named, on="mixture", maintain_order="left")
        .select(
            "mix", "weight", "target",
            predictor=pl.lit(name), predicted="advantage", predicted_low="low", predicted_high="high",
        )
    )  # fmt: skip


def _of_study(effects: pl.DataFrame, facts: dict[str, Any]) -> pl.DataFrame:
    """A study's midtraining arms; a mixture tried with several starts counts by their mean: predictors know no time."""
    cell = ["size", "mix", "weight", "target"]
    measured = ["predicted", "predicted_low", "predicted_high", "relative_improvement", "low", "high"]
    return (
        effects.filter((pl.col("kind") == "midtrain") & pl.col("predicted").is_not_null())
        .group_by(cell, maintain_order=True)
        .agg(
            pl.col(measured).cast(pl.Float64).mean(),
            error_of_mean(),
        )
        .with_columns(
            source=pl.lit("study"),
            predictor=pl.lit(facts.get("predictor", "cross_entropy.skeleton2")),
            size=pl.col("size").cast(str),
        )
    )


def error_of_mean() -> pl.Expr:
    """The standard error of a mean of cells, their errors taken as independent; null where one of them is."""
    error = pl.col("standard_error")
    known = error.null_count() == 0  # a sum skips nulls, and is 0 of nothing
    return pl.when(known).then((error**2).sum().sqrt() / pl.len()).alias("standard_error")


def tables_of(points: pl.DataFrame) -> dict[tuple[str, str, str], pl.DataFrame]:
    """The points of each (source, size, predictor); with size "pooled", the mean over sizes of each cell of a source.

    Relative improvements may be averaged over sizes and versions, absolute losses may not. There is nothing to pool
    where a source has one size.
    """
    groups = {}
    for (source, predictor), rows in points.group_by("source", "predictor", maintain_order=True):
        sizes = rows["size"].unique(maintain_order=True).to_list()
        for size in sizes:
            groups[source, size, predictor] = rows.filter(pl.col("size") == size)
        if len(sizes) > 1:
            groups[source, POOLED, predictor] = rows.group_by("mix", "weight", "target", maintain_order=True).agg(
                pl.col("predicted", "relative_improvement").mean(),
                error_of_mean(),
            )
    return groups


def crossed(points: pl.DataFrame) -> tuple[list[tuple[str, float]], list[str], Any, Any, Any]:
    """Points as tables (mixtures, targets), NaN where there is none: arms, targets, predicted, observed, its error."""
    arms = list(dict.fromkeys(points.select("mix", "weight").iter_rows()))
    targets = list(dict.fromkeys(points["target"]))
    tables = np.full((3, len(arms), len(targets)), np.nan)
    measured = ("predicted", "relative_improvement", "standard_error")
    for mix, weight, target, *values in points.select("mix", "weight", "target", *measured).iter_rows():
        tables[:, arms.index((mix, weight)), targets.index(target)] = np.array(values, float)
    return arms, targets, *tables
