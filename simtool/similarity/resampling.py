"""Intervals and ceilings: every similarity is measured many times, on random halves of the documents.

All corpora are thinned to one size first, because every similarity of samples depends on the size of the samples.
Then, again and again, the folds are split at random into two halves, the same split for every corpus: corpus A
is measured on one half and corpus B on the other, so a document never meets itself, and the diagonal (a corpus
against itself, half against half) is the *ceiling*: what two samples of the same text score at this size.

The spread over half-samples estimates the sampling error of the whole (half-sampling: McCarthy 1969, "Pseudo-
replication: half samples", Review of the ISI 37); with few folds it is widened by Student's t.
"""

from collections.abc import Sequence

import numpy as np

from simtool.errors import SimtoolError

CONFIDENCE = 0.95
FEWEST_FOLDS = 8  # half of a profile's
T_OVER_Z = 1.0875  # t(15) / z at 97.5%, from SciPy, for the 16 folds of a profile: 2.1314 / 1.9600


def thin(counts: np.ndarray, total: int, rng: np.random.Generator) -> np.ndarray:
    """`total` of the counted symbols, drawn without replacement, each fold giving its share: same shape.

    counts   int64 (n_folds, dimension)
    """
    sizes = counts.sum(axis=1)
    if total > sizes.sum():
        raise ValueError(f"cannot draw {total} of {sizes.sum()}")
    if total == sizes.sum():
        return counts
    kept = _largest_remainder(sizes * (total / sizes.sum()), total)
    thinned = np.zeros_like(counts)
    for fold, n in enumerate(kept):
        seen = np.flatnonzero(counts[fold])
        # "count" lists every symbol once: quick for small folds, and out of memory for large ones
        method = "count" if sizes[fold] < 5_000_000 else "marginals"
        thinned[fold, seen] = rng.multivariate_hypergeometric(counts[fold, seen], int(n), method=method)
    return thinned


def _largest_remainder(shares: np.ndarray, total: int) -> np.ndarray:
    """Integers next to `shares` that sum to `total`."""
    whole = np.floor(shares).astype(np.int64)
    order = np.argsort(whole - shares, kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return whole


def half_splits(sizes: np.ndarray, n_resamples: int, rng: np.random.Generator, names: Sequence[str] = ()) -> np.ndarray:
    """Random halves of the folds that leave every corpus something on both sides: bool (n_resamples, n_folds).

    sizes   (n_corpora, n_folds)   how much each corpus has in each fold
    names   of the corpora, for the message

    Raises SimtoolError when a corpus has documents in so few folds that their spread would be luck: two documents
    can be split in one way only, and the interval would have no width.
    """
    n_folds = sizes.shape[1]
    filled = (sizes > 0).sum(axis=1)
    if filled.min() < FEWEST_FOLDS:
        who = names[int(filled.argmin())] if names else "A corpus"
        raise SimtoolError(
            f"{who} has documents in only {filled.min()} of {n_folds} folds: too few for an interval.\n"
            "Give more documents (a few hundred are a good start)."
        )
    order = np.argsort(rng.random((8 * n_resamples, n_folds)), axis=1)
    halves = order < n_folds // 2
    first, second = halves @ sizes.T, ~halves @ sizes.T
    # with FEWEST_FOLDS filled, a split that leaves a side empty is one in thousands
    return halves[(first > 0).all(axis=1) & (second > 0).all(axis=1)][:n_resamples]


def interval(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval over half-samples: samples (n_resamples, ...) -> low (...), high (...)."""
    tail = (1 - CONFIDENCE) / 2
    middle = samples.mean(axis=0)
    low, high = np.quantile(samples, [tail, 1 - tail], axis=0)
    return middle - (middle - low) * T_OVER_Z, middle + (high - middle) * T_OVER_Z
