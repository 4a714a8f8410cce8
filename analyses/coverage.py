"""Do the intervals, the marks and the size-free similarity of a matrix say what is true?

Real corpora are the populations: documents are drawn from them, a matrix is measured on the draw by simtool itself,
and what it says is compared with what is known: the mean of a cell over all draws (what it estimates), and for the
size-free similarity that of all documents. `half_splits`: the way before, quantiles of half-splits; `jackknife`: now.
Only counts leave this file.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from analyses import Missing
from simtool.mixture import Mixture
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile
from simtool.profiles.resolve import Options, local_text
from simtool.similarity.matrix import (
    cell_intervals,
    cells_of,
    compare_with_ceilings,
    equal_samples,
    leave_out_folds,
    reach_for_bias,
)
from simtool.similarity.metrics import METRICS, Metric, find_metric
from simtool.similarity.resampling import half_splits, interval
from simtool.similarity.splits import on_splits
from simtool.tokens.tokenizer import load_tokenizer

READ = 6_000  # documents of a population
REPLICATES = 40
RESAMPLES = 40
MEASURED = ("token", "js", "size_free", "kl")
# population and documents of both samples, and the tokens that both are thinned to
DESIGNS = (
    ("c4", 200, "gsm8k", 200, 25_000),
    ("c4", 200, "c4", 200, 50_000),
    ("gsm8k", 100, "gsm8k", 2_000, 10_000),
    ("pycode", 300, "gsm8k", 300, 40_000),
)
Population = csr_matrix  # (n_documents, V): how often each token is in each document


def make(data: Path | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per design, metric and quantity: how often an interval holds the truth, or a pair is called different."""
    if data is None:
        raise Missing("It needs the text of the corpora: --data DIR or SIMTOOL_DATA.")
    names = sorted({name for a, _, b, _, _ in DESIGNS for name in (a, b)})
    populations = {name: read_population(name, data) for name in names}
    rows = [row for design in DESIGNS for row in of_design(populations, *design)]
    documents = {name: population.shape[0] for name, population in populations.items()}
    return pl.DataFrame(rows), {"documents": documents, "replicates": REPLICATES, "resamples": RESAMPLES}


def read_population(name: str, data: Path) -> Population:
    corpus = local_text(name, Options(data=data))
    if corpus is None:
        raise Missing(f"It needs the text of {name}, which the data folder lacks.")
    tokenizer = load_tokenizer("default")
    ids, offsets = tokenizer.encode([document.text for document in corpus.documents(READ)])
    places = (np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), ids.astype(np.int64))
    counted = csr_matrix((np.ones(len(ids), np.int64), places), (len(offsets) - 1, tokenizer.vocabulary_size))
    counted.sum_duplicates()
    return counted


def of_design(
    populations: dict[str, Population], a: str, n_a: int, b: str, n_b: int, tokens: int
) -> list[dict[str, Any]]:
    measured: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in MEASURED}
    for replicate in range(REPLICATES):
        rng = np.random.default_rng(replicate)
        pair = draw_pair(populations, a, n_a, b, n_b, rng)
        samples, _ = equal_samples(pair, {name: Mixture({name: 1.0}) for name in pair}, "token", tokens, rng)
        splits = half_splits(samples.sum(axis=2), RESAMPLES, rng)
        for name in MEASURED:
            measured[name].append(both_ways(name, samples, splits, np.array([n_a, n_b]), rng))
    truth = population_value(populations[a], populations[b])
    design = {"a": a, "documents_a": n_a, "b": b, "documents_b": n_b, "tokens": tokens}
    return [design | row for name in MEASURED for row in summary(name, measured[name], truth)]


def draw_pair(
    populations: dict[str, Population], a: str, n_a: int, b: str, n_b: int, rng: np.random.Generator
) -> dict[str, Profile]:
    """Documents without replacement; two samples of one population share none."""
    first, second = (rng.permutation(populations[name].shape[0]) for name in (a, b))
    second = first[n_a : n_a + n_b] if a == b else second[:n_b]
    return {"a": profile_of(populations[a][first[:n_a]], rng), "b": profile_of(populations[b][second], rng)}


def profile_of(documents: Population, rng: np.random.Generator) -> Profile:
    folds = rng.integers(N_FOLDS, size=documents.shape[0])
    counts = np.stack([np.asarray(documents[folds == fold].sum(axis=0)).ravel() for fold in range(N_FOLDS)])
    sizes = counts.sum(axis=1)
    n_documents = np.bincount(folds, minlength=N_FOLDS)
    return Profile("", "default", "f" * 64, n_documents, sizes, sizes, {"token": counts.astype(np.int64)})


def both_ways(
    name: str, samples: np.ndarray, splits: np.ndarray, documents: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Ends of the intervals, and whether the pair is called different, before and now."""
    metric = find_metric(name)
    (drawn,) = on_splits([metric], samples, samples, splits)
    if metric.symmetric:  # the way before took one of both ways to pair the halves
        drawn = np.triu(drawn) + np.triu(drawn, 1).mT
    values, left_out = cells_of(metric, samples, splits), leave_out_folds(metric, samples, splits)
    low, high = cell_intervals(values, left_out, samples.sum(axis=2, dtype=np.float64))
    if metric.by_ceilings:
        low, high = reach_for_bias(metric, samples, values, low, high, rng)
    at_ceiling, is_tested = compare_with_ceilings(metric, samples, high, documents, rng)
    return {
        "before_value": drawn.mean(axis=0),
        "before": np.stack(interval(drawn)),
        "before_differs": interval(below_ceilings(metric, drawn))[0] > 0,
        "value": values,
        "now": np.stack([low, high]),
        "now_differs": ~at_ceiling & is_tested,
    }


def below_ceilings(metric: Metric, cells: np.ndarray) -> np.ndarray:
    """How much less similar each pair is than the mean of its two ceilings: (..., n, n)."""
    ceilings = np.diagonal(cells, axis1=-2, axis2=-1)
    return metric.sign * ((ceilings[..., :, None] + ceilings[..., None, :]) / 2 - cells)


def population_value(a: Population, b: Population) -> float:
    p, q = (np.asarray(population.sum(axis=0), float).ravel() for population in (a, b))
    return float(METRICS["size_free"].compute(p / p.sum(), q / q.sum()))


def summary(name: str, measured: list[dict[str, np.ndarray]], truth: float) -> list[dict[str, Any]]:
    metric, of = find_metric(name), {key: np.stack([sample[key] for sample in measured]) for key in measured[0]}
    rows = []
    for what, (i, j) in {"cell": (0, 1), "ceiling a": (0, 0), "ceiling b": (1, 1)}.items():
        if metric.by_ceilings and i == j:
            continue
        target = truth if metric.by_ceilings else of["value"][:, i, j].mean()
        holds = {"half_splits": ("before", of["before_value"][:, i, j].mean()), "jackknife": ("now", target)}
        covered = {
            f"covered_{way}": float(((of[key][:, 0, i, j] <= value) & (value <= of[key][:, 1, i, j])).mean())
            for way, (key, value) in holds.items()
            if not (metric.by_ceilings and key == "before")  # there was no such metric
        }
        widths = {f"width_{way}": float(np.ptp(of[key][:, :, i, j], axis=1).mean()) for way, (key, _) in holds.items()}
        rows.append(
            {
                "metric": name,
                "what": what,
                "value": float(of["value"][:, i, j].mean()),
                "estimand": float(target),
                "claimed": 0.95,
                "covered_half_splits": covered.get("covered_half_splits"),
                "covered_jackknife": covered["covered_jackknife"],
                **widths,
                "differs_half_splits": float(of["before_differs"][:, 0, 1].mean()) if what == "cell" else None,
                "differs_now": float(of["now_differs"][:, 0, 1].mean()) if what == "cell" else None,
            }
        )
    return rows
