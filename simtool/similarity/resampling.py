"""Halves of the documents: every similarity is measured many times, on random halves, at one size for all.

All corpora are thinned to one size first, because every similarity of samples depends on the size of the samples.
Then, again and again, the folds are split at random into two halves, the same split for every corpus: corpus A
is measured on one half and corpus B on the other, so a document never meets itself, and the diagonal (a corpus
against itself, half against half) is the *noise ceiling*: what two samples of the same text score at this size.
"""

from collections.abc import Sequence

import numpy as np

from simtool.errors import SimtoolError
from simtool.profiles.features import N_FOLDS
from simtool.statistics import half_sample_interval, largest_remainder, random_halves
from simtool.wording import shortened

FEWEST_FOLDS = N_FOLDS // 2


def thin(counts: np.ndarray, total: int, rng: np.random.Generator) -> np.ndarray:
    """`total` of the counted symbols, drawn without replacement, each fold giving its share: same shape.

    Parameters
    ----------
    counts
        int64 (n_folds, dimension).
    """
    sizes = counts.sum(axis=1)
    if total > sizes.sum():
        raise ValueError(f"cannot draw {total} of {sizes.sum()}")
    if total == sizes.sum():
        return counts
    of_folds = largest_remainder(sizes * (total / sizes.sum()), total)
    thinned = np.zeros_like(counts)
    for fold, n in enumerate(of_folds):
        seen = np.flatnonzero(counts[fold])
        # "count" lists every symbol once: quick for small folds, and out of memory for large ones
        method = "count" if sizes[fold] < 5_000_000 else "marginals"
        thinned[fold, seen] = rng.multivariate_hypergeometric(counts[fold, seen], int(n), method=method)
    return thinned


def half_splits(sizes: np.ndarray, n_resamples: int, rng: np.random.Generator, names: Sequence[str] = ()) -> np.ndarray:
    """Random halves of the folds that leave every corpus something on both sides: bool (n_resamples, n_folds).

    Parameters
    ----------
    sizes
        (n_corpora, n_folds): how much each corpus has in each fold.
    names
        Of the corpora, for the message.

    Raises
    ------
    SimtoolError
        When a corpus has documents in so few folds that their spread would be luck: two documents can be split in
        one way only, and the interval would have no width.
    """
    n_folds = sizes.shape[1]
    filled = (sizes > 0).sum(axis=1)
    if filled.min() < FEWEST_FOLDS:
        few = [names[i] for i in np.flatnonzero(filled < FEWEST_FOLDS)] if names else ["a corpus"]
        raise SimtoolError(
            f"Too few documents for an interval: {shortened(few)}. Documents are divided into {n_folds} folds, and"
            f" {FEWEST_FOLDS} of them must hold some.\nGive more documents (a few hundred are a good start)."
        )
    halves = random_halves(n_folds, 8 * n_resamples, rng)
    first, second = halves @ sizes.T, ~halves @ sizes.T
    # with FEWEST_FOLDS filled, a split that leaves a side empty is one in thousands
    return halves[(first > 0).all(axis=1) & (second > 0).all(axis=1)][:n_resamples]


def interval(samples: np.ndarray, center: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval over half-samples of a profile's folds: samples (n_resamples, ...) -> low (...), high."""
    return half_sample_interval(samples, N_FOLDS, center)
