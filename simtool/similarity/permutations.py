"""Whether two samples are of one text: their folds change sides at random, and differ as much as they do.

Most pairs of corpora differ far more than any permutation of their folds. That is seen by bounds, which are quadratic
in the sides: products of 32 x 32 matrices in place of a logarithm per entry and permutation. To give a metric bounds,
write in OF_PARTS how it follows from cosine, Jaccard and the Jensen-Shannon divergence.
"""

import numpy as np

from simtool.similarity.metrics import Metric, token_from_parts
from simtool.similarity.splits import on_splits
from simtool.statistics import random_halves

PERMUTATIONS = 199  # of folds; p is then a multiple of 1 / 200
# (cosine, jaccard, JS in bits) -> metric, which is more alike with more of the first two and less of the last
OF_PARTS = {
    "token": token_from_parts,
    "js": lambda cosine, jaccard, jsd_bits: jsd_bits,  # less a bias that is not negative
}
MARGIN = 1e-3  # that a bound must keep from a value: a hundred times what float32 takes from either


def random_sides(n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Sides of the folds of two samples, as they are and permuted: bool (1 + PERMUTATIONS, 2 n_folds)."""
    sides = np.zeros((1 + PERMUTATIONS, 2 * n_folds), bool)
    sides[0, :n_folds] = True  # as they are
    sides[1:] = random_halves(2 * n_folds, PERMUTATIONS, rng)
    return sides


def p_of_exchange(metric: Metric, a: np.ndarray, b: np.ndarray, sides: np.ndarray, threads: int | None = None) -> float:
    """p of two samples, (n_folds, V) each, being of one text: their folds change sides, and are as far apart as they.

    All that was counted is compared, and not halves of it: the power is that of the whole samples.
    """
    pooled = np.concatenate([a, b])
    undecided = np.ones(len(sides), bool)
    if metric.name in OF_PARTS:
        undecided[1:] = least_alike(metric, pooled, sides[1:]) <= _as_they_are(metric, a, b) + MARGIN
    if undecided.sum() == 1:
        return 1 / len(sides)
    similarity = _similarities(metric, pooled, sides[undecided], threads)
    return int((similarity <= similarity[0] + 1e-12).sum()) / len(sides)


def _as_they_are(metric: Metric, a: np.ndarray, b: np.ndarray) -> float:
    """How alike two samples are, by the definition."""
    p, q = (folds.sum(axis=0, dtype=np.float64) for folds in (a, b))
    n_p, n_q = p.sum(), q.sum()
    p, q = p / n_p, q / n_q
    return metric.sign * float(metric.compute(p, q) - (metric.bias(p, q, n_p, n_q) if metric.bias else 0.0))


def _similarities(metric: Metric, pooled: np.ndarray, sides: np.ndarray, threads: int | None) -> np.ndarray:
    (measured,) = on_splits([metric], pooled[None], pooled[None], sides, threads=threads)
    return metric.sign * measured[:, 0, 0]


def least_alike(metric: Metric, folds: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """How alike the sides of folds are at least, higher being more alike: float64 (R,); of metrics in OF_PARTS.

    Parameters
    ----------
    folds
        float32 (n_folds, V): counts.
    sides
        bool (R, n_folds): the folds of the first side.
    """
    first, second = sides.astype(np.float64), (~sides).astype(np.float64)
    sizes, totals = folds.sum(axis=1, dtype=np.float64), folds.sum(axis=0)
    n_first, n_second = first @ sizes, second @ sizes
    p, q = first / n_first[:, None], second / n_second[:, None]  # shares are p @ folds, q @ folds
    gram = (folds @ folds.T).astype(np.float64)
    cosine = _form(p, gram, q) / np.sqrt(_form(p, gram, p) * _form(q, gram, q))
    # JS in bits is half of sum (p - q)^2 / (p + q) at most (Topsoe 2000, doi:10.1109/18.850703), and an entry's p + q
    # is its count on both sides over the size of the larger at least
    over_counts = ((folds / np.maximum(totals, 1)) @ folds.T).astype(np.float64)
    jsd_bits = np.minimum(np.maximum(n_first, n_second) * _form(p - q, over_counts, p - q) / 2, 1)
    # an entry that is in more folds than either side has is on both
    n_folds = np.count_nonzero(folds, axis=0)
    largest = np.maximum(sides.sum(axis=1), (~sides).sum(axis=1))
    on_both = {n: np.count_nonzero(n_folds > n) for n in np.unique(largest)}
    jaccard = np.array([on_both[n] for n in largest]) / np.count_nonzero(totals)
    return metric.sign * OF_PARTS[metric.name](cosine, jaccard, jsd_bits)


def _form(x: np.ndarray, matrix: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.vecdot(x @ matrix, y)
