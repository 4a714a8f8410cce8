"""What noise leaves attainable is what a perfect predictor has; what only repeats the baseline adds nothing to it."""

import math

import numpy as np
import pytest

from simtool import statistics
from simtool.prediction import scoring
from simtool.prediction.scoring import attainable, beyond_baseline
from simtool.statistics import agreement, correlations, drawn_cells

BASELINE = np.zeros((5, 4))
BASELINE[0, 0] = BASELINE[1, 1] = 1.0  # as in the paper's design: two mixtures are of a target's domain


def test_a_perfect_predictor_has_what_is_attainable():
    rng, error = np.random.default_rng(0), np.full((5, 4), 0.5)
    perfect, estimates, inside = [], [], 0
    for _ in range(60):
        true = rng.normal(size=(5, 4))
        outcome = true + error * rng.normal(size=(5, 4))
        perfect.append(correlations(true.ravel(), outcome.ravel()))
        estimate = attainable(outcome, error)
        estimates.append((estimate.pearson, estimate.spearman))
        inside += estimate.pearson_low <= perfect[-1][0] <= estimate.pearson_high
    np.testing.assert_allclose(np.mean(estimates, axis=0), np.mean(perfect, axis=0), atol=0.025)
    assert np.mean(perfect) < 0.92 and inside >= 52  # 57 of 60 expected, were the true variance known


def test_what_is_attainable_is_1_without_noise_0_with_nothing_else_and_else_not_known():
    outcome = np.random.default_rng(1).normal(size=(5, 4))
    assert attainable(outcome, np.zeros((5, 4))).pearson == pytest.approx(1)
    nothing = attainable(outcome, np.full((5, 4), 2.0))
    assert nothing.pearson == nothing.spearman == 0 and math.isnan(nothing.pearson_low)
    error = np.full((5, 4), 0.1)
    error[2, 2] = math.nan  # one cell was run once
    assert attainable(outcome, error) is None
    outcome[2, 2] = math.nan  # and is not there
    assert attainable(outcome, error).pearson > 0.9


def simulated(seed: int, knowledge: float) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and outcomes that have the baseline in common, and some knowledge of the rest."""
    rng = np.random.default_rng(seed)
    rest, noise = (sum(rng.normal(size=shape) for shape in ((5, 1), (1, 4), (5, 4))) for _ in range(2))
    return 8 * BASELINE + knowledge * rest + (1 - knowledge) * noise, 8 * BASELINE + rest


def test_a_prediction_that_repeats_the_baseline_adds_nothing_to_it():
    partial, ps, naive = [], [], 0
    for seed in range(80):
        predicted, observed = simulated(seed, 0.0)
        beyond = beyond_baseline(predicted, observed, BASELINE, seed)
        partial.append(beyond.partial)
        ps.append((beyond.partial_p, beyond.unmatched_p))
        naive += agreement(predicted, observed, seed).p <= 0.05 if seed < 20 else 0
    assert abs(np.mean(partial)) < 0.1
    assert (np.mean(np.array(ps) <= 0.05, axis=0) <= 0.1).all()  # 5% expected; P(more than 8 of 80) < 2%
    assert naive >= 15  # of 20: the plain test calls what both repeat an agreement


def test_what_a_prediction_knows_beyond_the_baseline_is_seen():
    results = [beyond_baseline(*simulated(seed, 0.9), BASELINE, seed) for seed in range(20)]
    assert np.mean([beyond.partial for beyond in results]) > 0.9
    assert np.mean([beyond.unmatched for beyond in results]) > 0.9
    assert np.mean([beyond.partial_p <= 0.05 for beyond in results]) > 0.9
    assert results[0].n_unmatched == 18
    # mixtures 0 and 1 change places with targets 0 and 1 or not, and 3 mixtures and 2 targets move as they like
    assert results[0].smallest_p == pytest.approx(1 / (2 * 6 * 2))


def test_the_partial_correlation_is_that_of_the_three():
    predicted, observed = simulated(3, 0.5)
    xy, xz, yz = (
        np.corrcoef(a.ravel(), b.ravel())[0, 1]
        for a, b in ((predicted, observed), (predicted, BASELINE), (observed, BASELINE))
    )
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    beyond = beyond_baseline(predicted, observed, BASELINE)
    assert beyond.partial == pytest.approx(expected)
    assert beyond.partial_low < expected < beyond.partial_high
    others = BASELINE == 0
    assert beyond.unmatched == pytest.approx(correlations(predicted[others], observed[others])[1])


def test_without_a_pair_of_one_domain_or_other_pairs_there_is_nothing_to_hold_fixed():
    predicted, observed = simulated(4, 0.5)
    assert beyond_baseline(predicted, observed, np.zeros((5, 4))) is None
    assert beyond_baseline(predicted, observed, np.ones((5, 4))) is None


def test_drawn_partial_correlations_are_those_of_what_the_baseline_leaves(monkeypatch):
    for module in (scoring, statistics):
        monkeypatch.setattr(module, "BOOTSTRAPS", 30)
    predicted, observed, baseline = np.random.default_rng(0).normal(size=(3, 6, 5))
    drawn = scoring._drawn_partial(predicted, observed, baseline, np.random.default_rng(1))
    rows, columns = drawn_cells(observed.shape, np.random.default_rng(1))
    for r, found in enumerate(drawn):
        x, y, z = (table[rows[r], columns[r]].ravel() for table in (predicted, observed, baseline))
        rest = [table - np.polyval(np.polyfit(z, table, 1), z) for table in (x, y)]
        assert found == pytest.approx(np.corrcoef(*rest)[0, 1])
