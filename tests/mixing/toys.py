"""Corpora with uniform shares over a block of words each, so that the best mixture is known."""

import numpy as np

from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile

DIMENSION = 60


def corpus_of(name: str, shares: np.ndarray, n_tokens: int = 40_000, seed: int = 0, **features) -> Profile:
    rng = np.random.default_rng([seed, *name.encode()])
    counts = rng.multinomial(n_tokens // N_FOLDS, shares, size=N_FOLDS)
    sizes = counts.sum(axis=1)
    return Profile(name, "toy", "f" * 64, sizes, sizes, sizes, {"token": counts, **features})


def block(first: int, last: int) -> np.ndarray:
    shares = np.zeros(DIMENSION)
    shares[first:last] = 1 / (last - first)
    return shares
