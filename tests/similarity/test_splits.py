"""Kernels agree with the definitions, on half-splits of counts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from simtool.profiles.features import N_FOLDS
from simtool.similarity import kernels, metrics
from simtool.similarity import splits as module
from simtool.similarity.metrics import METRICS, Metric
from simtool.similarity.splits import FoldCounts, fast_order, of_counts, on_splits
from simtool.statistics import random_halves
from tests.similarity.test_kernels import CHEBYSHEV, every_metric


def counts_of(n_corpora, n_entries, seed, density=0.7):
    """float32 (n_corpora, N_FOLDS, n_entries), some entries of a corpus in none of its folds."""
    rng = np.random.default_rng(seed)
    rates = 40.0 / np.arange(1, n_entries + 1) * rng.lognormal(0, 1, (n_corpora, 1, n_entries))
    rates *= rng.random((n_corpora, 1, n_entries)) < density
    return rng.poisson(rates, (n_corpora, N_FOLDS, n_entries)).astype(np.float32)


@pytest.fixture(params=[False, True], ids=["tiles", "pairs"])
def way(request, monkeypatch):
    """The shares of all at once, or of each pair at the entries that both have."""
    fewest = 1 if request.param else 1_000
    monkeypatch.setattr(module, "PAIRED_TARGETS", fewest)
    monkeypatch.setattr(module, "PAIRED_SPLITS", fewest)


both_ways = pytest.mark.usefixtures("way")


def plainly(metric: Metric, sources: np.ndarray, targets: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Split by split, source by source, target by target, in float64."""
    values = np.zeros((len(splits), len(sources), len(targets)))
    for r, split in enumerate(splits):
        for i, source in enumerate(sources.astype(float)):
            for j, target in enumerate(targets.astype(float)):
                first, second = source[split].sum(axis=0), target[~split].sum(axis=0)
                p, q = first / first.sum(), second / second.sum()
                value = metric.compute(p, q)
                if metric.bias is not None:
                    value = value - metric.bias(p, q, first.sum(), second.sum())
                values[r, i, j] = np.clip(value, metric.low, metric.high)
    return values


@both_ways
@every_metric
def test_every_metric_agrees_with_its_own_compute(metric):
    sources, targets, splits = (
        counts_of(3, 400, 1),
        counts_of(2, 400, 2),
        random_halves(16, 20, np.random.default_rng(0)),
    )
    (values,) = on_splits([metric], sources, targets, splits)
    np.testing.assert_allclose(values, plainly(metric, sources, targets, splits), atol=1e-5)


@both_ways
@every_metric
def test_sparse_counts_in_several_tiles(metric, monkeypatch):
    """Targets that have few of the entries, entries that nobody has, and tiles that end in the middle."""
    monkeypatch.setattr(module, "TILE_COLUMNS", 16)
    monkeypatch.setattr(module, "TILE_SPLITS", 3)
    monkeypatch.setattr(module, "PAIR_COLUMNS", 6)
    rng = np.random.default_rng(0)
    sources = (rng.poisson(2, (3, N_FOLDS, 100)) * (rng.random((3, 1, 100)) < 0.5)).astype(np.float32)
    targets = (rng.poisson(2, (2, N_FOLDS, 100)) * (rng.random((2, 1, 100)) < 0.2)).astype(np.float32)
    sources[:, :, 90:], targets[:, :, 90:] = 0, 0
    splits = np.argsort(rng.random((7, N_FOLDS)), axis=1) < N_FOLDS // 2
    (values,) = on_splits([metric], sources, targets, splits, threads=2)
    np.testing.assert_allclose(values, plainly(metric, sources, targets, splits), atol=1e-5)


@both_ways
@every_metric
def test_folds_may_be_left_out_of_both_sides(metric):
    sources, targets = counts_of(2, 200, 3), counts_of(3, 200, 4)
    first = random_halves(16, 4, np.random.default_rng(1))
    second = ~first
    first[:, 5] = second[:, 5] = False
    without = [np.delete(counts, 5, axis=1) for counts in (sources, targets)]
    (values,) = on_splits([metric], sources, targets, first, second)
    (expected,) = on_splits([metric], *without, np.delete(first, 5, axis=1))
    np.testing.assert_allclose(values, expected, atol=2e-5)


@both_ways
@every_metric
def test_held_out_parts_are_measured_on_the_folds_of_the_targets(metric):
    """As if they were more folds, of which the targets have nothing."""
    sources, targets, held_out = counts_of(3, 200, 3), counts_of(2, 200, 4), counts_of(1, 200, 5)
    halves = random_halves(16, 4, np.random.default_rng(1))
    both = np.concatenate([sources, np.zeros_like(sources)], axis=1)
    both[2:, N_FOLDS:] = held_out
    (expected,) = on_splits([metric], both, targets, np.hstack([halves, ~halves]), ~halves)
    in_target = targets.any(axis=1)
    order = fast_order(in_target, (sources.any(axis=1) | held_out.any(axis=1)).any(axis=0))
    counts = [of[..., order] for of in (sources, held_out, targets)]
    in_order = FoldCounts(*counts, in_target[:, order], tuple(of.sum(axis=2) for of in counts), 200)
    (values,) = of_counts([metric], in_order, halves, ~halves)
    np.testing.assert_allclose(values, expected, atol=2e-6)


@given(st.integers(1, 4).flatmap(lambda m: st.lists(st.lists(st.booleans(), min_size=m, max_size=m), min_size=1)))
def test_in_fast_order_one_target_joins_or_leaves_at_a_time(entries):
    in_target = np.array(entries).T
    in_source = np.arange(len(entries)) % 2 == 0
    order = fast_order(in_target, in_source)
    assert sorted(order) == np.flatnonzero(in_target.any(axis=0) | in_source).tolist()
    # the reflected Gray code of all sets: prefix 1 before the order of the rest, then 0 before it backwards
    code = [()]
    for _ in in_target:
        code = [(True, *rest) for rest in reversed(code)][::-1] + [(False, *rest) for rest in code[::-1]]
    places = [code.index(tuple(row)) for row in in_target[:, order].T.tolist()]
    assert places == sorted(places)


def test_sums_over_pairs_look_only_at_the_entries_that_both_have(monkeypatch):
    """With and without a part held out; PAIR_COLUMNS of them at a time."""
    monkeypatch.setattr(module, "PAIR_COLUMNS", 4)
    looked_at = []

    def n_entries(pairs):
        looked_at.append(pairs.both.shape)
        assert (pairs.both > 0).all()  # where neither has any on its side of a split, too
        return np.full(len(pairs.both), pairs.both.shape[1])

    sources, targets, held_out = (
        np.zeros((2, 4, 20), np.float32),
        np.zeros((1, 4, 20), np.float32),
        np.zeros((1, 4, 20)),
    )
    sources[0, 1, :9] = sources[1, 1, :2] = targets[0, 2, 4:] = 1
    held_out[0, 1, 10:12] = 1
    sizes = tuple(of.sum(axis=2) for of in (sources, held_out, targets))
    counts = FoldCounts(sources, held_out.astype(np.float32), targets, targets.any(axis=1), sizes, 20)
    shares = module.FoldShares(*(np.ones((len(of), 3, 4), np.float32) for of in (sources, held_out, targets)))
    sums = module.sum_pairs([kernels.Kernel(None, pairs=(n_entries,))], counts, shares, threads=1)
    np.testing.assert_array_equal(sums[n_entries], [[[5], [2]]] * 3)  # 4 to 8, and 10 and 11
    assert looked_at == [(3, 4), (3, 1), (3, 2)]


@both_ways
@every_metric
def test_threads_change_no_bit(metric):
    sources, targets = counts_of(5, 300, 3), counts_of(4, 300, 4)
    splits = random_halves(16, 30, np.random.default_rng(1))
    (values,), (others,) = (on_splits([metric], sources, targets, splits, threads=threads) for threads in (1, 8))
    assert values.tobytes() == others.tobytes()


@both_ways
def test_js_is_accurate_where_a_tile_has_frequent_entries_that_a_target_lacks():
    """One product over each target's entries, which adds up in order and in float32, was 5e-6 off."""
    sources, targets = 30 * counts_of(3, 500, 1, density=1), 30 * counts_of(3, 500, 2, density=1)
    targets[0, :, 450:] = targets[1, :, :50] = 0
    splits = random_halves(16, 20, np.random.default_rng(0))
    (values,) = on_splits([METRICS["js"]], sources, targets, splits)
    np.testing.assert_allclose(values, plainly(METRICS["js"], sources, targets, splits), atol=2e-6)


def test_js_of_pairs_is_accurate_where_a_few_splits_have_many_entries_at_once(monkeypatch):
    """Added up in float32 over all of 6,553 entries, it was 1.5e-5 off."""
    monkeypatch.setattr(module, "PAIRED_TARGETS", 1)
    monkeypatch.setattr(module, "PAIRED_SPLITS", 1)
    counts = np.random.default_rng(0).poisson(4000 / np.arange(1, 20_001), (2, N_FOLDS, 20_000)).astype(np.float32)
    splits = random_halves(16, 3, np.random.default_rng(0))
    (values,) = on_splits([METRICS["js"]], counts, counts, splits)
    np.testing.assert_allclose(values, plainly(METRICS["js"], counts, counts, splits), atol=2e-6)


def test_a_definition_sees_the_entries_that_nobody_has():
    def unseen(p, q):
        return np.mean(p == 0, axis=-1) + 0 * q.sum(axis=-1)

    own = Metric("own", "", unseen, 0, 1, "high", 1, True, "")
    counts = np.array([[[1, 0, 0, 1]] * 2], np.float32)
    (values,) = on_splits([own], counts, counts, np.array([[True, False]]))
    assert values.item() == 0.5


def test_blocks_of_splits_are_even():
    blocks = [block.stop - block.start for block in module._even_blocks(50, 8)]
    assert blocks == [7, 7, 7, 7, 7, 7, 8] and module._even_blocks(8, 8) == [slice(0, 8)]


def test_a_metric_without_a_kernel_goes_by_its_definition():
    def root(p, q):
        return np.sqrt(metrics.overlap(p, q))

    own = Metric("own", "", root, 0, 1, "high", 1, True, "", bias=lambda p, q, n_p, n_q: 1 / n_p + 1 / n_q)
    sources, targets, splits = (
        counts_of(3, 100, 5),
        counts_of(2, 100, 6),
        random_halves(16, 3, np.random.default_rng(0)),
    )
    (values,) = on_splits([own], sources, targets, splits)
    np.testing.assert_allclose(values, plainly(own, sources, targets, splits), atol=1e-6)


def test_blas_leaves_the_threads_of_many_splits_to_the_pool(monkeypatch):
    seen = []

    def dot_and_threads(tile):
        seen.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        return kernels.dot(tile)

    formula = kernels.Kernel(lambda sums: sums[dot_and_threads], (dot_and_threads,))
    metric = replace(CHEBYSHEV, kernel=formula)
    counts = np.ones((2, 4, 5), np.float32)
    splits = np.tile([True, True, False, False], (2 * module.TILE_SPLITS, 1))
    with threadpool_limits(3, "blas"):
        on_splits([metric], counts, counts, splits)
    assert set(seen) == {1}
