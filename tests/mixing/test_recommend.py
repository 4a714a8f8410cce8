"""The best mixture from profiles: found again inside its intervals, within its constraints, its price told."""

import math

import numpy as np
import pytest

from simtool.errors import SimtoolError
from simtool.mixing.constraints import Constraints, effective_tokens
from simtool.mixing.frontier import frontier
from simtool.mixing.recommend import recommend, rounded
from simtool.mixing.solver import BUDGET_TOLERANCE, TOLERANCE
from simtool.mixture import Mixture, parse_mixture
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile
from simtool.similarity.metrics import METRICS

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


def mix(profiles, constraints=None, candidates=("code", "maths"), targets=("target",), **options):
    options = {"resamples": 40, **options}
    return recommend(profiles, "web", candidates, dict.fromkeys(targets, 1.0), constraints, **options)


def test_a_mixture_is_found_again_inside_its_intervals(profiles):
    result = mix(profiles)
    np.testing.assert_allclose(result.weights, [0.2, 0.5, 0.3], atol=0.02)
    assert (result.low <= [0.2, 0.5, 0.3]).all() and (result.high >= [0.2, 0.5, 0.3]).all()
    assert result.above_zero.all() and result.indistinguishable == []
    assert result.gap <= TOLERANCE and result.trade_off == 0 and result.binding == ()
    assert 0 < result.gain_low[0] < result.gain[0] < result.gain_high[0] < result.max_gain[0] + 0.05
    assert result.forgetting_low < result.forgetting < result.forgetting_high
    whole = [profiles[name].features["token"].sum(axis=0) / 40_000 for name in ("web", "code", "maths", "target")]
    mixed = result.weights @ whole[:3]
    assert result.objective == pytest.approx(METRICS["cross_entropy"].compute(mixed, whole[3]))
    assert result.gain[0] == pytest.approx(METRICS["cross_entropy"].compute(whole[0], whole[3]) - result.bits[0])
    assert result.max_gain[0] - result.gain[0] == pytest.approx(METRICS["kl"].compute(mixed, whole[3]))
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
    assert not result.distinguishable[0, 1] and not result.above_zero[:2].all()
    assert result.distinguishable[0, 2] and (result.distinguishable == result.distinguishable.T).all()


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
    told = parse_mixture(str(rounded(result.mixture)))
    assert result.command("other") == f"simtool train --pretrain web --midtrain {told} --sft other"
    assert told.weights["maths"] == pytest.approx(result.weights[2], abs=1e-4)


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


def test_rounded_shares_sum_to_one():
    told = rounded(Mixture({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3 - 1e-5, "d": 1e-5}))
    assert dict(told.weights) == {"a": 0.3334, "b": 0.3333, "c": 0.3333}


def test_same_seed_same_bits(profiles):
    one, again = (mix(profiles, Constraints(max_forgetting=0.1), seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.low, again.low)
    assert not np.array_equal(one.low, mix(profiles, Constraints(max_forgetting=0.1), seed=4).low)


def test_the_frontier_runs_from_nothing_forgotten_to_the_recommendation(profiles):
    result = frontier(profiles, "web", ["code", "maths"], {"target": 1, "other": 1}, points=9, resamples=20)
    both = recommend(profiles, "web", ["code", "maths"], {"target": 1, "other": 1}, resamples=20)
    np.testing.assert_allclose(result.weights[0], [1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(result.weights[-1], both.weights, atol=1e-5)
    np.testing.assert_allclose(result.gain[-1], both.gain, atol=1e-8)
    assert (np.diff(result.forgetting) > 0).all() and (np.diff(result.gain @ result.target_weights) > 0).all()
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
    ("constraints", "message"),
    [
        (
            {"min_share": {"web": 0.7, "code": 0.5}},
            "The minimum shares web>=0.7, code>=0.5 sum to 1.2, and the whole is 1.\nLower them by 0.2 together.",
        ),
        (
            {"min_share": {"code": 0.5}, "tokens": 1000, "available": {"code": 100}},
            "No mixture has both code>=0.5 and code<=0.4 (4 epochs of 100 in 1,000 tokens).\n"
            "Lower that minimum or raise that maximum.",
        ),
        (
            {"max_share": {"web": 0.5, "code": 0.2}, "tokens": 10_000, "available": {"maths": 500}},
            "The maximum shares web<=0.5, code<=0.2, maths<=0.2 (4 epochs of 500 in 10,000 tokens) sum to 0.9:"
            " 0.1 of the mixture has no corpus.\nRaise a maximum, train on fewer tokens, or give another candidate.",
        ),
        (
            {"min_share": {"maths": 0.5}, "max_forgetting": 0.1},
            # nearly half of every word's share is gone, so nearly 1 bit
            "With maths>=0.5, 0.9688 bits or more are forgotten, above the budget of 0.1.\n"
            "Allow as much, or loosen those constraints.",
        ),
        ({"min_share": {"wep": 0.5}}, "Unknown corpus 'wep'. Did you mean 'web'?\nKnown: code, maths, web."),
        ({"max_share": {"web": 1.5}}, "A share lies between 0 and 1. Got web<=1.5."),
        (
            {"available": {"web": 5}},
            "Available tokens limit a share only when the length of training is known.\n"
            "Give the tokens of the phase as well, as in --tokens 2B.",
        ),
        (
            {"tokens": 5, "available": {"web": 0}},
            "An amount of tokens or epochs must be above 0. Got 0 for web.",
        ),
        ({"max_forgetting": -0.5}, "The budget of forgetting is in bits, 0 or more. Got -0.5."),
    ],
)
def test_what_no_mixture_can_keep_is_told_with_its_numbers(profiles, constraints, message):
    with pytest.raises(SimtoolError) as told:
        mix(profiles, Constraints(**constraints))
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
