"""Thinning keeps shares, half-splits are halves, an interval covers what was drawn."""

import numpy as np

from simtool.profiles.features import N_FOLDS
from simtool.similarity.resampling import half_splits, interval, thin


def test_thinning_takes_exactly_so_many_and_keeps_the_shares_of_folds():
    counts = np.random.default_rng(1).poisson(40.0, (N_FOLDS, 100))
    thinned = thin(counts, 12_345, np.random.default_rng(0))
    assert thinned.sum() == 12_345
    assert (thinned <= counts).all()
    np.testing.assert_allclose(thinned.sum(axis=1) / counts.sum(axis=1), 12_345 / counts.sum(), atol=1e-3)


def test_half_splits_are_halves():
    splits = half_splits(np.ones((1, N_FOLDS)), 50, np.random.default_rng(0))
    assert splits.shape == (50, N_FOLDS)
    assert (splits.sum(axis=1) == N_FOLDS // 2).all()


def test_the_interval_of_a_constant_is_that_constant():
    low, high = interval(np.full((50, 2), 0.25))
    np.testing.assert_array_equal(low, 0.25)
    np.testing.assert_array_equal(high, 0.25)
