"""Corpora that a test can compute with: a Zipf law turned by some places, or counts that are the same in each fold."""

import numpy as np

from simtool.mixture import Mixture
from simtool.prediction.proxy_runs import FittedMixture, cross_validation, proxy_curve
from simtool.prediction.sweep_report import SweepReport
from simtool.prediction.sweeps import Sweep
from simtool.prediction.text_priors import rank_runs
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile

DIMENSION = 400
CORPORA = {"c4": {"tokens": 1_000, "documents": 10, "how": "shipped", "source": "x", "stand_in": None, "skipped": None}}
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


def sweep_report(predicted: float = 2.9, error: float = 0.1) -> SweepReport:
    """40 runs over three domains whose loss falls with the weight of code, and a predictor that knows it."""
    weights = np.random.default_rng(0).dirichlet([0.5, 0.5, 0.5], 40)
    losses = 4 - np.log(weights[:, [1]] + 0.01)
    domains = ("web", "code", "math")
    sweep = Sweep(tuple(f"r{i}" for i in range(40)), domains, ("code",), weights, losses, rounding=0.001)
    ranking = rank_runs(sweep, weights[:, [1]], {"text": losses[None], "opposite": -losses[None]})
    curve = proxy_curve(sweep, cross_validation(40), {"text": losses}, losses, ["mixing law"], sizes=(16,))
    best = int(losses.argmin())
    mixture = FittedMixture(
        domains, np.array([0.25, 0.75, 0.0]), predicted, f"r{best}", 3.0, weights[best], error, 0.1, "mixing law"
    )
    return SweepReport(sweep, ranking, curve, mixture, "text", {"corpora": CORPORA, "seed": 0})
