"""The best mixture within shares by a model of the loss that is no formula: trees, or anything fitted on runs.

`solver` certifies the optimum of what is convex. A fitted model need not be, so here mixtures are drawn, the best kept,
and drawn again more narrowly about them, as RegMix does (arXiv:2407.01492); nothing is certified.
"""

from collections.abc import Callable

import numpy as np

# K corpora, m mixtures

ROUNDS = 30
MIXTURES = 512  # drawn in a round
CANDIDATES = 32


def search(
    loss: Callable[[np.ndarray], np.ndarray],
    lower: np.ndarray,
    upper: np.ndarray,
    start: np.ndarray,
    seed: int = 0,
) -> np.ndarray:
    """The mixture with the lowest loss that was drawn: float64 (K,).

    Parameters
    ----------
    loss
        (m, K) -> (m,).
    lower, upper : float64 (K,)
        Minimum and maximum shares that some mixture satisfies.
    start : float64 (m, K)
        Mixtures to begin with, such as those that were trained.
    """
    rng = np.random.default_rng(seed)
    best = into_bounds(start, lower, upper)
    values = loss(best)
    for concentration in np.geomspace(10, 10_000, ROUNDS):
        order = np.argsort(values, kind="stable")[:CANDIDATES]
        best, values = best[order], values[order]
        centres = best[rng.integers(len(best), size=MIXTURES)]
        drawn = rng.standard_gamma(centres * concentration + 0.02)
        drawn = into_bounds(drawn / np.maximum(drawn.sum(axis=1, keepdims=True), 1e-12), lower, upper)
        best, values = np.concatenate([best, drawn]), np.concatenate([values, loss(drawn)])
    return best[values.argmin()]


def into_bounds(weights: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The nearest mixtures with shares within bounds: clip(w - t) where t makes the sum 1, by bisection: (m, K)."""
    below, above = (weights - upper).min(axis=1) - 1, (weights - lower).max(axis=1) + 1
    for _ in range(60):
        middle = (below + above) / 2
        total = np.clip(weights - middle[:, None], lower, upper).sum(axis=1)
        below, above = np.where(total > 1, middle, below), np.where(total > 1, above, middle)
    return np.clip(weights - ((below + above) / 2)[:, None], lower, upper)
