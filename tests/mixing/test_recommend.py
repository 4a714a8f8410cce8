"""The best mixture from profiles: found again inside its intervals, within its constraints, with its cost."""

import math

import numpy as np
import pytest

from simtool.mixing.advice import advise
from simtool.mixing.constraints import Constraints, effective_tokens
from simtool.mixing.recommend import recommend, rounded
from simtool.mixing.solver import BUDGET_TOLERANCE, TOLERANCE
from simtool.mixture import Mixture, parse_mixture
from simtool.profiles.profile import Profile
from tests.mixing.toys import block, corpus_of


def mix(profiles, constraints=None, candidates=("code", "maths"), targets=("target",), **options):
    options = {"resamples": 40, **options}
    return recommend(profiles, "web", candidates, dict.fromkeys(targets, 1.0), constraints, **options)


def counts_of(profile: Profile) -> np.ndarray:
    return profile.features["token"].sum(axis=0)


def smoothed(counts: np.ndarray) -> np.ndarray:
    """Witten and Bell's: N symbols of T kinds leave T / (N + T) to all V entries alike."""
    N, T = counts.sum(), (counts > 0).sum()
    return (counts + T / len(counts)) / (N + T)


def test_a_mixture_is_found_again_inside_its_intervals(profiles):
    result = mix(profiles)
    np.testing.assert_allclose(result.weights, [0.2, 0.5, 0.3], atol=0.02)
    assert (result.low <= [0.2, 0.5, 0.3]).all() and (result.high >= [0.2, 0.5, 0.3]).all()
    assert result.dropped == () and (result.placebo_low[1:] > 0).all() and np.isnan(result.placebo_gain[0])
    assert result.gap <= TOLERANCE and result.trade_off == 0 and result.binding == ()
    assert 0 < result.gain_low[0] < result.gain[0] < result.gain_high[0] < result.max_gain[0] + 0.05
    assert result.forgetting_low < result.forgetting < result.forgetting_high
    web, code, maths, target = (counts_of(profiles[name]) for name in ("web", "code", "maths", "target"))
    mixed, target = result.weights @ [smoothed(web), smoothed(code), smoothed(maths)], target / target.sum()
    seen = target > 0
    assert result.objective == pytest.approx(-target @ np.log2(mixed))
    assert result.gain[0] == pytest.approx(-target @ np.log2(smoothed(web)) - result.bits[0])
    excess = (target[seen] * np.log2(target[seen] / mixed[seen])).sum()
    assert result.max_gain[0] - result.gain[0] == pytest.approx(excess)
    assert result.forgetting == pytest.approx(smoothed(web) @ np.log2(smoothed(web) / mixed))
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


def test_another_sample_of_the_pretraining_corpus_gets_no_share(profiles):
    result = mix(profiles, candidates=("again", "code", "maths"))
    assert result.dropped == ("again",) and result.weights[1] == 0
    np.testing.assert_allclose(result.weights, mix(profiles).weights[[0, 0, 1, 2]] * [1, 0, 1, 1], atol=1e-4)
    assert result.notes == (
        "No share for again: not significantly better for these targets than as many held-out documents of web.",
    )
    assert result.to_polars()["dropped"].to_list() == [False, True, False, False]


def test_a_minimum_share_is_given_to_a_candidate_that_is_no_better(profiles):
    result = mix(profiles, Constraints(min_share={"again": 0.1}), candidates=("again", "code", "maths"))
    assert result.dropped == () and result.weights[1] >= 0.1 - 1e-9


def test_the_trade_off_curve_leaves_out_what_was_dropped(profiles):
    advice = advise(profiles, "web", ["again", "code", "maths"], {"target": 1.0}, resamples=20)
    assert advice.recommendation.dropped == ("again",)
    assert not advice.frontier.weights[:, 1].any() and advice.frontier.weights[-1, 2] > 0.4


def test_constraints_are_kept_and_named(profiles):
    constraints = Constraints(min_share={"web": 0.5}, tokens=1000, available={"maths": 30}, max_epochs=4)
    result = mix(profiles, constraints)
    np.testing.assert_allclose(result.weights, [0.5, 0.38, 0.12], atol=1e-6)  # maths: 4 * 30 / 1000
    assert result.binding == ("web>=0.5", "maths<=0.12 (4 epochs of 30 in 1,000 tokens)")
    np.testing.assert_allclose(result.epochs, [math.nan, math.nan, 4], equal_nan=True)
    np.testing.assert_allclose(result.effective[2], effective_tokens(120, 30))
    table = result.to_polars()
    assert table["effective_tokens"].to_list()[:2] == [None, None]
    assert table["min_share"].to_list() == [0.5, 0, 0] and table["max_share"].to_list() == [1, 1, 0.12]


def test_a_budget_of_forgetting_is_spent_and_named(profiles):
    result = mix(profiles, Constraints(max_forgetting=0.1))
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
    shares = parse_mixture(str(rounded(result.mixture)))
    assert result.command("other") == f"simtool train --pretrain web --mid {shares} --sft other"
    assert shares.weights["maths"] == pytest.approx(result.weights[2], abs=1e-4)


def test_rounded_shares_sum_to_one():
    shares = rounded(Mixture({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3 - 1e-5, "d": 1e-5}))
    assert dict(shares.weights) == {"a": 0.3334, "b": 0.3333, "c": 0.3333}


def test_same_seed_same_bits(profiles):
    one, again = (mix(profiles, Constraints(max_forgetting=0.1), seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.low, again.low)
    assert not np.array_equal(one.low, mix(profiles, Constraints(max_forgetting=0.1), seed=4).low)


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
