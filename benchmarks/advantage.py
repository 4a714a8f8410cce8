"""Proximity advantage of 20 mixtures for 10 targets, 1,000 paired resamples: python benchmarks/advantage.py

Two peers do the same on the same corpora, a few resamples of it, scaled to 1,000 (time is proportional to the
number): `plain loops` takes our half-splits and calls the metric for one source and one target at a time, and
must give our values; `documents` is the usual bootstrap, which draws the documents of every mixture and target
anew each time, counts their tokens and calls the metric.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from simtool.mixture import Mixture
from simtool.prediction.advantage import Measured, measure, summarise
from simtool.prediction.question import Question
from simtool.prediction.samples import draws
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile
from simtool.similarity.metrics import METRICS

WITH_ADVANTAGE = tuple(name for name, metric in METRICS.items() if not metric.by_ceilings)  # that has advantages
RUNS = 3
DOCUMENT = 100  # tokens
SPECIALS = 5
WEIGHTS = (0.05, 0.1, 0.2, 0.4)
TARGETS = 10
HASHED = tuple(f"hashed{i}" for i in range(12))  # as many as token2-4, skeleton1-4 and char1-5
C4 = Mixture({"c4": 1.0})

Result = TypeVar("Result")
Documents = dict[str, np.ndarray]  # ids, (n_documents, DOCUMENT)


def corpora(n_tokens: int, V: int, seed: int = 0) -> Documents:
    """Zipf's law, bent for each corpus; all of one size."""
    rng = np.random.default_rng(seed)
    names = ["c4", *(f"special{i}" for i in range(SPECIALS)), *(f"target{i}" for i in range(TARGETS))]
    documents = {}
    for name in names:
        shares = rng.lognormal(0, 1.5, V) / np.arange(1, V + 1)
        drawn = rng.choice(V, n_tokens, p=shares / shares.sum())
        documents[name] = drawn.reshape(-1, DOCUMENT)
    return documents


def profiles_of(documents: Documents, V: int, buckets: int) -> dict[str, Profile]:
    """Documents in turn to the folds; hashed features are the tokens, multiplied into buckets."""
    profiles = {}
    for name, ids in documents.items():
        folds = [ids[fold::N_FOLDS].ravel() for fold in range(N_FOLDS)]
        features = {"token": np.array([np.bincount(fold, minlength=V) for fold in folds])}
        for i, hashed in enumerate(HASHED):
            buckets_of = [(fold * (2654435761 + 2 * i) % 2**32) * buckets >> 32 for fold in folds]
            features[hashed] = np.array([np.bincount(fold, minlength=buckets) for fold in buckets_of])
        sizes = np.array([len(fold) for fold in folds])
        profiles[name] = Profile(name, "toy", "f" * 64, sizes // DOCUMENT, sizes, sizes, features)
    return profiles


def ask(profiles: dict[str, Profile], resamples: int) -> Question:
    mixtures = {
        f"special{i}:{weight:g}": Mixture({"c4": 1 - weight, f"special{i}": weight})
        for i in range(SPECIALS)
        for weight in WEIGHTS
    }
    return Question(profiles, C4, mixtures, tuple(f"target{i}" for i in range(TARGETS)), resamples=resamples)


def ours(question: Question, features: tuple[str, ...], metrics: tuple[str, ...]) -> list[Measured]:
    """From profiles to intervals, probabilities and ranks; what was measured on the last feature."""
    for feature in features:
        measures = measure(question, metrics, feature)
        for metric, measured in zip(metrics, measures, strict=True):
            summarise(question, metric, feature, measured)
    return measures


def plain_loops(question: Question, metrics: tuple[str, ...], n: int) -> np.ndarray:
    """(n, metrics, sources, targets): the first n splits."""
    draw = next(draws(question, "token"))
    counts = draw.counts
    values = np.zeros((n, len(metrics), len(counts.sources), len(counts.targets)))
    unseen = [(0, 0), (0, counts.dimension - counts.sources.shape[2])]
    for r, half in enumerate(draw.halves[:n]):
        first = counts.sources[:, half].sum(axis=1, dtype=float)
        first[counts.with_held_out] += counts.held_out[:, ~half].sum(axis=1)
        second = counts.targets[:, ~half].sum(axis=1, dtype=float)
        first, second = np.pad(first, unseen), np.pad(second, unseen)
        n_first, n_second = first.sum(axis=1), second.sum(axis=1)
        P, Q = first / n_first[:, None], second / n_second[:, None]
        for i, p in enumerate(P):
            for j, q in enumerate(Q):
                for k, name in enumerate(metrics):
                    metric = METRICS[name]
                    value = metric.compute(p, q)
                    if metric.bias is not None:
                        value = value - metric.bias(p, q, n_first[i], n_second[j])
                    values[r, k, i, j] = np.clip(value, metric.low, metric.high)
    return values


def resampled_documents(question: Question, documents: Documents, metrics: tuple[str, ...], n: int, V: int) -> None:
    rng = np.random.default_rng(0)

    def drawn(corpus: str, share: float) -> np.ndarray:
        ids = documents[corpus]
        return ids[rng.integers(len(ids), size=round(share * len(ids)))].ravel()

    for _ in range(n):
        sources = [
            np.concatenate([drawn(c, w) for c, w in m.weights.items()])
            for m in (question.pretrain, *question.mixtures.values())
        ]
        counts = [np.bincount(ids, minlength=V) for ids in [*sources, *(drawn(t, 1) for t in question.targets)]]
        shares = [c / c.sum() for c in counts]
        for p in shares[: len(sources)]:
            for q in shares[len(sources) :]:
                for name in metrics:
                    METRICS[name].compute(p, q)


def timed(function: Callable[[], Result]) -> tuple[float, Result]:
    """Median seconds, and what the last run gave."""
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(": ")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="50 resamples of 40,000 tokens")
    parser.add_argument("--resamples", type=int, default=1_000, help="how many; every time is scaled to 1,000")
    options = parser.parse_args()
    resamples, n_tokens, V, buckets = (
        (50, 40_000, 4_096, 1_024) if options.quick else (options.resamples, 400_000, 32_768, 8_192)
    )
    documents = corpora(n_tokens, V)
    question = ask(profiles_of(documents, V, buckets), resamples)
    n = 1 if options.quick else 2

    print(f"20 mixtures x 10 targets, corpora of {n_tokens:,} tokens; medians of {RUNS}. simtool: {resamples:,} paired")
    print(f"resamples, peers: {n}; all scaled to 1,000. {processor()}, {os.cpu_count()} processors, load", end=" ")
    print(f"{os.getloadavg()[0]:.1f}; Python {platform.python_version()}, NumPy {np.__version__}.\n")
    print("| what | simtool (s) | plain loops (s) | ratio | documents (s) | ratio | largest difference |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for what, metrics in {"token": ("token",), "js": ("js",), "kl": ("kl",), "every metric": WITH_ADVANTAGE}.items():
        seconds, measured = timed(lambda metrics=metrics: ours(question, ("token",), metrics))
        seconds *= 1_000 / resamples
        loops, slow = timed(lambda metrics=metrics: plain_loops(question, metrics, n))
        drawn, _ = timed(lambda m=metrics: resampled_documents(question, documents, m, n, V))
        loops, drawn = loops * 1_000 / n, drawn * 1_000 / n
        error = np.abs(np.stack([result.values[:n] for result in measured], axis=1) - slow).max()
        assert error < 1e-5, f"{what} differs from the plain loops by {error}"
        print(
            f"| {what}, {V:,} tokens | {seconds:.3g} | {loops:.3g} | {loops / seconds:.0f} | {drawn:.3g} |"
            f" {drawn / seconds:.0f} | {error:.1e} |"
        )
        sys.stdout.flush()
    seconds, _ = timed(lambda: ours(question, ("token", *HASHED), ("kl",)))
    seconds *= 1_000 / resamples
    print(f"| kl, {V:,} tokens and {len(HASHED)} features of {buckets:,} buckets | {seconds:.3g} | | | | | |")


if __name__ == "__main__":
    main()
