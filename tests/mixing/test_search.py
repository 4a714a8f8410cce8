import numpy as np
import pytest

from simtool.mixing.search import into_bounds, search

LOWER, UPPER = np.array([0.1, 0.0, 0.0]), np.array([1.0, 0.5, 1.0])


def test_mixtures_are_brought_into_bounds():
    weights = np.random.default_rng(0).dirichlet([0.3, 0.3, 0.3], 50)
    inside = into_bounds(weights, LOWER, UPPER)
    np.testing.assert_allclose(inside.sum(axis=1), 1)
    assert (inside >= LOWER - 1e-12).all() and (inside <= UPPER + 1e-12).all()
    np.testing.assert_allclose(into_bounds(inside, LOWER, UPPER), inside)
    # all of the second: half of it is too much, and its rest goes to the others in equal parts
    np.testing.assert_allclose(into_bounds(np.array([[0.0, 1, 0]]), LOWER, UPPER), [[0.25, 0.5, 0.25]])


def test_the_optimum_of_a_convex_loss_is_found():
    goal = np.array([0.3, 0.2, 0.5])
    start = np.random.default_rng(0).dirichlet([1, 1, 1], 20)
    best = search(lambda w: ((w - goal) ** 2).sum(axis=1), LOWER, UPPER, start)
    np.testing.assert_allclose(best, goal, atol=0.01)


def test_a_maximum_share_binds():
    best = search(lambda w: -w[:, 1], LOWER, UPPER, np.full((1, 3), 1 / 3))
    assert best[1] == pytest.approx(0.5)


def test_the_same_seed_finds_the_same_mixture():
    twice = [search(lambda w: np.abs(w - 0.2).sum(axis=1), LOWER, UPPER, np.full((1, 3), 1 / 3), seed=3) for _ in "ab"]
    np.testing.assert_array_equal(*twice)
