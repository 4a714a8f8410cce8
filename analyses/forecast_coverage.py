"""Could an advantage be given as an improvement in percent, with an interval that holds for a sweep not seen before?

A cell is a mixture and a target: x, how much cross-entropy on skeleton bigrams falls against the reference, as a log
ratio; y, how much the loss falls, as a share. The reference is the control or, where a sweep has none, the run nearest
to its mean mixture. Every sweep has a slope of y on x through 0; for a new one the slope is drawn from theirs
(Student's t), and what is left has their mean variance. Coverage: the share of a group's cells inside the 95% interval
that the other groups give.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses import find_table, shipped_profile
from analyses._pile import domain_profiles
from analyses._sweeps import PublicSweep, mixing_laws, regmix
from analyses.predictor_tournament import PRETRAIN, TOKENIZER
from analyses.predictor_tournament_study import mean_cells
from analyses.public_sweeps import CORPORA, prior_predictions
from simtool.mixture import Mixture, blend
from simtool.prediction.advantage import Question
from simtool.prediction.predictors import benefit
from simtool.statistics import t_quantile

FEATURE = "skeleton2"
RESAMPLES = 50
MIDTRAINING = ("published", "study", "ct")  # groups whose runs go on from a common checkpoint

Cells = dict[str, np.ndarray]  # {sweep: (cells, 2), x and y}


def make(tables: Path, data: Path | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per set of sweeps that the calibration is made from, and group that is left out of it."""
    sweeps = [*regmix(data), *mixing_laws(data)]
    predicted = prior_predictions(
        sweeps, domain_profiles(data, {FEATURE}, CORPORA), [f"cross_entropy.{FEATURE}"], resamples=4
    )[f"cross_entropy.{FEATURE}"]
    cells = {public.name: _sweep_cells(public, predicted[public.name].mean(axis=0)) for public in sweeps}
    published = find_table(tables, "published_results", "analyses")[0]
    for size in published["size"].unique(maintain_order=True):
        cells[f"published {size}"] = _effect_cells(published.filter(pl.col("size") == size), TOKENIZER)
    study, facts = find_table(tables, "mini_effects", "the study `mini` of earlier versions")
    cells[f"study {facts['study']}"] = _effect_cells(mean_cells(study), facts.get("tokenizer", "default"))
    midtraining = {name: table for name, table in cells.items() if name.startswith(MIDTRAINING)}
    rows = [
        *_left_out("all", cells, lambda name: name.split()[0]),
        *_left_out("midtraining and continued pretraining", midtraining, lambda name: name),
    ]
    return pl.DataFrame(rows), {"feature": FEATURE, "sweeps": {name: len(table) for name, table in cells.items()}}


def _left_out(calibration: str, cells: Cells, group_of: Callable[[str], str]) -> list[dict[str, Any]]:
    rows = []
    for group in dict.fromkeys(map(group_of, cells)):
        held_out = np.concatenate([table for name, table in cells.items() if group_of(name) == group])
        others = dict.fromkeys(other for other in map(group_of, cells) if other != group)
        parts = [np.concatenate([t for name, t in cells.items() if group_of(name) == other]) for other in others]
        rows.append({"calibration": calibration, "left_out": group, **coverage(held_out, parts)})
    return rows


def coverage(held_out: np.ndarray, parts: list[np.ndarray]) -> dict[str, Any]:
    """How the interval fares that the slopes and residuals of `parts` give for the cells held out; all in percent."""
    slopes = np.array([slope(part) for part in parts])
    residual = np.mean([np.mean((part[:, 1] - b * part[:, 0]) ** 2) for part, b in zip(parts, slopes, strict=True)])
    x, y = held_out.T
    spread = slopes.var(ddof=1) * (1 + 1 / len(slopes))
    reach = t_quantile(len(slopes) - 1) * np.sqrt(x**2 * spread + residual)
    expected = slopes.mean() * x
    return {
        "cells": len(x),
        "slope": slope(held_out),
        "slope_of_others": slopes.mean(),
        "slope_sd": slopes.std(ddof=1),
        "coverage": np.mean(np.abs(y - expected) <= reach),
        "half_width_percent": 100 * np.median(reach),
        "sd_percent": 100 * y.std(),
        "error_percent": 100 * np.mean(np.abs(y - expected)),
        "error_of_zero_percent": 100 * np.mean(np.abs(y)),
    }


def slope(cells: np.ndarray) -> float:
    """Of y on x through 0, by least squares."""
    return float(cells[:, 0] @ cells[:, 1] / (cells[:, 0] @ cells[:, 0]))


def _sweep_cells(public: PublicSweep, predicted: np.ndarray) -> np.ndarray:
    sweep = public.sweep
    base = int(np.abs(sweep.weights - sweep.weights.mean(axis=0)).sum(axis=1).argmin())
    x, y = np.log(predicted[base] / predicted), 1 - sweep.losses / sweep.losses[base]
    measured = np.isfinite(y)
    measured[base] = False
    return np.column_stack([x[measured], y[measured]])


def _effect_cells(results: pl.DataFrame, tokenizer: str) -> np.ndarray:
    arms, targets = (
        list(dict.fromkeys(results.select(*names).iter_rows())) for names in (("mix", "weight"), ("target",))
    )
    corpora = sorted({*PRETRAIN.weights, *results["mix"], *results["target"]})
    profiles = {corpus: shipped_profile(corpus, tokenizer, {FEATURE}) for corpus in corpora}
    mixtures = {f"{mix}:{weight:g}": blend(PRETRAIN, Mixture({mix: 1.0}), weight) for mix, weight in arms}
    question = Question(profiles, PRETRAIN, mixtures, tuple(target for (target,) in targets), resamples=RESAMPLES)
    predicted = benefit(f"relative.{FEATURE}", question).value
    columns = ("mix", "weight", "target", "control_loss", "loss")
    return np.array(
        [
            (predicted[arms.index((mix, weight)), targets.index((target,))], (control - loss) / control)
            for mix, weight, target, control, loss in results.select(*columns).iter_rows()
        ]
    )
