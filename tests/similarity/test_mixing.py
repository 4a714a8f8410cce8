"""The best mixture: closed forms, grids of all mixtures, and a certificate that never claims too much."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simtool.errors import SimtoolError
from simtool.mixture import Mixture, parse_mixture
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile
from simtool.similarity.frontier import frontier
from simtool.similarity.limits import Limits, effective_tokens
from simtool.similarity.metrics import METRICS, UNIFORM_SHARE, smooth
from simtool.similarity.mixing import recommend, rounded
from simtool.similarity.optimum import (
    BUDGET_TOLERANCE,
    TOLERANCE,
    Problem,
    at_trade_off,
    minimise,
    trace,
    within_budget,
)

ONE = np.ones(1)


def problem_of(sources, targets, per_token=None, lower=None, upper=None) -> Problem:
    """Rows of shares, smoothed; the pretraining corpus is the first source."""
    sources = np.asarray(sources, float)
    K, V = sources.shape
    per_token = np.ones(K) if per_token is None else np.asarray(per_token, float)
    return Problem(
        smooth(sources, V) * per_token[:, None],
        per_token,
        smooth(np.vstack([targets, sources[:1]]), V),
        np.zeros(K) if lower is None else np.asarray(lower, float),
        np.ones(K) if upper is None else np.asarray(upper, float),
    )


def random_problem(seed: int, K: int, V: int = 40, limited: bool = True, skeletal: bool = False) -> Problem:
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


def allowed(problem: Problem, mixtures: np.ndarray) -> np.ndarray:
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


@pytest.mark.parametrize(
    ("trained", "available", "worth"),
    [
        (0, 10, 0),
        (5, 10, 5),  # half an epoch: all new
        (10, 10, 10),
        (40, 10, 10 + 10 * 15.39 * (1 - math.exp(-3 / 15.39))),  # 3 repetitions: 37.3
        (1e9, 10, 10 * 16.39),  # never more than 1 + R* times what there is
    ],
)
def test_effective_tokens(trained, available, worth):
    assert effective_tokens(trained, available) == pytest.approx(worth)


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
    found = at_trade_off(problem, ONE, trade_off)
    assert found.gap <= TOLERANCE
    assert abs(found.weights.sum() - 1) < 1e-9
    assert (found.weights >= problem.lower_K).all() and (found.weights <= problem.upper_K).all()


def test_a_wide_problem_with_many_equal_sources():
    problem = random_problem(3, 30, V=400, limited=False)
    twice = Problem(
        np.tile(problem.sources_KV, (2, 1)),
        np.ones(60),
        problem.wanted_TV,
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
    shuffled = Problem(
        problem.sources_KV[order],
        problem.per_token_K[order],
        problem.wanted_TV,
        problem.lower_K[order],
        problem.upper_K[order],
    )
    one, other = (minimise(each, np.array([1.0, 0.3])) for each in (problem, shuffled))
    np.testing.assert_allclose(one.weights[order], other.weights, atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_a_candidate_split_into_equal_halves_gives_the_same_objective(seed):
    problem = random_problem(seed, 4, limited=False)
    split = Problem(
        np.vstack([problem.sources_KV, problem.sources_KV[-1:]]),
        np.ones(5),
        problem.wanted_TV,
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


# --- From profiles ---

DIMENSION = 60


def corpus_of(name: str, shares: np.ndarray, n_tokens: int = 40_000, seed: int = 0, **features) -> Profile:
    rng = np.random.default_rng([seed, *name.encode()])
    counts = rng.multinomial(n_tokens // N_FOLDS, shares, size=N_FOLDS)
    sizes = counts.sum(axis=1)
    return Profile(name, "toy", "f" * 64, sizes, sizes, sizes, {"token": counts, **features})


def block(first: int, last: int) -> np.ndarray:
    shares = np.zeros(DIMENSION)
    shares[first:last] = 1 / (last - first)
    return shares


@pytest.fixture(scope="module")
def profiles() -> dict[str, Profile]:
    web, code, maths = block(0, 30), block(25, 50), block(45, 60)
    return {
        "web": corpus_of("web", web),
        "code": corpus_of("code", code),
        "maths": corpus_of("maths", maths),
        "again": corpus_of("again", web),
        "useless": corpus_of("useless", block(30, 45)),
        "target": corpus_of("target", 0.2 * web + 0.5 * code + 0.3 * maths),
        "other": corpus_of("other", 0.9 * web + 0.1 * maths),
    }


def mix(profiles, limits=None, candidates=("code", "maths"), targets=("target",), **options):
    options = {"resamples": 40, **options}
    return recommend(profiles, "web", candidates, dict.fromkeys(targets, 1.0), limits, **options)


def test_a_mixture_is_found_again_inside_its_intervals(profiles):
    result = mix(profiles)
    np.testing.assert_allclose(result.weights, [0.2, 0.5, 0.3], atol=0.02)
    assert (result.low <= [0.2, 0.5, 0.3]).all() and (result.high >= [0.2, 0.5, 0.3]).all()
    assert result.from_zero.all() and result.alike == []
    assert result.gap <= TOLERANCE and result.trade_off == 0 and result.binding == ()
    assert 0 < result.gain_low[0] < result.gain[0] < result.gain_high[0] < result.most[0] + 0.05
    assert result.forgetting_low < result.forgetting < result.forgetting_high
    whole = [profiles[name].features["token"].sum(axis=0) / 40_000 for name in ("web", "code", "maths", "target")]
    mixed = result.weights @ whole[:3]
    assert result.objective == pytest.approx(METRICS["cross_entropy"].compute(mixed, whole[3]))
    assert result.gain[0] == pytest.approx(METRICS["cross_entropy"].compute(whole[0], whole[3]) - result.bits[0])
    assert result.most[0] - result.gain[0] == pytest.approx(METRICS["kl"].compute(mixed, whole[3]))
    assert result.forgetting == pytest.approx(METRICS["kl"].compute(mixed, whole[0]))
    assert result.notes == ()


def test_the_interval_of_a_share_covers_it():
    """Of 30 fresh samples, the intervals hold the true share about 95% of the time."""
    web, code = block(0, 30), block(25, 50)
    covered = 0
    for seed in range(30):
        profiles = {
            name: corpus_of(name, shares, 8_000, seed)
            for name, shares in (("web", web), ("code", code), ("target", 0.6 * web + 0.4 * code))
        }
        result = mix(profiles, candidates=["code"], resamples=60)
        covered += result.low[1] <= 0.4 <= result.high[1]
    assert covered >= 24  # P(fewer than 24 of 30 | 0.95) < 0.2%


def test_a_copy_of_the_pretraining_corpus_cannot_be_told_from_it(profiles):
    result = mix(profiles, candidates=("again", "code", "maths"))
    assert result.weights[:2].sum() == pytest.approx(0.2, abs=0.02)
    assert not result.apart[0, 1] and not result.from_zero[:2].all()
    assert result.apart[0, 2] and (result.apart == result.apart.T).all()


def test_limits_are_kept_and_named(profiles):
    limits = Limits(keep={"web": 0.5}, tokens=1000, available={"maths": 30}, max_epochs=4)
    result = mix(profiles, limits)
    np.testing.assert_allclose(result.weights, [0.5, 0.38, 0.12], atol=1e-6)  # maths: 4 * 30 / 1000
    assert result.binding == ("web>=0.5", "maths<=0.12 (4 epochs of 30 in 1,000 tokens)")
    np.testing.assert_allclose(result.epochs, [math.nan, math.nan, 4], equal_nan=True)
    np.testing.assert_allclose(result.effective[2], effective_tokens(120, 30))
    table = result.to_polars()
    assert table["effective_tokens"].to_list()[:2] == [None, None]
    assert table["floor"].to_list() == [0.5, 0, 0] and table["cap"].to_list() == [1, 1, 0.12]


def test_a_budget_of_forgetting_is_spent_and_named(profiles):
    result = mix(profiles, Limits(forgetting=0.1))
    assert result.forgetting == pytest.approx(0.1, abs=1e-5) and result.forgetting <= 0.1
    assert result.binding == ("forgetting<=0.1 bits",) and 0 < result.trade_off < 1
    assert result.gap <= BUDGET_TOLERANCE


def test_the_weights_of_targets_count_by_their_ratios(profiles):
    one = recommend(profiles, "web", ["code", "maths"], {"target": 3, "other": 1}, resamples=20)
    same = recommend(profiles, "web", ["code", "maths"], {"target": 0.75, "other": 0.25}, resamples=20)
    np.testing.assert_array_equal(one.weights, same.weights)
    assert one.objective == pytest.approx(0.75 * one.bits[0] + 0.25 * one.bits[1])
    alone = mix(profiles)
    assert alone.bits[0] < one.bits[0] and alone.weights[0] < one.weights[0]
    assert one.targets_to_polars()["target_weight"].to_list() == [0.75, 0.25]


def test_several_features_and_more_symbols_than_tokens(profiles):
    doubled = {
        name: Profile(**{**vars(p), "features": {"token": p.features["token"], "line_length": 2 * p.features["token"]}})
        for name, p in profiles.items()
    }
    one, both = mix(profiles), mix(doubled, feature="token+line_length")
    np.testing.assert_allclose(one.weights, both.weights, atol=0.01)  # as one, but for the smoothing


def test_a_mixture_leaves_out_what_has_no_share(profiles):
    result = mix(profiles, candidates=("useless", "maths"), targets=["other"])
    assert result.weights[1] < 1e-6 and set(result.mixture.weights) == {"web", "maths"}
    told = parse_mixture(str(rounded(result.mixture)))
    assert result.command("other") == f"simtool train --pretrain web --midtrain {told} --sft other"
    assert told.weights["maths"] == pytest.approx(result.weights[2], abs=1e-4)


def test_rounded_shares_sum_to_one():
    told = rounded(Mixture({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3 - 1e-5, "d": 1e-5}))
    assert dict(told.weights) == {"a": 0.3334, "b": 0.3333, "c": 0.3333}


def test_same_seed_same_bits(profiles):
    one, again = (mix(profiles, Limits(forgetting=0.1), seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.low, again.low)
    assert not np.array_equal(one.low, mix(profiles, Limits(forgetting=0.1), seed=4).low)


def test_the_frontier_runs_from_nothing_forgotten_to_the_recommendation(profiles):
    result = frontier(profiles, "web", ["code", "maths"], {"target": 1, "other": 1}, points=9, resamples=20)
    both = recommend(profiles, "web", ["code", "maths"], {"target": 1, "other": 1}, resamples=20)
    np.testing.assert_allclose(result.weights[0], [1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(result.weights[-1], both.weights, atol=1e-5)
    np.testing.assert_allclose(result.gain[-1], both.gain, atol=1e-8)
    assert (np.diff(result.forgetting) > 0).all() and (np.diff(result.gain @ result.emphasis) > 0).all()
    table = result.to_polars()
    assert len(table) == 18 and table["target"].to_list()[:2] == ["target", "other"]
    assert {"share_web", "share_code", "share_maths"} <= set(table.columns)
    assert (table["gain_low"] <= table["gain_bits"] + 1e-12).all()
    assert (table["gain_bits"] <= table["gain_high"] + 1e-12).all()


# --- What is wrong is said ---


def test_a_leak_is_noted(profiles):
    leaked = {**profiles, "copy": profiles["code"]}
    assert mix(leaked, targets=["copy"]).notes == (
        "Leak: the target copy has the same counts as code, a candidate. To train on the text that is measured"
        " tells nothing; give another split of one of them.",
    )
    assert mix(profiles, targets=["maths"]).notes[0].startswith("Leak: the target maths is itself a candidate.")


def test_it_is_noted_that_nothing_helps(profiles):
    result = mix({**profiles, "target": corpus_of("target", block(0, 25))}, candidates=["maths"])
    assert result.notes == ("No candidate helps: web alone is best.",)
    assert dict(result.mixture.weights) == {"web": 1}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"keep": {"web": 0.7, "code": 0.5}},
            "The floors web>=0.7, code>=0.5 sum to 1.2, and the whole is 1.\nLower them by 0.2 together.",
        ),
        (
            {"keep": {"code": 0.5}, "tokens": 1000, "available": {"code": 100}},
            "No mixture has both code>=0.5 and code<=0.4 (4 epochs of 100 in 1,000 tokens).\n"
            "Lower that floor or raise that cap.",
        ),
        (
            {"cap": {"web": 0.5, "code": 0.2}, "tokens": 10_000, "available": {"maths": 500}},
            "The caps web<=0.5, code<=0.2, maths<=0.2 (4 epochs of 500 in 10,000 tokens) sum to 0.9:"
            " 0.1 of the mixture has no corpus.\nRaise a cap, train on fewer tokens, or give another candidate.",
        ),
        (
            {"keep": {"maths": 0.5}, "forgetting": 0.1},
            # nearly half of every word's share is gone, so nearly 1 bit
            "With maths>=0.5, 0.9688 bits or more are forgotten, above the budget of 0.1.\n"
            "Allow as much, or loosen those limits.",
        ),
        ({"keep": {"wep": 0.5}}, "Unknown corpus 'wep'. Did you mean 'web'?\nKnown: code, maths, web."),
        ({"cap": {"web": 1.5}}, "A share lies between 0 and 1. Got web<=1.5."),
        (
            {"available": {"web": 5}},
            "Available tokens limit a share only when the length of training is known.\n"
            "Give the tokens of the phase as well, as in --tokens 2B.",
        ),
        (
            {"tokens": 5, "available": {"web": 0}},
            "An amount of tokens or epochs must be above 0. Got 0 for web.",
        ),
        ({"forgetting": -0.5}, "The budget of forgetting is in bits, 0 or more. Got -0.5."),
    ],
)
def test_what_no_mixture_can_keep_is_told_with_its_numbers(profiles, limits, message):
    with pytest.raises(SimtoolError) as told:
        mix(profiles, Limits(**limits))
    assert str(told.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"candidates": ("code", "web")},
            "web is the pretraining corpus, which every mixture may hold. Leave it out of the candidates.",
        ),
        ({"candidates": ()}, "Nothing to mix in. Name one candidate or more."),
        ({"targets": ()}, "Name one target or more, each with a weight above 0. Got {}."),
        (
            {"targets": ("targe",)},
            "Unknown corpus 'targe'. Did you mean 'target'?\nKnown: again, code, maths, other, target, useless, web.",
        ),
    ],
)
def test_names_that_make_no_question_are_told(profiles, options, message):
    with pytest.raises(SimtoolError) as told:
        mix(profiles, **options)
    assert str(told.value) == message


def test_a_corpus_without_the_feature_is_told(profiles):
    nothing = {**profiles, "code": corpus_of("code", block(0, 5), 0)}
    with pytest.raises(SimtoolError) as told:
        mix(nothing)
    assert str(told.value) == "code has nothing to count for token. Give longer documents or another feature."
