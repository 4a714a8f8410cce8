"""Samples of one size, drawn several times: what each draw holds, and that no seed decides."""

import numpy as np
import pytest

from simtool.mixture import Mixture
from simtool.prediction import samples
from simtool.prediction.advantage import advantage, measure
from simtool.prediction.question import Question
from simtool.prediction.samples import Shuffled, draws
from simtool.profiles.features import N_FOLDS
from tests.prediction.toys import C4, MIXTURES, corpus_of, zipf


def test_windows_take_each_symbol_equally_often():
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, (N_FOLDS, 50)) + 1
    shuffled = Shuffled.of(counts, rng)
    whole = shuffled.window(int(counts.sum()), 0.3, rng)
    np.testing.assert_array_equal(whole, counts)
    equal = np.full((N_FOLDS, 2), 100)  # 200 symbols in each fold: quarters of 50
    quarters = [Shuffled.of(equal, np.random.default_rng(1)).window(800, k / 4, rng) for k in range(4)]
    assert all((quarter.sum(axis=1) == 50).all() for quarter in quarters)
    np.testing.assert_array_equal(sum(quarters), equal)


def test_a_large_corpus_is_thinned_without_a_shuffle(monkeypatch):
    monkeypatch.setattr(samples, "MOST_SHUFFLED", 100)
    counts = np.full((N_FOLDS, 10), 7)
    rng = np.random.default_rng(0)
    thinned = Shuffled.of(counts, rng).window(160, 0.5, rng)
    assert (thinned.sum(axis=1) == 10).all() and (thinned <= counts).all()


def test_a_draw_has_equal_sizes_and_opposite_halves(corpora):
    question = Question(corpora, C4, MIXTURES, ("code", "prose"), resamples=45, tokens=9_000)
    parts = list(draws(question, "token"))
    assert len(parts) == samples.DRAWS and sum(len(draw.halves) for draw in parts) == 45
    for draw in parts:
        sizes = [*draw.sources.sum(axis=(1, 2)), *draw.targets.sum(axis=(1, 2))]
        np.testing.assert_allclose(sizes, 9_000, atol=2)  # of each share, the whole part
        of_sources, of_targets = draw.folds
        assert (of_sources[:, :N_FOLDS] != of_targets).all() and (of_sources[:, N_FOLDS:] == of_targets).all()
    controls = parts[0].sources[1 + len(MIXTURES) :]
    held_out = controls[:, N_FOLDS:].sum(axis=(1, 2)) / controls.sum(axis=(1, 2))
    np.testing.assert_allclose(held_out, [0.12, 0.2], atol=1e-3)


def test_a_mixture_and_its_control_share_what_is_of_the_pretraining_corpus(corpora):
    question = Question(corpora, C4, {"code": MIXTURES["code mix"]}, ("code",), resamples=5)
    draw = next(draws(question, "token"))
    _, mixture, control = draw.sources
    assert (control[:N_FOLDS] <= mixture[:N_FOLDS]).all() and not mixture[N_FOLDS:].any()


@pytest.fixture(scope="module")
def near() -> dict:
    """Two specialised corpora that bring C4 about equally close to the target; a tenth of each is read at a time."""
    shifts = {"c4": 0, "left": 40, "right": 44, "target": 42}
    return {name: corpus_of(name, zipf(shift), 8_000, seed) for seed, (name, shift) in enumerate(shifts.items())}


def spread_over_seeds(profiles: dict) -> float:
    mixtures = {name: Mixture({"c4": 0.9, name: 0.1}) for name in ("left", "right")}
    differences = []
    for seed in range(8):
        result = advantage(profiles, C4, mixtures, ["target"], "cross_entropy", "token", tokens=2_000, seed=seed)
        differences.append(result.value[0, 0] - result.value[1, 0])
    return float(np.std(differences))


def test_a_seed_decides_little(near, monkeypatch):
    """With one thinning for all resamples it moved the difference of two mixtures by more than its standard error."""
    spread = spread_over_seeds(near)
    monkeypatch.setattr(samples, "DRAWS", 1)
    assert spread < 0.5 * spread_over_seeds(near)


def test_the_draws_of_a_measurement_are_known(corpora):
    measured = measure(Question(corpora, C4, MIXTURES, ("code",), resamples=45), ["js"], "token")[0]
    assert measured.draw.tolist() == sorted(measured.draw) and len(set(measured.draw)) == samples.DRAWS
    # of D draws whose means are 0 and 1 in turn, the mean has the standard error sqrt(1/4 D / (D - 1)) / sqrt(D)
    values = (measured.draw % 2).astype(float)
    expected = np.sqrt(samples.DRAWS / (4 * (samples.DRAWS - 1)) / samples.DRAWS)
    assert measured.seed_error(values) == pytest.approx(expected)
