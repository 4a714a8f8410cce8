"""Whether two samples are of one text: their folds change sides at random, and differ as much as they do.

Most pairs of corpora differ far more than any permutation of their folds. That is seen by bounds, which are quadratic
in the sides: products of 32 x 32 matrices in place of a logarithm per entry and permutation. To give a metric bounds,
write in OF_PARTS how it follows from cosine, Jaccard and the Jensen-Shannon divergence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simtool.similarity.metrics import Metric, token_from_parts
from simtool.similarity.splits import on_splits
from simtool.statistics import random_halves
from simtool.threads import array_threads

PERMUTATIONS = 199  # of folds; p is then a multiple of 1 / 200
PAIRS_AT_ONCE = 64  # tested beside each other
COLUMNS = 2_048  # of two samples that bounds look at together
# (cosine, jaccard, JS in bits) -> metric, which is more alike with more of the first two and less of the last
OF_PARTS = {
    "token": token_from_parts,
    "js": lambda cosine, jaccard, jsd_bits: jsd_bits,  # less a bias that is not negative
}
OnBoth = Callable[["Folds", "Folds", np.ndarray], np.ndarray]
MARGIN = 1e-3  # that a bound must keep from a value: a hundred times what float32 takes from either


@dataclass(frozen=True)
class Folds:
    """A sample, and what the bounds of each pair that it is in need of it.

    counts       float32 (n_folds, V)
    sizes        float64 (n_folds,)          symbols in each fold
    n_with       uint8 (V,)                  folds that have each entry
    products     float64 (n_folds, n_folds)  sums of products of the counts of two folds
    over_counts  the same, over all that is counted of the entry
    """

    counts: np.ndarray
    sizes: np.ndarray
    n_with: np.ndarray
    products: np.ndarray
    over_counts: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray, totals: np.ndarray) -> "Folds":
        return cls(
            counts,
            counts.sum(axis=1, dtype=np.float64),
            np.count_nonzero(counts, axis=0).astype(np.uint8),
            (counts @ counts.T).astype(np.float64),
            ((counts / np.maximum(totals, 1)) @ counts.T).astype(np.float64),
        )


def random_sides(n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Sides of the folds of two samples, as they are and permuted: bool (1 + PERMUTATIONS, 2 n_folds)."""
    sides = np.zeros((1 + PERMUTATIONS, 2 * n_folds), bool)
    sides[0, :n_folds] = True  # as they are
    sides[1:] = random_halves(2 * n_folds, PERMUTATIONS, rng)
    return sides


def p_of_exchange(
    metric: Metric, samples: np.ndarray, pairs: Sequence[tuple[int, int]], rng: np.random.Generator
) -> np.ndarray:
    """p of the two samples of each pair being of one text: their folds change sides, and are as far apart as they.

    All that was counted is compared, and not halves of it: the power is that of the whole samples.

    Parameters
    ----------
    samples
        float32 (n, n_folds, V): counts.

    Returns
    -------
    float64, one for each pair.
    """
    totals = samples.sum(axis=1)
    p: list[float] = []
    is_bounded = metric.name in OF_PARTS
    observed = as_they_are(metric, totals) if is_bounded else None
    with array_threads() as pool:
        folds = [*pool.map(Folds.of, samples, totals)] if is_bounded else []

        def of_pair(pair: tuple[int, int], sides: np.ndarray) -> float:
            i, j = pair
            undecided = np.ones(len(sides), bool)
            for on_both in BY_COST if is_bounded else ():
                if undecided.sum() > 1:
                    bound = least_alike(metric, folds[i], folds[j], sides[1:], on_both)
                    undecided[1:] = bound <= observed[i, j] + MARGIN
            return _p_of_sides(metric, samples[[i, j]], sides, undecided)

        for start in range(0, len(pairs), PAIRS_AT_ONCE):  # sides are drawn in the order of the pairs
            some = pairs[start : start + PAIRS_AT_ONCE]
            p += pool.map(of_pair, some, [random_sides(samples.shape[1], rng) for _ in some])
    return np.array(p)


def _p_of_sides(metric: Metric, pair: np.ndarray, sides: np.ndarray, undecided: np.ndarray) -> float:
    """Share of the sides at which a pair, (2, n_folds, V), is as far apart as at the first; of those that are
    undecided, as all others leave it closer."""
    if undecided.sum() == 1:
        return 1 / len(sides)
    pooled = pair.reshape(1, -1, pair.shape[2])
    (measured,) = on_splits([metric], pooled, pooled, sides[undecided], threads=1)
    similarity = metric.sign * measured[:, 0, 0]
    return int((similarity <= similarity[0] + 1e-12).sum()) / len(sides)


def as_they_are(metric: Metric, totals: np.ndarray) -> np.ndarray:
    """How alike all samples are, higher being more alike: float64 (n, n)."""
    whole = np.ones((1, 1), bool)
    (measured,) = on_splits([metric], totals[:, None], totals[:, None], whole, whole)
    return metric.sign * measured[0]


def least_alike(metric: Metric, a: Folds, b: Folds, sides: np.ndarray, on_both: OnBoth) -> np.ndarray:
    """How alike the sides of the folds of a and b are at least, higher being more alike: float64 (R,); of metrics in
    OF_PARTS.

    Parameters
    ----------
    sides
        bool (R, 2 n_folds): the folds of the first side, those of a before those of b.
    on_both
        Gives how many entries are on both sides at least.
    """
    first, second = sides.astype(np.float64), (~sides).astype(np.float64)
    sizes = np.concatenate([a.sizes, b.sizes])
    n_first, n_second = first @ sizes, second @ sizes
    p, q = first / n_first[:, None], second / n_second[:, None]  # shares are p @ folds, q @ folds
    products = _of_both(a.products, (a.counts @ b.counts.T).astype(np.float64), b.products)
    cosine = _form(p, products, q) / np.sqrt(_form(p, products, p) * _form(q, products, q))
    # JS in bits is half of sum (p - q)^2 / (p + q) at most (Topsoe 2000, doi:10.1109/18.850703); an entry's p + q is
    # its count on both sides over the size of the larger at least; and (x + y)^2 / (m + n) <= x^2 / m + y^2 / n
    over_counts = _of_both(a.over_counts, np.zeros_like(a.over_counts), b.over_counts)
    jsd_bits = np.minimum(np.maximum(n_first, n_second) * _form(p - q, over_counts, p - q) / 2, 1)
    jaccard = on_both(a, b, sides) / np.count_nonzero(a.n_with + b.n_with)
    return metric.sign * OF_PARTS[metric.name](cosine, jaccard, jsd_bits)


def in_most_folds(a: Folds, b: Folds, sides: np.ndarray) -> np.ndarray:
    """How many entries are in more folds than either side has, and so on both: int (R,)."""
    n_entries = np.bincount(a.n_with + b.n_with, minlength=sides.shape[1] + 1)  # in 0, 1, ... folds
    in_more = n_entries[::-1].cumsum()[::-1] - n_entries
    return in_more[np.maximum(sides.sum(axis=1), (~sides).sum(axis=1))]


def in_pairs_of_folds(a: Folds, b: Folds, sides: np.ndarray) -> np.ndarray:
    """How many entries are on both sides at least, as pairs of folds say: float64 (R,).

    An entry that k folds have, s of them on one side, is in s (k - s) pairs of folds on different sides: in none where
    it is on one side only, and in k^2 / 4 at most. With that weight, the pairs add up to the entries on both at most.
    """
    n_with = (a.n_with + b.n_with).astype(np.float32)
    weight = 1 / np.maximum(n_with**2 // 4, 1)
    pairs = np.zeros((sides.shape[1], sides.shape[1]))
    for start in range(0, len(weight), COLUMNS):  # whose temporaries stay in the cache
        some = slice(start, start + COLUMNS)
        has = (np.concatenate([a.counts[:, some], b.counts[:, some]]) > 0).astype(np.float32)
        pairs += (has * weight[some]) @ has.T
    return _form(sides.astype(np.float64), pairs, (~sides).astype(np.float64))


def _of_both(of_a: np.ndarray, of_a_and_b: np.ndarray, of_b: np.ndarray) -> np.ndarray:
    return np.block([[of_a, of_a_and_b], [of_a_and_b.T, of_b]])


BY_COST: tuple[OnBoth, ...] = (in_most_folds, in_pairs_of_folds)  # the first takes a twentieth of the time


def _form(x: np.ndarray, matrix: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.vecdot(x @ matrix, y)
