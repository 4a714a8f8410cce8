"""What does a similarity say of the size of the samples, and what of the corpora?

Pairs of corpora, and corpora with themselves, at sizes from 1,000 to 200,000 tokens. `published`: as the paper
compares, one corpus whole and the other as small as it happens to be. `equal`: both at one size, as simtool does.
`size_free` has the noise ceilings of that size as well: samples of each corpus's other half.
Tokens are drawn without replacement from disjoint halves of the documents. A sample of few whole documents differs
from as many tokens drawn from many documents, so whole folds of documents are measured too (`drawn` = documents).
"""

from typing import Any

import numpy as np
import polars as pl

from analyses import shipped_profile
from simtool.profiles.profile import Profile
from simtool.similarity.metrics import jensen_shannon, jensen_shannon_bias, shared_information, token
from simtool.similarity.resampling import half_splits
from simtool.statistics import TAILS

PAIRS = (
    *(("c4", "c4"), ("gsm8k", "gsm8k"), ("starcoder", "starcoder")),
    *(("c4", "gsm8k"), ("c4", "lima"), ("math", "gsm8k"), ("starcoder", "pycode"), ("c4", "starcoder")),
)
SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000)
FOLDS = (1, 2, 4, 8)  # of the eight of a half
RESAMPLES = 40


def make() -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per pair, way of comparing, way of drawing, size and metric: mean, and 95% of the draws."""
    profiles = {
        name: shipped_profile(name, "default", ("token",)) for name in {name for pair in PAIRS for name in pair}
    }
    rows = [row for a, b in PAIRS for row in _of_pair(a, b, profiles)]
    return pl.DataFrame(rows), {
        "corpora": {name: {**profile.size, **profile.facts} for name, profile in sorted(profiles.items())},
        "tokenizer": "default",
        "resamples": RESAMPLES,
        "stand_ins": sorted(name for name, profile in profiles.items() if profile.facts["stand_in"]),
    }


def _of_pair(a: str, b: str, profiles: dict[str, Profile]) -> list[dict[str, Any]]:
    rng, of_ceilings = np.random.default_rng(0), np.random.default_rng(1)
    of_a, of_b = (profiles[name].features["token"] for name in (a, b))
    seen = of_a.any(axis=0) | of_b.any(axis=0)  # what neither has adds nothing to these metrics
    of_a, of_b = of_a[:, seen], of_b[:, seen]
    splits = half_splits(np.stack([of_a.sum(axis=1), of_b.sum(axis=1)]), RESAMPLES, rng, (a, b))
    values: dict[tuple[str, str, int], list[tuple[int, int, dict[str, float]]]] = {}
    for split in splits:
        p, q = of_a[split].sum(axis=0), of_b[~split].sum(axis=0)
        others = of_a[~split].sum(axis=0), of_b[split].sum(axis=0)
        for size in SIZES:
            if size > min(p.sum(), q.sum()):
                continue
            small = _draw(q, size, rng)
            values.setdefault(("published", "tokens", size), []).append(_scores(p, small))
            equal = _draw(p, size, rng)
            scores = _scores(equal, small)
            if size <= min(other.sum() for other in others):
                second = [_draw(other, size, of_ceilings) for other in others]
                scores[2]["size_free"] = _size_free((equal, small), second)
            values.setdefault(("equal", "tokens", size), []).append(scores)
        first, second = (rng.permutation(np.flatnonzero(side)) for side in (split, ~split))
        for n in FOLDS:
            whole = of_a[first[:n]].sum(axis=0), of_b[second[:n]].sum(axis=0)
            values.setdefault(("equal", "documents", n), []).append(_scores(*whole))
    rows = []
    for (way, drawn, _), draws in values.items():
        n_a, n_b = (int(np.mean([draw[side] for draw in draws])) for side in (0, 1))
        for metric in dict.fromkeys(name for draw in draws for name in draw[2]):
            scores = np.array([draw[2][metric] for draw in draws if metric in draw[2]])
            low, high = np.quantile(scores, TAILS)
            measured = {"metric": metric, "value": scores.mean(), "low": low, "high": high}
            rows.append({"a": a, "b": b, "way": way, "drawn": drawn, "tokens_a": n_a, "tokens_b": n_b, **measured})
    return rows


def _draw(counts: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """`size` of the counted tokens, without replacement: (V,)."""
    return rng.multivariate_hypergeometric(counts, size, method="marginals")


def _size_free(samples: tuple[np.ndarray, np.ndarray], second: list[np.ndarray]) -> float:
    """Of one sample of each corpus, over what a second one of each leaves of its similarity to itself."""
    p, q, other_p, other_q = (counts / counts.sum() for counts in (*samples, *second))
    return float(shared_information(p, q) / np.sqrt(shared_information(p, other_p) * shared_information(q, other_q)))


def _scores(p: np.ndarray, q: np.ndarray) -> tuple[int, int, dict[str, float]]:
    """Tokens on each side, and what each metric says."""
    n_p, n_q = int(p.sum()), int(q.sum())
    p, q = p / n_p, q / n_q
    js = float(jensen_shannon(p, q))
    corrected = float(np.clip(js - jensen_shannon_bias(p, q, np.float64(n_p), np.float64(n_q)), 0, 1))
    return n_p, n_q, {"token": float(token(p, q)), "js": js, "js corrected": corrected}
