"""Corpora that a test can compute with: a Zipf law turned by some places, or counts that are the same in each fold."""

import numpy as np

from simtool.mixture import Mixture
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile

DIMENSION = 400
C4 = Mixture({"c4": 1.0})


def zipf(shift: int = 0) -> np.ndarray:
    shares = 1.0 / np.arange(1, DIMENSION + 1) ** 1.1
    return np.roll(shares / shares.sum(), shift)


def profile_of(name: str, counts: np.ndarray, n_documents: int = 2, bytes_per_token: int = 4) -> Profile:
    per_fold = counts.sum(axis=1)
    documents = np.full(N_FOLDS, n_documents)
    return Profile(name, "toy", "f" * 64, documents, per_fold, per_fold * bytes_per_token, {"token": counts})


def corpus_of(name: str, shares: np.ndarray, n_tokens: int, seed: int) -> Profile:
    """Each fold draws its own distribution around `shares`, so that folds differ as documents do."""
    rng = np.random.default_rng(seed)
    folds = [rng.multinomial(n_tokens // N_FOLDS, rng.dirichlet(shares * 300 + 1e-9)) for _ in range(N_FOLDS)]
    return profile_of(name, np.array(folds, np.int64))


def exactly(name: str, *counts: int) -> Profile:
    """The same counts in every fold: no half differs from another."""
    return profile_of(name, np.tile(np.array(counts, np.int64), (N_FOLDS, 1)))


MIXTURES = {"code mix": Mixture({"c4": 0.8, "starcoder": 0.2}), "math mix": Mixture({"c4": 0.88, "math": 0.12})}
