"""How often is another sample of the pretraining population declared an advantage, or recommended?

Documents of C4 are the population: the pretraining corpus and the placebo are drawn from it without replacement, so the
truth is no advantage and no share. Declared are those whose 95% interval lies above 0: 2.5% are claimed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses import Missing
from simtool.mixing.constraints import Constraints
from simtool.mixing.problem import build_problem
from simtool.mixing.recommend import NO_SHARE, recommend
from simtool.mixing.solver import within_budget
from simtool.mixture import Mixture, blend
from simtool.prediction.advantage import interval_or_nan, measure
from simtool.prediction.question import Question
from simtool.profiles.features import N_FOLDS, DocumentBatch, count_features
from simtool.profiles.profile import Profile
from simtool.profiles.resolve import Options, local_text
from simtool.similarity.metrics import METRICS
from simtool.tokens.tokenizer import Tokenizer, load_tokenizer

POPULATION, TARGET = "c4", "gsm8k"
DOCUMENTS = 400  # of each sample
REPLICATES = 60
SHARE_REPLICATES = 240  # one number each, so more are affordable
RESAMPLES = 200
SHARE = 0.2  # of the placebo in the mixture
WITH_CONTROL = tuple(name for name, metric in METRICS.items() if not metric.by_ceilings)
# on tokens all metrics; on skeletons those that need no vocabulary
MEASURES = {
    "token": WITH_CONTROL,
    "skeleton2": tuple(name for name in WITH_CONTROL if name not in ("token", "jaccard")),
}


def make(data: Path | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per metric and feature, and one for shares of a recommended mixture."""
    if data is None:
        raise Missing("It needs the text of the corpora: --data DIR or SIMTOOL_DATA.")
    tokenizer = load_tokenizer("default")
    texts = {name: _texts(name, data) for name in (POPULATION, TARGET)}
    replicates = [_replicate(i, texts, tokenizer) for i in range(SHARE_REPLICATES)]
    table = pl.DataFrame([row for rows in replicates for row in rows])
    return (
        table.group_by("quantity", "metric", "feature", maintain_order=True).agg(
            pl.lit(0.025).alias("claimed"),
            pl.col("declared", "declared_before").mean(),
            pl.col("declared").len().alias("replicates"),
        ),
        {"population": POPULATION, "target": TARGET, "documents": DOCUMENTS, "share": SHARE, "resamples": RESAMPLES},
    )


def _texts(name: str, data: Path) -> list[str]:
    corpus = local_text(name, Options(data=data))
    if corpus is None:
        raise Missing(f"It needs the text of {name}, which the data folder lacks.")
    return [document.text for document in corpus.documents(5_000)]


def _replicate(seed: int, texts: dict[str, list[str]], tokenizer: Tokenizer) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(texts[POPULATION]))[: 2 * DOCUMENTS]
    samples = {
        "pretrain": [texts[POPULATION][i] for i in drawn[:DOCUMENTS]],
        "placebo": [texts[POPULATION][i] for i in drawn[DOCUMENTS:]],
        "target": [texts[TARGET][i] for i in rng.permutation(len(texts[TARGET]))[:DOCUMENTS]],
    }
    profiles = {name: _profile(name, documents, tokenizer, rng) for name, documents in samples.items()}
    return [*(_advantages(profiles, seed) if seed < REPLICATES else ()), _share(profiles, seed)]


def _profile(name: str, texts: list[str], tokenizer: Tokenizer, rng: np.random.Generator) -> Profile:
    folds = np.sort(rng.integers(N_FOLDS, size=len(texts)))
    ids, offsets = tokenizer.encode(texts)
    n_bytes = np.array([len(text.encode("utf-8", "replace")) for text in texts])
    sizes = [np.ones(len(texts), np.int64), np.diff(offsets), n_bytes]
    by_fold = [np.bincount(folds, size, N_FOLDS).astype(np.int64) for size in sizes]
    counts = count_features(DocumentBatch(texts, ids, offsets, folds), MEASURES, tokenizer.vocabulary_size)
    return Profile(name, tokenizer.name, tokenizer.fingerprint, *by_fold, counts)


def _advantages(profiles: dict[str, Profile], seed: int) -> Iterator[dict[str, Any]]:
    """Over the control; before: over the pretraining corpus itself."""
    pretrain = Mixture({"pretrain": 1.0})
    mixtures = {"mixture": blend(pretrain, Mixture({"placebo": 1.0}), SHARE)}
    question = Question(profiles, pretrain, mixtures, ("target",), resamples=RESAMPLES, seed=seed)
    for feature, metrics in MEASURES.items():
        for metric, measured in zip(metrics, measure(question, metrics, feature), strict=True):
            low, low_before = (
                float(interval_or_nan(measured.sampling(values))[0][0, 0])
                for values in (measured.advantage, measured.advantage + measured.placebo)
            )
            declared = {"declared": low > 0, "declared_before": low_before > 0}
            yield {"quantity": "advantage", "metric": metric, "feature": feature, **declared}


def _share(profiles: dict[str, Profile], seed: int) -> dict[str, Any]:
    """A share that is recommended; before: one in the best mixture of the samples."""
    question = (profiles, "pretrain", ["placebo"], {"target": 1.0})
    problem = build_problem(*question, Constraints(), "token", RESAMPLES, seed)
    best = within_budget(problem.counts.whole(), problem.target_weights, None)
    assert best is not None  # without constraints every mixture is allowed
    result = recommend(*question, resamples=RESAMPLES, seed=seed)
    declared = {"declared": bool(result.weights[1] > NO_SHARE), "declared_before": bool(best.weights[1] > NO_SHARE)}
    return {"quantity": "share", "metric": "cross_entropy", "feature": "token", **declared}
