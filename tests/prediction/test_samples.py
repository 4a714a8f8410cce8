"""Samples of one size, drawn several times: what each draw holds, and that no seed decides."""

import numpy as np
import pytest

from simtool.mixture import Mixture
from simtool.prediction import samples
from simtool.prediction.advantage import advantage, measure
from simtool.prediction.question import Part, Question
from simtool.prediction.samples import CorpusSample, Shuffled, Take, draws
from simtool.profiles.features import N_FOLDS
from tests.prediction.toys import C4, MIXTURES, corpus_of, zipf


def counted(window: CorpusSample, V: int) -> np.ndarray:
    """Its counts, (N_FOLDS, V), the entries in their own order."""
    counts = np.zeros((N_FOLDS, V), np.float32)
    for fold, of_fold in enumerate(counts):
        window.add_to(of_fold, fold, np.arange(V), np.arange(V))
    np.testing.assert_array_equal(window.sizes, counts.sum(axis=1))
    has = np.zeros(V, bool)
    window.mark(has)
    np.testing.assert_array_equal(has, counts.any(axis=0))
    return counts


def test_windows_take_each_symbol_equally_often():
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, (N_FOLDS, 50)) + 1
    shuffled = Shuffled.of(counts, rng)
    whole = counted(shuffled.window(int(counts.sum()), 0.3, rng), 50)
    np.testing.assert_array_equal(whole, counts)
    equal = np.full((N_FOLDS, 2), 100)  # 200 symbols in each fold: quarters of 50
    shuffled = Shuffled.of(equal, np.random.default_rng(1))
    quarters = [counted(shuffled.window(800, k / 4, rng), 2) for k in range(4)]
    assert all((quarter.sum(axis=1) == 50).all() for quarter in quarters)
    np.testing.assert_array_equal(sum(quarters), equal)


def test_a_large_corpus_is_thinned_without_a_shuffle(monkeypatch):
    monkeypatch.setattr(samples, "MOST_SHUFFLED", 100)
    counts = np.full((N_FOLDS, 10), 7)
    rng = np.random.default_rng(0)
    thinned = counted(Shuffled.of(counts, rng).window(160, 0.5, rng), 10)
    assert (thinned.sum(axis=1) == 10).all() and (thinned <= counts).all()


def test_a_draw_has_equal_sizes_and_opposite_halves(corpora):
    question = Question(corpora, C4, MIXTURES, ("code", "prose"), resamples=45, tokens=9_000)
    n_splits = []
    for draw in draws(question, "token"):
        n_splits.append(len(draw.halves))
        counts = draw.counts
        for of_fold, sizes in zip((counts.sources, counts.held_out, counts.targets), counts.sizes, strict=True):
            np.testing.assert_array_equal(of_fold.sum(axis=2), sizes)
        of_samples = [*counts.sizes_of_sources.sum(axis=1), *counts.sizes[2].sum(axis=1)]
        np.testing.assert_allclose(of_samples, 9_000, atol=2)  # of each share, the whole part
        np.testing.assert_array_equal(counts.in_target, counts.targets.any(axis=1))
        assert (counts.sources.any(axis=(0, 1)) | counts.held_out.any(axis=(0, 1)) | counts.in_target.any(axis=0)).all()
        np.testing.assert_allclose(counts.held_out.sum(axis=(1, 2)) / 9_000, [0.12, 0.2], atol=1e-3)
    assert len(n_splits) == samples.DRAWS and sum(n_splits) == 45


def test_a_mixture_and_its_control_share_what_is_of_the_pretraining_corpus(corpora):
    question = Question(corpora, C4, {"code": MIXTURES["code mix"]}, ("code",), resamples=5)
    counts = next(draws(question, "token")).counts
    _, mixture, control = counts.sources
    assert (control <= mixture).all() and control.any() and counts.held_out.any()
    assert counts.with_held_out == slice(2, 3)


def test_a_large_corpus_is_thinned_once_for_a_mixture_and_its_control(corpora, monkeypatch):
    monkeypatch.setattr(samples, "MOST_SHUFFLED", 100)
    question = Question(corpora, C4, {"code": MIXTURES["code mix"]}, ("code",), resamples=5)
    _, mixture, control = next(draws(question, "token")).counts.sources
    assert (control <= mixture).all() and control.any()


def test_the_counts_of_a_draw_are_the_sum_of_its_windows():
    windows = {
        Take(Part("a"), 3): CorpusSample([np.array([0, 2])] * N_FOLDS),
        Take(Part("b"), 4): CorpusSample([np.array([2])] * N_FOLDS),
    }
    target = Take(Part("t"), 1)
    windows[target] = CorpusSample([np.array([4])] * N_FOLDS)
    a, b = list(windows)[:2]
    memory = np.full((3, N_FOLDS, 5), np.nan, np.float32)
    counts = samples._count(([[a, b]], [[b]], [[target]]), windows, 7, memory)
    # of entries 0 to 4, 1 and 3 are nobody's; the target's comes first
    np.testing.assert_array_equal(counts.targets[0, 0], [1, 0, 0])
    np.testing.assert_array_equal(counts.sources[0, 0], [0, 1, 2])
    np.testing.assert_array_equal(counts.held_out[0, 0], [0, 0, 1])
    assert counts.dimension == 7 and counts.sizes_of_sources[0, 0] == 4


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
