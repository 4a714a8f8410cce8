"""An n-gram language model in arrays: interpolated modified Kneser-Ney."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class KneserNey:
    """Interpolated modified Kneser-Ney (Chen and Goodman 1999, section 3), exact counts, in arrays.

    Each document begins with a symbol of its own, V, that is never predicted; no n-gram crosses documents.

    keys        per order, int64 sorted: context's number among the grams one shorter, times V + 1, plus token
    discounted  per order, float64 by gram: max(c - D(c), 0), c the count (highest order, or at a document's
                begin) or the number of distinct left neighbours
    total, free per order, float64 by context: the sum of c, and the mass that discounting set free
    """

    keys: tuple[np.ndarray, ...]
    discounted: tuple[np.ndarray, ...]
    total: tuple[np.ndarray, ...]
    free: tuple[np.ndarray, ...]
    V: int

    @classmethod
    def train(cls, ids: np.ndarray, offsets: np.ndarray, V: int, order: int) -> "KneserNey":
        symbols = _with_begins(ids, offsets, V)
        gram = np.zeros(len(symbols) + 1, np.int64)  # gram[i + 1]: number of the gram that ends at i; -1: none
        keys, suffixes, contexts, counts = [], [], [], []
        for _ in range(order):
            context = gram[:-1]
            at = np.flatnonzero((context >= 0) & ((symbols < V) | (not keys)))
            own, first, number, count = np.unique(
                context[at] * (V + 1) + symbols[at], return_index=True, return_inverse=True, return_counts=True
            )
            keys.append(own)
            suffixes.append(gram[1:][at[first]])
            contexts.append(context[at[first]])
            counts.append(count)
            gram = np.full(len(symbols) + 1, -1, np.int64)
            gram[at + 1] = number
        counts[0][keys[0] == V] = 0
        discounted, total, free = [], [], []
        for k in range(order):
            c = counts[k]
            if k + 1 < order:
                neighbours = np.bincount(suffixes[k + 1], minlength=len(c))
                c = np.where(neighbours > 0, neighbours, c)  # none: it begins a document
            D = np.array([0.0, *_discounts(c)])[np.minimum(c, 3)]
            n_contexts = len(keys[k - 1]) if k else 1
            discounted.append(c - D)
            total.append(np.bincount(contexts[k], c, n_contexts))
            free.append(np.bincount(contexts[k], D, n_contexts))
        return cls(tuple(keys), tuple(discounted), tuple(total), tuple(free), V)

    def probabilities(self, ids: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Of each token given those before it in its document: float64 (n_tokens,)."""
        symbols = _with_begins(ids, offsets, self.V)
        p = np.full(len(symbols), 1 / self.V)
        gram = np.zeros(len(symbols) + 1, np.int64)
        for keys, discounted, total, free in zip(self.keys, self.discounted, self.total, self.free, strict=True):
            context = gram[:-1]
            at = np.flatnonzero(context >= 0)
            grams = context[at] * (self.V + 1) + symbols[at]
            place = np.minimum(np.searchsorted(keys, grams), len(keys) - 1)
            known = keys[place] == grams
            gram = np.full(len(symbols) + 1, -1, np.int64)
            gram[at[known] + 1] = place[known]
            of_context = total[context[at]]
            at, place, known, of_context = (x[of_context > 0] for x in (at, place, known, of_context))
            p[at] = (np.where(known, discounted[place], 0) + free[context[at]] * p[at]) / of_context
        return p[symbols < self.V]


def _with_begins(ids: np.ndarray, offsets: np.ndarray, V: int) -> np.ndarray:
    """The ids with V before each document."""
    return np.insert(ids.astype(np.int64), offsets[:-1], V)


def _discounts(counts: np.ndarray) -> tuple[float, float, float]:
    """D1, D2, D3+ from how many grams have the count 1, 2, 3, 4.

    Where some are missing or the formula is not above 0 (it would leave nothing for the unseen): Ney's single one.
    """
    n1, n2, n3, n4 = (int((counts == k).sum()) for k in (1, 2, 3, 4))
    Y = n1 / (n1 + 2 * n2) if n1 else 0.5
    single = min(Y, 0.9)
    if not (n1 and n2 and n3):
        return single, single, single
    d1, d2, d3 = (d if d > 0 else single for d in (1 - 2 * Y * n2 / n1, 2 - 3 * Y * n3 / n2, 3 - 4 * Y * n4 / n3))
    return d1, d2, d3
