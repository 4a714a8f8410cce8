"""Statistics: against references, by hand, and under the null."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simtool import statistics
from simtool.errors import SimtoolError
from simtool.statistics import (
    agreement,
    arrangements,
    cells_agreement,
    correlations,
    crossed,
    explained_by_folds,
    half_sample_interval,
    holm,
    jackknife_interval,
    jackknife_variance,
    largest_remainder,
    minimum_detectable,
    permutation_p,
    pseudo_values,
    random_halves,
    ranks_of_rows,
    sized_jackknife_interval,
    t_over_z,
    t_quantile,
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


def test_where_many_draws_vary_in_nothing_there_is_no_interval():
    """A baseline that is 1 in two cells of 20 is constant in 26% of the draws: the others are a selection."""
    baseline = np.zeros((5, 4))
    baseline[0, 0] = baseline[1, 1] = 1.0
    result = agreement(baseline, baseline + 0.1 * tables(11, 0)[0])
    assert 0.2 < result.undefined < 0.3 and result.pearson > 0.9
    assert np.isnan([result.pearson_low, result.pearson_high, result.spearman_low, result.spearman_high]).all()
    assert agreement(*tables(5, 0.3)).undefined == 0


def test_arrangements_leave_a_table_as_it_is():
    rng = np.random.default_rng(0)
    small, large = np.zeros((3, 2)), np.zeros((9, 8))
    small[0, 0] = large[0, 0] = large[4, 7] = 1.0
    rows, columns = arrangements(small, rng)
    assert sorted(map(tuple, np.hstack([rows, columns]).tolist())) == [(0, 1, 2, 0, 1), (0, 2, 1, 0, 1)]
    rows, columns = arrangements(large, rng)  # too many to try all
    assert (large[rows[:, :, None], columns[:, None, :]] == large).all()
    assert len(np.unique(rows, axis=0)) > 1_000 and (rows[0] == range(9)).all() and (columns[0] == range(8)).all()


def test_in_large_tables_p_is_uniform_under_the_null_too():
    ps = [
        permutation_p(*(tables(seed + k, 0, (9, 8))[0] for k in (0, 500)), np.random.default_rng(0))
        for seed in range(12)
    ]
    assert stats.kstest(ps, "uniform").pvalue > 0.01


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


def test_ranks_of_rows_are_scipys():
    rows = np.random.default_rng(0).integers(0, 6, (250, 9)).astype(float)
    rows[rows == 5] = np.nan
    expected = stats.rankdata(rows, axis=1, nan_policy="omit")
    np.testing.assert_array_equal(ranks_of_rows(rows), np.where(np.isnan(rows), np.nan, expected))


def test_three_results_have_no_interval():
    found = agreement(np.array([[1.0], [2.0], [4.0]]), np.array([[0.1], [0.2], [0.5]]))
    assert found.pearson > 0.9 and found.p == pytest.approx(1 / 6)
    assert np.isnan([found.pearson_low, found.pearson_high, found.spearman_low, found.spearman_high]).all()


# --- Student's t, rounding, halves ---


def test_importing_is_light():
    """A training machine has no SciPy, and its batches round shares by `largest_remainder`."""
    code = "import simtool.statistics, sys; assert not {'scipy', 'polars', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("freedom", [1, 3, 15, 31, 7.4])
def test_students_t_is_scipys(freedom):
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom))
    assert t_quantile(freedom, 0.8) == pytest.approx(stats.t.ppf(0.8, freedom))


def test_t_over_z_by_hand():
    assert t_over_z(16) == pytest.approx(2.13145 / 1.95996, abs=1e-5)  # t(15) and z at 97.5%


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8), st.integers(1, 2000))
def test_largest_remainder_rounds_each_share_up_or_down(shares, total):
    shares = [share / sum(shares) * total for share in shares]
    rounded = largest_remainder(shares, total)
    assert rounded.sum() == total
    assert (np.abs(rounded - shares) < 1 + 1e-6).all()


def test_largest_remainder_by_hand():
    # 29 is 0.29 x 100 and lies a hair under; of .5 and .5 the first takes the last unit
    assert largest_remainder([0.29 * 100, 70.5, 0.5], 100).tolist() == [29, 71, 0]


def test_random_halves_are_halves():
    halves = random_halves(32, 50, np.random.default_rng(0))
    assert (halves.sum(axis=1) == 16).all()
    assert len({tuple(row) for row in halves.tolist()}) == 50


def test_the_half_sample_interval_of_a_constant_is_that_constant():
    low, high = half_sample_interval(np.full((50, 2), 0.25), 16)
    np.testing.assert_array_equal([low, high], 0.25)


def test_the_half_sample_interval_of_a_mean_is_students_t():
    """Of a mean of 16 folds, the spread of half-samples is its standard error."""
    folds = np.random.default_rng(0).normal(size=16)
    halves = random_halves(16, 20_000, np.random.default_rng(1))
    low, high = half_sample_interval((halves @ folds) / 8, 16, folds.mean())
    error = folds.std(ddof=1) / 4
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 15) * error, rel=0.05)
    assert (low + high) / 2 == pytest.approx(folds.mean(), abs=0.02 * error + 1e-3)


# --- Jackknife, crossed intervals ---


def test_the_jackknife_of_a_mean_is_students_t():
    x = np.random.default_rng(3).normal(size=12)
    left_out = (x.sum() - x) / 11
    assert jackknife_variance(left_out) == pytest.approx(x.var(ddof=1) / 12)
    assert jackknife_interval(x.mean(), left_out) == pytest.approx(stats.t.interval(0.95, 11, x.mean(), stats.sem(x)))
    assert pseudo_values(x.mean(), left_out) == pytest.approx(x)


def test_the_jackknife_of_two_samples_adds_their_variances():
    x, y = np.random.default_rng(4).normal(size=(2, 9))
    low, high = jackknife_interval(x.mean() - y.mean(), -x / 8, y / 8)
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 8) * math.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 9))


def test_with_documents_that_do_not_vary_it_is_students_t_over_seeds():
    by_seed = np.array([0.02, 0.05, 0.03, 0.04])
    estimate = crossed(by_seed, np.full(50, by_seed.mean()))
    low, high = stats.t.interval(0.95, 3, by_seed.mean(), stats.sem(by_seed))
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert estimate.p == pytest.approx(stats.ttest_1samp(by_seed, 0).pvalue)


def test_with_seeds_that_do_not_vary_it_is_students_t_over_documents():
    by_document = np.random.default_rng(0).normal(0.1, 1, 40)
    estimate = crossed(np.full(3, by_document.mean()), by_document)
    assert (estimate.low, estimate.high) == pytest.approx(
        stats.t.interval(0.95, 39, by_document.mean(), stats.sem(by_document))
    )


def test_one_seed_gives_no_interval():
    estimate = crossed(np.array([0.1]), np.arange(5.0))
    assert estimate.value == 0.1 and math.isnan(estimate.low) and math.isnan(estimate.p)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Seeds and documents crossed, both varying: of 400 intervals of 95%, at least 93% hold the mean."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        seeds, documents = rng.normal(0, 0.5, (4, 1)), rng.normal(0, 1, (1, 30))
        cells = 0.3 + seeds + documents + rng.normal(0, 0.5, (4, 30))
        estimate = crossed(cells.mean(1), cells.mean(0))
        held += estimate.low <= 0.3 <= estimate.high
    assert held / 400 >= 0.93


def test_the_minimum_detectable_effect_is_scipys():
    reach = minimum_detectable(0.5, 4.0, n_tests=20) / 0.5
    assert stats.nct.sf(stats.t.ppf(1 - 0.05 / 40, 4), 4, reach) == pytest.approx(0.8, abs=1e-5)
    assert math.isnan(minimum_detectable(math.nan, math.nan))


@pytest.mark.parametrize("n_seeds", [2, 3, 10])
def test_an_effect_of_the_minimum_detectable_size_is_detected_in_eighty_percent(n_seeds):
    """Seeds and documents crossed, 20 effects: of 1,000 studies with a true effect of that size 80% +- 5% find it
    at Holm's first step. From the spread of the losses over seeds, at 5%, power was .41 to 1.00."""
    rng = np.random.default_rng(1)

    def estimate():
        cells = rng.normal(size=(n_seeds, 1)) + 5 * rng.normal(size=40) + 2 * rng.normal(size=(n_seeds, 40))
        return crossed(cells.mean(1), cells.mean(0))

    studies = [estimate() for _ in range(1_000)]
    size = np.mean([minimum_detectable(s.error, s.freedom, n_tests=20) for s in studies])
    critical = np.array([stats.t.ppf(1 - 0.05 / 40, s.freedom) * s.error for s in studies])
    power = np.mean(np.array([s.value for s in studies]) + size > critical)
    assert power == pytest.approx(0.8, abs=0.05)


def test_what_folds_explain_is_the_sampling_error_of_the_mean():
    """Values are a sum over the folds of a half and noise of each half-sample: only the former is left."""
    rng = np.random.default_rng(0)
    halves = random_halves(16, 4_000, rng)
    effect = rng.normal(size=16)
    linear = halves @ effect
    fitted = explained_by_folds(linear + 3 * rng.normal(size=4_000), halves)
    # noise of variance 9 loses all but 15 of 4,000 degrees of freedom
    assert fitted.var() == pytest.approx(linear.var() + 9 * 15 / 4_000, rel=0.1)
    np.testing.assert_allclose(explained_by_folds(linear, halves), linear)
    few = rng.normal(size=(5, 2))
    np.testing.assert_allclose(explained_by_folds(few, halves[:5]), few)  # fewer than folds: nothing is left out


def test_what_sizes_explain_costs_a_degree_of_freedom():
    left_out, sizes = np.array([1.0, 2.0, 3.0, 5.0]), np.array([1.0, 2.0, 3.0, 4.0])
    low, high = sized_jackknife_interval(2.5, left_out, [sizes])
    # about their mean -1.75, -0.75, 0.25, 2.25; less 1.3 per unit 0.2, -0.1, -0.4, 0.3, whose squares sum to 0.3;
    # a mean and a slope leave 2 degrees of freedom of 4, where a jackknife of 4 units has 3
    reach = t_quantile(2) * math.sqrt(3 / 4 * 0.3 * 3 / 2)
    assert (low, high) == pytest.approx((2.5 - reach, 2.5 + reach))


def test_many_sized_intervals_are_those_of_one_by_one():
    """Each by least squares on the sizes that vary; a sample with itself, and one of even folds, have fewer of them."""
    rng = np.random.default_rng(0)
    n, sizes = 16, rng.integers(50, 150, (5, 16)).astype(float)
    sizes[3], sizes[4] = sizes[1], 100.0
    whole, left_out = rng.random((5, 5)), rng.random((n, 5, 5))
    for i in range(5):
        low, high = sized_jackknife_interval(whole[i], left_out[:, i], [sizes[i][:, None], sizes.T])
        for j in range(5):
            lines = np.column_stack([np.ones(n), sizes[[i, j]].T])
            rank = np.linalg.matrix_rank(lines)
            rest = left_out[:, i, j] - lines @ np.linalg.lstsq(lines, left_out[:, i, j], rcond=None)[0]
            reach = t_quantile(n - rank) * math.sqrt((n - 1) / n * (rest @ rest) * (n - 1) / (n - rank))
            assert (low[j], high[j]) == pytest.approx((whole[i, j] - reach, whole[i, j] + reach))


def test_agreement_without_a_target_is_that_of_the_others():
    predicted, observed = tables(3, 1.0)
    result = agreement(predicted, observed)
    for t in range(observed.shape[1]):
        rest = [np.delete(table, t, axis=1).ravel() for table in (predicted, observed)]
        assert result.without_target[t] == pytest.approx(correlations(*rest)[0])


def test_corpora_drawn_twice_are_not_compared_with_themselves(monkeypatch):
    monkeypatch.setattr(statistics, "BOOTSTRAPS", 40)
    first, second = (table + table.T + 99 * np.eye(6) for table in tables(4, 0.5, (6, 6)))
    result = cells_agreement(first, second, seed=7)
    naive = []
    for draw in np.random.default_rng(7).integers(6, size=(40, 6)):
        pairs = [(a, b) for a, b in itertools.combinations(draw, 2) if a != b]
        naive.append(correlations(*(np.array([table[pair] for pair in pairs]) for table in (first, second)))[1])
    assert (result.low, result.high) == pytest.approx(tuple(np.nanquantile(naive, (0.025, 0.975))))
