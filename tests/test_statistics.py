"""Agreement in crossed designs: against references, by hand, and under the null."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from simtool.errors import SimtoolError
from simtool.statistics import (
    _ranks_of_rows,
    agreement,
    cells_agreement,
    correlations,
    fit_band,
    holm,
    permutation_p,
)


def tables(seed: int, noise: float, shape=(5, 4)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    predicted = rng.normal(size=shape)
    return predicted, predicted + noise * rng.normal(size=shape)


def test_correlations_are_scipys():
    x, y = (table.ravel() for table in tables(0, 1.0))
    x[:3] = x[3]  # ties
    assert correlations(x, y) == pytest.approx((stats.pearsonr(x, y)[0], stats.spearmanr(x, y)[0]))


def test_permutation_p_is_the_plain_count():
    predicted, observed = tables(1, 2.0, (3, 3))
    found = np.corrcoef(predicted.ravel(), observed.ravel())[0, 1]
    orders = itertools.product(itertools.permutations(range(3)), repeat=2)
    rs = [np.corrcoef(predicted[list(r)][:, list(c)].ravel(), observed.ravel())[0, 1] for r, c in orders]
    expected = np.mean(np.array(rs) >= found - 1e-12)
    assert permutation_p(predicted, observed, np.random.default_rng(0)) == pytest.approx(expected)


def test_under_the_null_p_is_uniform():
    ps = [permutation_p(tables(seed, 0)[0], tables(seed + 999, 0)[0], np.random.default_rng(0)) for seed in range(60)]
    assert stats.kstest(ps, "uniform").pvalue > 0.01


def test_one_pair_that_carries_everything_is_seen():
    predicted, observed = tables(3, 0)[0] * 0.1, tables(4, 0)[0] * 0.1
    predicted[0, 0] = observed[0, 0] = 10.0
    found = agreement(predicted, observed)
    assert found.pearson > 0.95
    assert abs(found.without_pair[0, 0]) < 0.5
    assert abs(found.without_target[0]) < 0.6
    assert min(found.without_pair, key=found.without_pair.get) == (0, 0)


def test_a_good_predictor_is_found_and_its_interval_holds_it():
    found = agreement(*tables(5, 0.3))
    assert found.n == 20
    assert found.pearson_low < found.pearson < found.pearson_high
    assert found.spearman_low < found.spearman < found.spearman_high
    assert found.p < 0.01


def test_missing_results_are_left_out_and_never_zero():
    predicted, observed = tables(6, 0.5)
    observed[2, 1] = observed[4, 3] = math.nan
    found = agreement(predicted, observed)
    there = np.isfinite(observed)
    assert found.n == 18
    assert found.pearson == pytest.approx(stats.pearsonr(predicted[there], observed[there])[0])


def test_a_result_without_a_prediction():
    predicted, observed = tables(7, 0.5)
    predicted[1, 1] = math.nan
    with pytest.raises(SimtoolError, match=r"^1 results have no prediction\.$"):
        agreement(predicted, observed)


def test_too_few_results():
    with pytest.raises(SimtoolError, match=r"^Agreement needs at least 3 results\. Got 2\.$"):
        agreement(np.ones((1, 2)), np.ones((1, 2)))


def test_a_constant_prediction_has_no_correlation():
    found = agreement(np.ones((3, 3)), tables(8, 1, (3, 3))[1])
    assert math.isnan(found.pearson) and math.isnan(found.p)


def test_holm_by_hand():
    # sorted .01 .03 .04: 3 x .01 = .03; 2 x .03 = .06; max(.06, 1 x .04) = .06
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, math.nan])), [0.06, 0.03, 0.06, math.nan])


def test_every_bootstrap_draw_is_the_plain_correlation():
    predicted, observed = tables(9, 1.0)
    observed[1, 2] = math.nan
    from simtool.statistics import BOOTSTRAPS, bootstrap

    drawn = bootstrap(predicted, observed, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    rows, columns = rng.integers(5, size=(BOOTSTRAPS, 5, 1)), rng.integers(4, size=(BOOTSTRAPS, 1, 4))
    for i in range(50):
        x, y = predicted[rows[i], columns[i]].ravel(), observed[rows[i], columns[i]].ravel()
        there = np.isfinite(y)
        np.testing.assert_allclose(drawn[i], correlations(x[there], y[there]), atol=1e-12)


def test_cells_agreement_is_spearman_of_the_upper_triangle():
    rng = np.random.default_rng(0)
    one, noise = (table + table.T for table in rng.normal(size=(2, 8, 8)))
    found = cells_agreement(one, one + 0.3 * noise)
    upper = np.triu_indices(8, 1)
    assert found.n == 28
    assert found.spearman == pytest.approx(stats.spearmanr(one[upper], (one + 0.3 * noise)[upper])[0])
    assert found.low < found.spearman < found.high <= 1
    assert cells_agreement(one, np.exp(one)).low == pytest.approx(1)  # the same order, whatever is drawn


def test_a_fitted_line_is_numpys_and_its_band_holds_it():
    predicted, observed = tables(7, 0.5)
    observed[1, 2] = math.nan
    grid = np.linspace(-1, 1, 5)
    line, low, high = fit_band(predicted, observed, grid)
    there = np.isfinite(observed)
    assert line == pytest.approx(np.polyval(np.polyfit(predicted[there], observed[there], 1), grid))
    assert (low < line).all() and (line < high).all()


def test_where_predictions_do_not_vary_there_is_no_line():
    line, low, high = fit_band(np.zeros((3, 2)), tables(8, 1, (3, 2))[1], np.linspace(0, 1, 3))
    assert np.isnan(line).all() and np.isnan(low).all() and np.isnan(high).all()


def test_ranks_of_rows_are_scipys():
    rows = np.random.default_rng(0).integers(0, 6, (250, 9)).astype(float)
    rows[rows == 5] = np.nan
    expected = stats.rankdata(rows, axis=1, nan_policy="omit")
    np.testing.assert_array_equal(_ranks_of_rows(rows), np.where(np.isnan(rows), np.nan, expected))


def test_three_results_have_no_interval():
    found = agreement(np.array([[1.0], [2.0], [4.0]]), np.array([[0.1], [0.2], [0.5]]))
    assert found.pearson > 0.9 and found.p == pytest.approx(1 / 6)
    assert np.isnan([found.pearson_low, found.pearson_high, found.spearman_low, found.spearman_high]).all()
