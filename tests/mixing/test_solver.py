"""The solver: closed forms, grids of all mixtures, and a certificate that never claims too much."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simtool.mixing.solver import (
    BUDGET_TOLERANCE,
    TOLERANCE,
    ConvexProblem,
    minimise,
    minimise_at_trade_off,
    trace,
    within_budget,
)
from simtool.similarity.metrics import METRICS, UNIFORM_SHARE, smooth

ONE = np.ones(1)


def problem_of(sources, targets, per_token=None, lower=None, upper=None) -> ConvexProblem:
    """Rows of shares, smoothed; the pretraining corpus is the first source."""
    sources = np.asarray(sources, float)
    K, V = sources.shape
    per_token = np.ones(K) if per_token is None else np.asarray(per_token, float)
    return ConvexProblem(
        smooth(sources, V) * per_token[:, None],
        per_token,
        smooth(np.vstack([targets, sources[:1]]), V),
        np.zeros(K) if lower is None else np.asarray(lower, float),
        np.ones(K) if upper is None else np.asarray(upper, float),
    )


def random_problem(seed: int, K: int, V: int = 40, limited: bool = True, skeletal: bool = False) -> ConvexProblem:
    rng = np.random.default_rng(seed)
    sources = rng.dirichlet(np.full(V, 0.2), K)
    target = rng.dirichlet(np.full(V, 0.2)) / 2 + rng.dirichlet(np.ones(K)) @ sources / 2
    lower = rng.dirichlet(np.ones(K)) * rng.uniform(0, 0.6) * (rng.random(K) < 0.5) if limited else np.zeros(K)
    upper = np.minimum(1, lower + rng.uniform(0.2, 1, K)) if limited else np.ones(K)
    upper[0] = 1
    return problem_of(sources, target, rng.uniform(0.5, 2, K) if skeletal else None, lower, upper)


def grid(K: int, n: int) -> np.ndarray:
    """Every mixture of K corpora whose shares are multiples of 1/n: (n_mixtures, K)."""
    bars = np.array(list(itertools.combinations(range(n + K - 1), K - 1)))
    return np.diff(np.column_stack([np.full(len(bars), -1), bars, np.full(len(bars), n + K - 1)])) / n - 1 / n


def allowed(problem: ConvexProblem, mixtures: np.ndarray) -> np.ndarray:
    within = (mixtures >= problem.lower_K - 1e-12) & (mixtures <= problem.upper_K + 1e-12)
    return mixtures[within.all(axis=1)]


# --- Closed forms ---


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.5, 1.0])
def test_disjoint_sources_get_the_shares_of_the_target(share):
    # Uniform on half of the entries each: both sides are smoothed alike, so w = the target's share makes the
    # mixture equal to the smoothed target, and cross-entropy is least there and nowhere else (Gibbs).
    left, right = np.repeat([[1.0, 0.0], [0.0, 1.0]], 5, axis=1) / 5
    found = minimise(problem_of([left, right], share * left + (1 - share) * right), np.array([1.0, 0.0]))
    np.testing.assert_allclose(found.weights, [share, 1 - share], atol=1e-5)


def test_disjoint_sources_when_the_target_has_entries_of_its_own():
    # Target: 0.3 on A's entry, 0.2 on B's, 0.5 where neither is. With n = 4 entries, c = 0.99, e = 0.01/4, the
    # slope c q_a/(c w + e) = c q_b/(c (1-w) + e), of smoothed q, gives c w + e = (c + 2e) q_a / (q_a + q_b).
    c, e = 1 - UNIFORM_SHARE, UNIFORM_SHARE / 4
    q_a, q_b = c * 0.3 + e, c * 0.2 + e
    w = ((c + 2 * e) * q_a / (q_a + q_b) - e) / c
    problem = problem_of([[1, 0, 0, 0], [0, 1, 0, 0]], [0.3, 0.2, 0.25, 0.25])
    np.testing.assert_allclose(minimise(problem, np.array([1.0, 0.0])).weights, [w, 1 - w], atol=1e-6)


@pytest.mark.parametrize("k", range(5))
def test_a_target_equal_to_a_candidate_gets_all_of_it(k):
    sources = np.random.default_rng(0).dirichlet(np.ones(30), 5)
    found = minimise(problem_of(sources, sources[k]), np.array([1.0, 0.0]))
    np.testing.assert_allclose(found.weights, np.eye(5)[k], atol=1e-5)


def test_the_shares_of_symbols_are_brought_back_to_shares_of_tokens():
    # B has thrice the symbols a token: w of A gives w / (w + 3 (1-w)) of the symbols, which is 1/2 at w = 3/4.
    problem = problem_of([[1, 0], [0, 1]], [0.5, 0.5], per_token=[1, 3])
    np.testing.assert_allclose(minimise(problem, np.array([1.0, 0.0])).weights, [0.75, 0.25], atol=1e-6)


def test_bits_and_forgetting_are_those_of_the_metrics():
    rng = np.random.default_rng(0)
    sources, target = rng.dirichlet(np.ones(20), 3), rng.dirichlet(np.ones(20))
    problem, w = problem_of(sources, target), np.array([0.5, 0.3, 0.2])
    expected = METRICS["cross_entropy"].compute(w @ sources, target)
    np.testing.assert_allclose(problem.bits(w)[0], expected, rtol=1e-12)
    np.testing.assert_allclose(problem.forgetting(w), METRICS["kl"].compute(w @ sources, sources[0]), rtol=1e-12)


# --- Against every mixture of a grid ---


@pytest.mark.parametrize("skeletal", [False, True])
@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("K", [2, 3, 4])
def test_no_mixture_of_a_grid_is_better(K, limited, skeletal):
    for seed in range(10):
        problem = random_problem(seed, K, limited=limited, skeletal=skeletal)
        found = minimise(problem, np.array([1.0, 0.0]))
        assert found.gap <= TOLERANCE
        assert allowed(problem, found.weights[None]).size
        mixtures = allowed(problem, grid(K, 24))
        assert (problem.bits(mixtures)[:, 0] >= problem.bits(found.weights)[0] - found.gap).all()


@pytest.mark.parametrize("budget", [0.0, 0.02, 0.2])
def test_no_mixture_of_a_grid_within_the_budget_is_better(budget):
    binding = 0
    for seed in range(15):
        problem = random_problem(seed, 3, limited=False)
        found = within_budget(problem, ONE, budget)
        assert found.gap <= (BUDGET_TOLERANCE if budget else 1e-5)  # at 0 the multiplier is infinite
        assert problem.forgetting(found.weights) <= budget + 1e-12
        mixtures = grid(3, 60)
        mixtures = mixtures[problem.forgetting(mixtures) <= budget]
        assert (problem.bits(mixtures)[:, 0] >= problem.bits(found.weights)[0] - found.gap - 1e-12).all()
        binding += found.trade_off > 0
    assert binding > 5


def test_a_budget_that_does_not_bind_changes_nothing():
    problem = random_problem(1, 4)
    free = minimise(problem, np.array([1.0, 0.0]))
    loose = within_budget(problem, ONE, float(problem.forgetting(free.weights)) + 1e-6)
    np.testing.assert_array_equal(loose.weights, free.weights)
    assert loose.trade_off == 0


def test_a_budget_and_scipy_agree():
    from scipy.optimize import minimize

    for seed in range(4):
        problem = random_problem(seed, 5, limited=False)
        ours = within_budget(problem, ONE, 0.1)
        theirs = minimize(
            lambda w: problem.bits(w / w.sum())[0],  # noqa: B023
            np.full(5, 0.2),
            bounds=[(0, 1)] * 5,
            constraints=[
                {"type": "eq", "fun": lambda w: w.sum() - 1},
                {"type": "ineq", "fun": lambda w: 0.1 - problem.forgetting(w)},  # noqa: B023
            ],
            method="SLSQP",
            options={"ftol": 1e-10, "maxiter": 500},
        )
        assert problem.bits(ours.weights)[0] == pytest.approx(theirs.fun, abs=1e-5)


# --- The certificate ---


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 8), st.booleans(), st.booleans(), st.floats(1e-9, 1))
def test_the_gap_bounds_what_is_missing(seed, K, limited, skeletal, tolerance):
    """Stopped early, the gap is at least how far the mixture is from the best."""
    problem = random_problem(seed, K, limited=limited, skeletal=skeletal)
    early, best = (minimise(problem, np.array([1.0, 0.0]), tolerance=t) for t in (tolerance, TOLERANCE))
    assert best.gap <= TOLERANCE
    missing = (problem.bits(early.weights) - problem.bits(best.weights))[0]
    assert -TOLERANCE <= missing <= early.gap + 1e-12


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.booleans(), st.floats(0, 1))
@example(95, 8, True, 0.25)  # the last step gains less than the objective rounds
@example(1031, 12, True, 0.9)
def test_every_problem_is_solved_within_its_limits(seed, K, skeletal, trade_off):
    problem = random_problem(seed, K, skeletal=skeletal)
    found = minimise_at_trade_off(problem, ONE, trade_off)
    assert found.gap <= TOLERANCE
    assert abs(found.weights.sum() - 1) < 1e-9
    assert (found.weights >= problem.lower_K).all() and (found.weights <= problem.upper_K).all()


def test_a_wide_problem_with_many_equal_sources():
    problem = random_problem(3, 30, V=400, limited=False)
    twice = ConvexProblem(
        np.tile(problem.sources_KV, (2, 1)),
        np.ones(60),
        problem.target_TV,
        np.zeros(60),
        np.ones(60),
    )
    one, other = (minimise(each, np.array([1.0, 0.0])) for each in (problem, twice))
    assert max(one.gap, other.gap) <= TOLERANCE
    assert problem.bits(one.weights)[0] == pytest.approx(twice.bits(other.weights)[0], abs=2 * TOLERANCE)


# --- What must not matter ---


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_candidates_does_not_matter(seed):
    problem = random_problem(seed, 6, skeletal=True)
    order = np.random.default_rng(seed).permutation(6)
    shuffled = ConvexProblem(
        problem.sources_KV[order],
        problem.per_token_K[order],
        problem.target_TV,
        problem.lower_K[order],
        problem.upper_K[order],
    )
    one, other = (minimise(each, np.array([1.0, 0.3])) for each in (problem, shuffled))
    np.testing.assert_allclose(one.weights[order], other.weights, atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_a_candidate_split_into_equal_halves_gives_the_same_objective(seed):
    problem = random_problem(seed, 4, limited=False)
    split = ConvexProblem(
        np.vstack([problem.sources_KV, problem.sources_KV[-1:]]),
        np.ones(5),
        problem.target_TV,
        np.zeros(5),
        np.ones(5),
    )
    whole, halves = (minimise(each, np.array([1.0, 0.0])) for each in (problem, split))
    assert halves.gap <= TOLERANCE
    assert problem.bits(whole.weights)[0] == pytest.approx(split.bits(halves.weights)[0], abs=2 * TOLERANCE)
    assert halves.weights[-2:].sum() == pytest.approx(whole.weights[-1], abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_a_warm_start_ends_where_a_cold_one_does(seed):
    problem = random_problem(seed, 6, skeletal=True)
    cold = minimise(problem, np.array([1.0, 0.0]))
    for other in range(3):
        start = minimise(problem, np.array([0.3 * other, 1.0])).weights
        warm = minimise(problem, np.array([1.0, 0.0]), start)
        np.testing.assert_allclose(warm.weights, cold.weights, atol=1e-4)


def test_the_frontier_of_a_problem_is_monotone_and_convex():
    problem = random_problem(5, 5, limited=False)
    found = trace(problem, ONE, 17)
    weights = np.stack([point.weights for point in found])
    forgetting, bits = problem.forgetting(weights), problem.bits(weights)[:, 0]
    assert len(found) == 17
    assert (np.diff([point.trade_off for point in found]) < 0).all()
    assert (np.diff(forgetting) > -1e-9).all() and (np.diff(bits) < 1e-9).all()
    assert (np.diff(np.diff(bits) / np.diff(forgetting)) > -1e-4).all()  # each bit forgotten buys less
    assert weights[0, 0] == pytest.approx(1, abs=1e-5)  # nothing is forgotten
    np.testing.assert_allclose(weights[-1], minimise(problem, np.array([1.0, 0.0])).weights, atol=1e-9)
