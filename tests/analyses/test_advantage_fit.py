"""The line of benefit on advantage is the least-squares line, and its band lies about it."""

import math

import numpy as np
import pytest

from analyses.advantage_fit import fit_band


def test_a_fitted_line_is_numpys_and_its_band_holds_it():
    rng = np.random.default_rng(7)
    predicted = rng.normal(size=(5, 4))
    observed = predicted + 0.5 * rng.normal(size=(5, 4))
    observed[1, 2] = math.nan
    grid = np.linspace(-1, 1, 5)
    line, low, high = fit_band(predicted, observed, grid)
    measured = np.isfinite(observed)
    assert line == pytest.approx(np.polyval(np.polyfit(predicted[measured], observed[measured], 1), grid))
    assert (low < line).all() and (line < high).all()


def test_where_predictions_do_not_vary_there_is_no_line():
    observed = np.random.default_rng(8).normal(size=(3, 2))
    line, low, high = fit_band(np.zeros((3, 2)), observed, np.linspace(0, 1, 3))
    assert np.isnan(line).all() and np.isnan(low).all() and np.isnan(high).all()
