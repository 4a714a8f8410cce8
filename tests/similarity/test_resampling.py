"""Thinning keeps shares, half-splits are halves, an interval covers what was drawn."""

import numpy as np

from simtool.profiles.features import N_FOLDS
from simtool.similarity.resampling import FEWEST_FOLDS, half_splits, interval, thin


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


def test_a_corpus_of_few_folds_has_something_on_both_sides_of_every_split():
    sizes = np.zeros((1, N_FOLDS))
    sizes[:, :FEWEST_FOLDS] = 1  # of halves, one in 12,870 holds all of them, and one in as many none
    splits = half_splits(sizes, 50_000, np.random.default_rng(0))
    n_first = splits[:, :FEWEST_FOLDS].sum(axis=1)
    assert len(splits) == 50_000 and n_first.min() == 1 and n_first.max() == FEWEST_FOLDS - 1
