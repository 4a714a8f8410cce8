"""Divergences by the metric's own definition, and differences of equal measures."""

import numpy as np
import pytest

from analyses import regmix_contrasts
from analyses.regmix_contrasts import CONTRASTS, compared, divergences
from simtool.prediction.sweeps import Sweep
from simtool.prediction.text_priors import SweepCounts
from simtool.similarity.metrics import jensen_shannon


def test_divergences_are_the_metrics():
    rng = np.random.default_rng(0)
    n_folds, C, T, V = 4, 3, 2, 30
    everything = rng.poisson(2, (n_folds, C, V)).astype(np.float32)
    targets = rng.poisson(1, (n_folds, T, V)).astype(np.float32)
    targets[:, :, 20:] = 0  # n-grams that no target has, which the counts leave out
    counts = SweepCounts(everything[..., :20], everything.sum(axis=2), targets[..., :20], np.ones(C), V)
    split = np.array([True, False, True, False])
    weights = rng.dirichlet(np.ones(C), 5)
    of_sources, of_targets = everything[split].sum(axis=0), targets[~split].sum(axis=0)
    mixed = weights @ (of_sources / of_sources.sum(axis=1, keepdims=True))
    expected = [[jensen_shannon(p, q / q.sum()) for q in of_targets] for p in mixed]
    np.testing.assert_allclose(divergences(weights, counts, split), expected, atol=1e-6)


def test_the_better_measure_is_ahead_and_a_measure_is_not_ahead_of_itself(monkeypatch):
    monkeypatch.setattr(regmix_contrasts, "DRAWS", 20)
    rng = np.random.default_rng(0)
    losses = rng.normal(size=(40, 2))
    sweep = Sweep(tuple(map(str, range(40))), ("a",), ("s", "t"), np.ones((40, 1)), losses)
    same = np.stack([losses] * 4)
    measured = {name: same for pair in CONTRASTS for name in pair} | {"js.token": same + rng.normal(size=(4, 40, 2))}
    rows = {(row["measure"], row["less"]): row for row in compared(measured, sweep, np.ones((40, 2), bool))}
    assert rows["cross_entropy.token", None]["spearman"] == pytest.approx(1)
    assert rows["cross_entropy.token", "js.token"]["low"] > 0
    assert rows["cross_entropy.skeleton3", "cross_entropy.token"]["high"] == 0
