"""Bounds of the permutations of folds hold, and leave every p as it is."""

import numpy as np
import pytest

from simtool.similarity.metrics import METRICS
from simtool.similarity.permutations import MARGIN, OF_PARTS, least_alike, p_of_exchange, random_sides
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


@pytest.mark.parametrize("name", OF_PARTS)
def test_no_sides_are_less_alike_than_the_bound(name):
    for a, b in pairs():
        sides = random_sides(N_FOLDS, np.random.default_rng(1))
        sides[-20:] ^= np.random.default_rng(2).random(sides[-20:].shape) < 0.2  # and halves that are not equal
        bounds = least_alike(METRICS[name], np.concatenate([a, b]), sides)
        assert (bounds <= similarities(METRICS[name], a, b, sides) + 1e-5).all()


@pytest.mark.parametrize("name", ["token", "js", "kl", "hellinger"])
def test_p_is_the_share_of_permutations_that_are_as_far_apart(name):
    seen = []
    for a, b in pairs():
        sides = random_sides(N_FOLDS, np.random.default_rng(1))
        plain = similarities(METRICS[name], a, b, sides)
        seen.append(p_of_exchange(METRICS[name], a, b, sides))
        assert seen[-1] == (plain <= plain[0] + 1e-12).mean()
    assert seen[0] > 0.05 and seen[2] == 1 / 200


def test_far_samples_are_decided_by_bounds(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("measured")

    monkeypatch.setattr("simtool.similarity.permutations.on_splits", refuse)
    rng = np.random.default_rng(0)
    a, b = sample(rng, 0, tokens=2_000), sample(rng, 2, tokens=2_000)
    assert p_of_exchange(METRICS["token"], a, b, random_sides(N_FOLDS, rng)) == 1 / 200


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
        "simtool.similarity.permutations.on_splits",
        lambda metrics, p, q, sides, threads: measured.append(len(sides)) or on_splits(metrics, p, q, sides),
    )
    p_of_exchange(METRICS["token"], a, b, sides)
    assert measured == [200]
