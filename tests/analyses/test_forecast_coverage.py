"""The interval of a forecast: slopes vary between sweeps, cells within them."""

import numpy as np
import pytest

from analyses.forecast_coverage import coverage, slope


def sweep(rng, noise=0.01):
    x = rng.normal(size=50)
    return np.column_stack([x, rng.normal(0.5, 0.2) * x + rng.normal(0, noise, 50)])


def test_a_slope_by_hand():
    assert slope(np.array([[1.0, 2.0], [2.0, 3.0]])) == pytest.approx((1 * 2 + 2 * 3) / (1 + 4))


def test_new_sweeps_of_the_same_kind_are_covered_and_others_are_not():
    rng = np.random.default_rng(0)
    shares = [coverage(sweep(rng), [sweep(rng) for _ in range(8)])["coverage"] for _ in range(200)]
    assert np.mean(shares) == pytest.approx(0.95, abs=0.03)
    other = sweep(rng)
    other[:, 1] += 3 * other[:, 0]
    assert coverage(other, [sweep(rng) for _ in range(8)])["coverage"] < 0.2
