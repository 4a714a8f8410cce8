"""Bounds of the permutations of folds hold, and leave every p as it is."""

import numpy as np
import pytest

from simtool.similarity.metrics import METRICS
from simtool.similarity.permutations import (
    BY_COST,
    MARGIN,
    OF_PARTS,
    Folds,
    as_they_are,
    in_most_folds,
    in_pairs_of_folds,
    least_alike,
    p_of_exchange,
    random_sides,
)
from simtool.similarity.splits import on_splits

N_FOLDS, V = 16, 400


def sample(rng: np.random.Generator, skew: float, tokens: int = 200) -> np.ndarray:
    """float32 (N_FOLDS, V): folds of unequal size, of a Zipf-like text whose ranks are moved by `skew`."""
    shares = 1 / (np.arange(V) + 3) * np.exp(skew * rng.normal(size=V))
    return np.stack([rng.multinomial(rng.poisson(tokens), shares / shares.sum()) for _ in range(N_FOLDS)]).astype("f4")


def pairs():
    """Samples of one text, of texts that are near and far, of unequal sizes, and with nothing in common."""
    rng = np.random.default_rng(0)
    yield sample(rng, 0), sample(rng, 0)
    yield sample(rng, 0), sample(rng, 0.3)
    yield sample(rng, 0), sample(rng, 2, tokens=2_000)
    yield sample(rng, 0, tokens=5_000), sample(rng, 0, tokens=20)
    yield sample(rng, 0), np.roll(sample(rng, 0), V // 2, axis=1) * (np.arange(V) > V // 2).astype("f4")


def similarities(metric, a, b, sides):
    pooled = np.concatenate([a, b])[None]
    return metric.sign * on_splits([metric], pooled, pooled, sides)[0][:, 0, 0]


def p_of_pair(metric, a, b, seed: int = 1) -> float:
    return p_of_exchange(metric, np.stack([a, b]), [(0, 1)], np.random.default_rng(seed))[0]


@pytest.mark.parametrize("on_both", BY_COST)
@pytest.mark.parametrize("name", OF_PARTS)
def test_no_sides_are_less_alike_than_the_bound(name, on_both):
    for a, b in pairs():
        sides = random_sides(N_FOLDS, np.random.default_rng(1))
        sides[-20:] ^= np.random.default_rng(2).random(sides[-20:].shape) < 0.2  # and halves that are not equal
        bounds = least_alike(METRICS[name], *(Folds.of(folds, folds.sum(axis=0)) for folds in (a, b)), sides, on_both)
        assert (bounds <= similarities(METRICS[name], a, b, sides) + 1e-5).all()


def test_entries_on_both_sides_are_at_least_so_many():
    """Of two folds each: pairs of folds are exact for up to three folds, and what most folds have is on both."""
    a = np.array([[1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0]], "f4")
    b = np.array([[0, 0, 1, 1, 0, 1], [0, 0, 0, 1, 0, 0]], "f4")
    sides = np.array([[True, True, False, False], [True, False, True, False]])
    pair = [Folds.of(folds, folds.sum(axis=0)) for folds in (a, b)]
    # entries 2 and 3, of three and four folds, are on both of any halves; 1, of both folds of a, on both of the second
    np.testing.assert_array_equal(in_pairs_of_folds(*pair, sides), [2, 3])
    np.testing.assert_array_equal(in_most_folds(*pair, sides), [2, 2])


@pytest.mark.parametrize("name", OF_PARTS)
def test_samples_as_they_are_are_compared_by_the_definition(name):
    """First-order bias included; the bounds' margin is 1e-3."""
    for a, b in pairs():
        p, q = (folds.sum(axis=0, dtype=np.float64) for folds in (a, b))
        metric, sizes = METRICS[name], (p.sum(), q.sum())
        p, q = p / sizes[0], q / sizes[1]
        value = metric.compute(p, q) - (metric.bias(p, q, *sizes) if metric.bias else 0)
        measured = as_they_are(metric, np.stack([a.sum(axis=0), b.sum(axis=0)]))[0, 1]
        assert measured == pytest.approx(metric.sign * np.clip(value, metric.low, metric.high), abs=1e-5)


@pytest.mark.parametrize("name", ["token", "js", "kl", "hellinger"])
def test_p_is_the_share_of_permutations_that_are_as_far_apart(name):
    seen = []
    for a, b in pairs():
        plain = similarities(METRICS[name], a, b, random_sides(N_FOLDS, np.random.default_rng(1)))
        seen.append(p_of_pair(METRICS[name], a, b))
        assert seen[-1] == (plain <= plain[0] + 1e-12).mean()
    assert seen[0] > 0.05 and seen[2] == 1 / 200


def test_pairs_beside_each_other_are_those_of_one_after_the_other(monkeypatch):
    """Sides are drawn in the order of the pairs, however many are tested at once."""
    samples = np.stack([sample(np.random.default_rng(seed), 0.02 * seed) for seed in range(4)])
    order = [(i, j) for i in range(4) for j in range(i)]
    p = p_of_exchange(METRICS["token"], samples, order, np.random.default_rng(1))
    monkeypatch.setattr("simtool.similarity.permutations.PAIRS_AT_ONCE", 2)
    np.testing.assert_array_equal(p_of_exchange(METRICS["token"], samples, order, np.random.default_rng(1)), p)
    rng = np.random.default_rng(1)
    for (i, j), p_of_ij in zip(order, p, strict=True):
        plain = similarities(METRICS["token"], samples[i], samples[j], random_sides(N_FOLDS, rng))
        assert p_of_ij == (plain <= plain[0] + 1e-12).mean()
    assert len(set(p)) > 2


def test_far_samples_are_decided_by_bounds(monkeypatch):
    measured = []
    monkeypatch.setattr(
        "simtool.similarity.permutations._p_of_sides",
        lambda metric, pair, sides, undecided: measured.append(undecided.sum()) or 1 / len(sides),
    )
    rng = np.random.default_rng(0)
    a, b = sample(rng, 0, tokens=2_000), sample(rng, 2, tokens=2_000)
    assert p_of_pair(METRICS["token"], a, b) == 1 / 200
    assert measured == [1]  # as they are, and no permutation


def test_a_bound_that_hardly_differs_decides_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    a, b = sample(rng, 0), sample(rng, 2)
    sides = random_sides(N_FOLDS, rng)
    plain = similarities(METRICS["token"], a, b, sides)
    measured = []
    monkeypatch.setattr(
        "simtool.similarity.permutations.least_alike", lambda *_: np.full(len(sides) - 1, plain[0] + MARGIN / 2)
    )
    monkeypatch.setattr(
        "simtool.similarity.permutations._p_of_sides",
        lambda metric, pair, sides, undecided: measured.append(undecided.sum()) or 1.0,
    )
    p_of_pair(METRICS["token"], a, b)
    assert measured == [200]
