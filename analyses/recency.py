"""Does a prediction that weighs text by when it was read say more about continued pretraining and late starts?

A model forgets: what it read t ago, in shares of all its text, counts exp(-t / memory). What an arm remembers is then a
mixture of its trunk and its own text, and any predictor takes that in place of the arm's own mixture. Memory 0: only
what was read after the fork counts, as simtool predicts; without end: every token counts alike.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses import find_table
from analyses.predictor_tournament_study import study_profiles
from simtool.mixture import Mixture, blend, parse_mixture
from simtool.prediction.predictors import PREDICTORS, benefits
from simtool.prediction.question import Question
from simtool.profiles.profile import Profile
from simtool.statistics import FEWEST_CELLS, agreement, pearson_of_rows

MEMORIES = (0.0, 0.2, 0.5, 1.0, math.inf)
RESAMPLES = 20  # the mean over half-splits is what is compared, for each memory anew
NAMES = ("cross_entropy.skeleton2", "exposure.skeleton3")  # the default of the study's day, and today's
KIND, MIXTURE = ["kind", "mix", "weight", "start"], ["mix", "weight", "start"]


def make(tables: Path, data: Path | None = None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per study, predictor and memory."""
    parts, facts = [], {}
    for table, designs in (("study_effects", ["paper"]), ("study_timing", ["paper", "exposure"])):
        effects, of_study = find_table(tables, table, "simtool train-eval")
        of_designs = effects.filter(pl.col("design").is_in(designs), pl.col("kind") != "control")
        parts.append(_scores(table, of_designs, of_study, data))
        facts[table] = of_study
    return pl.concat(parts), {"studies": facts, "resamples": RESAMPLES, "memory": "in shares of an arm's text"}


def late_share(start: float, memory: float) -> float:
    """How much of what is remembered was read after `start`, a share of all text."""
    if memory == 0:
        return 1.0
    if math.isinf(memory):
        return 1 - start
    return math.expm1(-(1 - start) / memory) / math.expm1(-1 / memory)


def _scores(study: str, effects: pl.DataFrame, facts: Mapping[str, Any], data: Path | None) -> pl.DataFrame:
    pretrain = parse_mixture(facts.get("pretrain", "c4"))
    features = {feature for name in NAMES for feature in PREDICTORS[name].features}
    corpora = sorted({*pretrain.weights, *effects["mix"], *effects["target"]})
    profiles = study_profiles(corpora, facts.get("tokenizer", "default"), features, data)
    arms = effects.select(KIND).unique(maintain_order=True)
    targets = tuple(dict.fromkeys(effects["target"]))
    cells = {(*(row[key] for key in KIND), row["target"]): row["relative_improvement"] for row in effects.to_dicts()}
    observed = np.array([[cells.get((*arm, target), np.nan) for target in targets] for arm in arms.iter_rows()])
    rows = []
    for memory in MEMORIES:
        predicted = _predicted(arms, memory, profiles, pretrain, targets)
        rows += [
            {"study": study, "predictor": name, "memory": memory} | _row(arms, predicted[name], observed)
            for name in NAMES
        ]
    return pl.DataFrame(rows, infer_schema_length=None).sort("predictor", maintain_order=True)


def _predicted(
    arms: pl.DataFrame, memory: float, profiles: Mapping[str, Profile], pretrain: Mixture, targets: Iterable[str]
) -> dict[str, np.ndarray]:
    """{predictor: (arms, targets)} of what each arm remembers."""
    remembered = {
        str(place): blend(pretrain, Mixture({arm["mix"]: 1.0}), arm["weight"] * late_share(arm["start"], memory))
        for place, arm in enumerate(arms.iter_rows(named=True))
    }
    question = Question(profiles, pretrain, remembered, tuple(targets), resamples=RESAMPLES)
    return {name: advantage.value for name, advantage in benefits(NAMES, question).items()}


def _row(arms: pl.DataFrame, predicted: np.ndarray, observed: np.ndarray) -> dict[str, Any]:
    """Agreement over all cells, over midtraining alone, and of continued pretraining less midtraining."""
    all_cells = agreement(predicted, observed)
    midtraining = (arms["kind"] == "midtrain").to_numpy()
    of_midtraining = agreement(predicted[midtraining], observed[midtraining])
    return {
        "n": all_cells.n,
        **{field: getattr(all_cells, field) for field in ("pearson", "pearson_low", "pearson_high", "spearman")},
        "n_midtraining": of_midtraining.n,
        "pearson_midtraining": of_midtraining.pearson,
        "spearman_midtraining": of_midtraining.spearman,
        **_differences(arms, predicted, observed),
    }


def _differences(arms: pl.DataFrame, predicted: np.ndarray, observed: np.ndarray) -> dict[str, Any]:
    """Continued pretraining less midtraining on the same corpus: how often the sign is right, and Pearson."""
    places: dict[str, dict[str, int]] = {}
    for place, arm in enumerate(arms.iter_rows(named=True)):
        places.setdefault(arm["mix"], {}).setdefault(arm["kind"], place)
    pairs = [(kinds["cpt"], kinds["midtrain"]) for kinds in places.values() if len(kinds) == 2]
    x, y = (np.array([table[cpt] - table[mid] for cpt, mid in pairs]).ravel() for table in (predicted, observed))
    right = np.sign(x) == np.sign(y)
    return {
        "n_differences": len(x),
        "same_sign": float(right.mean()) if len(x) else None,
        "pearson_differences": float(pearson_of_rows(x[None], y[None])[0]) if len(x) >= FEWEST_CELLS else None,
    }
