"""Do directed measures rank RegMix's runs better than symmetric ones, and syntax better than tokens?

Cross-entropy and Jensen-Shannon divergence of the same half-samples of the same texts, on three features, against the
losses of 256 runs at 60M for 13 targets: the mean over targets of Spearman over runs, and the differences of two
measures, whose intervals draw the runs with replacement and a half-sample, the same for both.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses._pile import TOKENIZER, domain_profiles
from analyses._sweeps import regmix
from simtool.prediction.sweeps import Sweep
from simtool.prediction.text_priors import COSTS, LOW_WEIGHT, SweepCounts, count_sweep, predicted_losses, spearman_rows
from simtool.similarity.resampling import half_splits
from simtool.statistics import TAILS

FEATURES = ("token", "skeleton2", "skeleton3")
CONTRASTS = (
    *((f"cross_entropy.{feature}", f"js.{feature}") for feature in FEATURES),
    *((f"{metric}.{feature}", f"{metric}.token") for metric in ("cross_entropy", "js") for feature in FEATURES[1:]),
)
RESAMPLES = 4
DRAWS = 200

# R half-samples, n runs, T targets, V n-grams


def make(data: Path | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per measure and per difference of two, over all runs and over those with little own-domain weight."""
    public = regmix(data)[-1]
    sweep = public.sweep
    profiles = domain_profiles(data, FEATURES)
    names, weights = sweep.corpus_weights(public.texts)
    measured: dict[str, np.ndarray] = {}
    for feature in FEATURES:
        counts = count_sweep(profiles, names, public.texts.targets, (feature,))
        sizes = np.concatenate([counts.source_sizes, counts.targets.sum(axis=2)], axis=1).T
        splits = half_splits(sizes, RESAMPLES, np.random.default_rng(0), (*names, *sweep.targets))
        cost = COSTS["cross_entropy"]
        of_splits = [predicted_losses(weights, counts, cost, split) for split in splits]
        measured[f"cross_entropy.{feature}"] = np.stack(of_splits)
        measured[f"js.{feature}"] = np.stack([divergences(weights, counts, split) for split in splits])
    everywhere = np.isfinite(sweep.losses)
    masks = {"all": everywhere, "own weight below 0.5%": everywhere & (sweep.own_weights(public.texts) < LOW_WEIGHT)}
    rows = [row | {"runs": runs} for runs, mask in masks.items() for row in compared(measured, sweep, mask)]
    return pl.DataFrame(rows), {"sweep": public.name, "tokenizer": TOKENIZER, "resamples": RESAMPLES, "draws": DRAWS}


def divergences(weights: np.ndarray, counts: SweepCounts, split: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in bits of every run's mixture with every target: float64 (n, T).

    Sources are read from the folds of the split and targets from the others, as in `predicted_losses`. What of a
    mixture the target lacks adds half a bit per unit of its mass.
    """
    symbols = weights * counts.per_token
    symbols /= symbols.sum(axis=1, keepdims=True)
    sources = counts.sources[split].sum(axis=0) / counts.source_sizes[split].sum(axis=0)[:, None]
    targets = counts.targets[~split].sum(axis=0)
    columns = []
    for target in targets:
        seen = np.flatnonzero(target)
        p, q = (symbols @ sources[:, seen]).astype(np.float32), (target[seen] / target.sum()).astype(np.float32)
        middle = (p + q) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            of_mixture = np.where(p > 0, p * np.log2(p / middle), 0).sum(axis=1, dtype=np.float64)
        of_target = (q * np.log2(q / middle)).sum(axis=1, dtype=np.float64)
        columns.append((of_mixture + of_target + 1 - p.sum(axis=1, dtype=np.float64)) / 2)
    return np.stack(columns, axis=1)


def compared(measured: Mapping[str, np.ndarray], sweep: Sweep, mask: np.ndarray) -> list[dict[str, Any]]:
    """Each measure's Spearman, and the differences of CONTRASTS, with 95% intervals; mask (n, T): the runs of each."""
    rng = np.random.default_rng(0)
    n = len(sweep.runs)
    draws = [(rng.integers(RESAMPLES), rng.integers(n, size=n)) for _ in range(DRAWS)]
    whole = {name: mean_spearman(values.mean(axis=0), sweep, mask, np.arange(n)) for name, values in measured.items()}
    drawn = {
        name: np.array([mean_spearman(values[half], sweep, mask, runs) for half, runs in draws])
        for name, values in measured.items()
    }
    rows = [row_of(name, None, whole[name], drawn[name]) for name in measured]
    return rows + [row_of(a, b, whole[a] - whole[b], drawn[a] - drawn[b]) for a, b in CONTRASTS]


def row_of(measure: str, less: str | None, value: float, drawn: np.ndarray) -> dict[str, Any]:
    low, high = np.quantile(drawn, TAILS)
    return {"measure": measure, "less": less, "spearman": value, "low": float(low), "high": float(high)}


def mean_spearman(values: np.ndarray, sweep: Sweep, mask: np.ndarray, runs: np.ndarray) -> float:
    """Mean over targets of Spearman of values (n, T) and losses over some runs, each target's within the mask."""
    of_targets = []
    for t in range(len(sweep.targets)):
        rows = runs[mask[runs, t]]
        of_targets.append(spearman_rows(values[rows, t][None], sweep.losses[rows, t][None])[0])
    return float(np.nanmean(of_targets))
