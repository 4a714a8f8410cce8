"""Which predictor, computed from corpora alone, predicts how much midtraining helps?

Every predictor gives the advantage of each mixture for each target, and compared with the relative
improvement of the loss after SFT. The first table of results is the published one; `score` takes any other.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses import shipped_profile
from simtool.corpora.catalogue import SAME_DOMAIN, same_domain_pairs
from simtool.errors import SimtoolError
from simtool.mixture import Mixture, blend
from simtool.prediction.predictors import PREDICTORS, benefits, default_candidates
from simtool.prediction.question import Question
from simtool.prediction.scoring import attainable, beside, beyond_baseline
from simtool.profiles.profile import Profile
from simtool.statistics import Agreement, agreement, holm
from simtool.tables import load_table

PRETRAIN = Mixture({"c4": 1.0})
TOKENIZER = "pythia"  # the paper's
RESAMPLES = 100  # the mean over half-splits is what is compared
DOMINANT = ("starcoder", "pycode")  # carries 70% of the variance of the published 410M table


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The table, one row per size and predictor, and what it rests on."""
    results, facts = load_table(tables / "published_results.csv")
    names = of_profiles()
    features = {feature for name in names for feature in PREDICTORS[name].features}
    corpora = sorted({"c4", *results["mix"], *results["target"]})
    profiles = {name: shipped_profile(name, TOKENIZER, features) for name in corpora}
    scores = pl.concat(
        [score(results.filter(pl.col("size") == size), profiles, names) for size in ("410m", "1b", "160m")]
    )
    return scores, {
        "results": facts["about"],
        "corpora": {name: {**profile.size, **profile.facts} for name, profile in profiles.items()},
        "tokenizer": TOKENIZER,
        "resamples": RESAMPLES,
        "candidates": list(default_candidates()),
        "attainable": "not known: one published run per cell",
    }


def of_profiles() -> list[str]:
    """The predictors that profiles are enough for."""
    return [name for name, entry in PREDICTORS.items() if entry.needs == "profiles" and "length" not in entry.feature]


def score(
    results: pl.DataFrame,
    profiles: Mapping[str, Profile],
    names: Iterable[str],
    pretrain: Mixture = PRETRAIN,
    same_domain: Iterable[Sequence[str]] | None = None,
) -> pl.DataFrame:
    """Every predictor against one table of results (columns mix, weight, target, size, control_loss, loss).

    What the noise of the results leaves attainable is known where they have a column standard_error.

    same_domain: (special, target) pairs of one domain; None: those of the catalogue.

    Holm's correction is over the candidates that were fixed before any study of ours; all others are exploration
    and have none.
    """
    arms = list(dict.fromkeys(results.select("mix", "weight").iter_rows()))
    targets = list(dict.fromkeys(results["target"]))
    if missing := sorted({name for name in (*results["mix"], *targets) if name not in profiles}):
        raise SimtoolError(f"No profile for {', '.join(missing)}, which the results name. Count them first.")
    observed, error = np.full((2, len(arms), len(targets)), np.nan)
    for row in results.iter_rows(named=True):
        place = arms.index((row["mix"], row["weight"])), targets.index(row["target"])
        observed[place] = (row["control_loss"] - row["loss"]) / row["control_loss"]
        error[place] = row.get("standard_error", np.nan)
    mixtures = {f"{mix}:{weight:g}": blend(pretrain, Mixture({mix: 1.0}), weight) for mix, weight in arms}
    question = Question(profiles, pretrain, mixtures, tuple(targets), resamples=RESAMPLES)
    predicted = {name: advantage.value for name, advantage in benefits(names, question).items()}
    if same_domain is None:
        same_domain = same_domain_pairs({mix for mix, _ in arms}, targets)
    matched = {tuple(pair) for pair in same_domain}
    baseline = np.array([[float((mix, target) in matched) for target in targets] for mix, _ in arms])
    beyond = {name: beyond_baseline(values, observed, baseline) for name, values in predicted.items()}
    predicted[SAME_DOMAIN], noise = baseline, attainable(observed, error)
    rows = [
        _row(name, agreement(values, observed), arms, targets) | beside(noise, beyond.get(name))
        for name, values in predicted.items()
    ]
    table = pl.DataFrame(rows, infer_schema_length=None).with_columns(size=pl.lit(results["size"][0]))
    fixed = set(default_candidates())
    p = [row["p"] if row["predictor"] in fixed else np.nan for row in rows]
    return (
        table.with_columns(candidate=pl.col("predictor").is_in(list(fixed)), p_holm=pl.Series(holm(np.array(p))))
        .with_columns(pl.selectors.float().fill_nan(None))
        .sort("lowest_without_a_target", descending=True, nulls_last=True)
    )


def _row(name: str, result: Agreement, arms: list[tuple[str, float]], targets: list[str]) -> dict[str, Any]:
    left_out = {targets[t]: r for t, r in result.without_target.items()}
    pairs = {(arms[m][0], targets[t]): (m, t) for m, t in result.without_pair}
    dominant = pairs.get(DOMINANT)
    lowest = min(left_out, key=lambda target: np.inf if np.isnan(left_out[target]) else left_out[target])
    return {
        "predictor": name,
        "feature": PREDICTORS[name].feature if name in PREDICTORS else None,
        "n": result.n,
        "pearson": result.pearson,
        "pearson_low": result.pearson_low,
        "pearson_high": result.pearson_high,
        "spearman": result.spearman,
        "spearman_low": result.spearman_low,
        "spearman_high": result.spearman_high,
        "undefined": result.undefined,
        "p": result.p,
        "pearson_without_starcoder_pycode": result.without_pair[dominant] if dominant else np.nan,
        "spearman_without_starcoder_pycode": result.spearman_without_pair[dominant] if dominant else np.nan,
        "lowest_without_a_pair": min(result.without_pair.values()),
        "lowest_without_a_target": left_out[lowest],
        "that_target": lowest,
    }
