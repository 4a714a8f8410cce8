"""Kernels agree with the definitions: every row with every row, and every source with every target on half-splits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from simtool.profiles.features import N_FOLDS
from simtool.similarity import kernels, metrics
from simtool.similarity.kernels import FoldCounts, fast_order, of_counts, on_splits, pairwise
from simtool.similarity.metrics import METRICS, Metric
from simtool.statistics import random_halves

every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
CHEBYSHEV = Metric(
    "chebyshev",
    "Largest difference.",
    lambda p, q: np.abs(p - q).max(axis=-1),
    low=0,
    high=1,
    alike="low",
    identity=0,
    symmetric=True,
    source="here",
)


def zipf(n_rows, n_entries, seed=0, dtype=np.float64):
    """Distributions like those of corpora: Zipf's law, each row bent its own way, 30% unseen."""
    rng = np.random.default_rng(seed)
    shares = rng.lognormal(0, 1.5, (n_rows, n_entries)) / np.arange(1, n_entries + 1)
    shares *= rng.random((n_rows, n_entries)) < 0.7
    return (shares / shares.sum(axis=1, keepdims=True)).astype(dtype)


@st.composite
def distributions(draw, n_rows):
    """(n_rows, V) distributions with many exact zeros; V from 1 to 8."""
    n_entries = draw(st.integers(1, 8))
    # shares between 1e-12 (one symbol of a trillion) and 1
    share = st.one_of(st.just(0.0), st.floats(1e-12, 1), st.integers(1, 5).map(float))
    row = st.lists(share, min_size=n_entries, max_size=n_entries).filter(lambda values: sum(values) > 0)
    rows = np.array(draw(st.lists(row, min_size=n_rows, max_size=n_rows)))
    return rows / rows.sum(axis=1, keepdims=True)


def test_every_catalogue_metric_has_a_kernel():
    assert all(metric.kernel for metric in METRICS.values())
    assert all(metric.bias_kernel for metric in METRICS.values() if metric.bias)


# --- Every pair ---


def loop(metric, P, Q):
    """The slow way is the specification."""
    return np.array([[metric.compute(first, second) for second in Q] for first in P])


def precision(metric):
    """What pairwise promises."""
    return {"js": 2e-6, "size_free": 2e-6, "token": 2e-6, "hellinger": 1e-7}.get(metric.name, 1e-12)


@every_metric
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [None, 1])
def test_pairwise_equals_the_loop(metric, dtype, threads, monkeypatch):
    monkeypatch.setattr(kernels, "ROW_COLUMNS", 128)  # several tiles and blocks of rows, with a rest each
    monkeypatch.setattr(kernels, "PAIR_BYTES", 4 * 128 * 5)
    P, Q = zipf(23, 300, seed=3, dtype=dtype), zipf(11, 300, seed=4, dtype=dtype)
    for other in (Q, None):
        values = pairwise(metric, P, other, threads)
        assert values.dtype == np.float64
        right = P if other is None else other
        expected = loop(metric, P.astype(np.float64), right.astype(np.float64))
        np.testing.assert_allclose(values, expected, rtol=0, atol=3e-6 if dtype == np.float32 else precision(metric))


@every_metric
@given(rows=distributions(4))
@settings(max_examples=25, deadline=None)
def test_pairwise_on_odd_distributions(metric, rows):
    values = pairwise(metric, rows)
    np.testing.assert_allclose(values, loop(metric, rows, rows), rtol=0, atol=precision(metric))
    assert (values >= metric.low).all() and (values <= metric.high).all()
    if metric.symmetric:
        assert (values == values.T).all()
    if metric.identity is not None:
        assert (np.diagonal(values) == metric.identity).all()


def test_pairwise_js_is_accurate_at_full_size():
    P = zipf(12, 50_000)
    js = METRICS["js"]
    np.testing.assert_allclose(pairwise(js, P), loop(js, P, P), rtol=0, atol=precision(js))


def test_pairwise_hellinger_of_rounded_rows_with_themselves():
    # rows in float32 sum to 1 within 1e-7 only: 1 - bhattacharyya would give a distance of some 1e-4
    P = zipf(5, 1_000, dtype=np.float32)
    assert np.diagonal(pairwise(METRICS["hellinger"], P, P)).max() < 1e-7


def test_pairwise_of_a_metric_without_a_kernel():
    P = zipf(70, 90)
    np.testing.assert_array_equal(pairwise(CHEBYSHEV, P), loop(CHEBYSHEV, P, P))


@every_metric
def test_inputs_are_left_alone(metric):
    rows = zipf(4, 30)
    rows.flags.writeable = False
    pairwise(metric, rows)
    pairwise(metric, rows, rows)


# --- Every source with every target, on half-splits ---


def counts_of(n_corpora, n_entries, seed, density=0.7):
    """float32 (n_corpora, N_FOLDS, n_entries), some entries of a corpus in none of its folds."""
    rng = np.random.default_rng(seed)
    rates = 40.0 / np.arange(1, n_entries + 1) * rng.lognormal(0, 1, (n_corpora, 1, n_entries))
    rates *= rng.random((n_corpora, 1, n_entries)) < density
    return rng.poisson(rates, (n_corpora, N_FOLDS, n_entries)).astype(np.float32)


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


@every_metric
def test_every_metric_agrees_with_its_own_compute(metric):
    sources, targets, splits = (
        counts_of(3, 400, 1),
        counts_of(2, 400, 2),
        random_halves(16, 20, np.random.default_rng(0)),
    )
    (values,) = on_splits([metric], sources, targets, splits)
    np.testing.assert_allclose(values, plainly(metric, sources, targets, splits), atol=1e-5)


@every_metric
def test_sparse_counts_in_several_tiles(metric, monkeypatch):
    """Targets that have few of the entries, entries that nobody has, and tiles that end in the middle."""
    monkeypatch.setattr(kernels, "TILE_COLUMNS", 16)
    monkeypatch.setattr(kernels, "TILE_SPLITS", 3)
    rng = np.random.default_rng(0)
    sources = (rng.poisson(2, (3, N_FOLDS, 100)) * (rng.random((3, 1, 100)) < 0.5)).astype(np.float32)
    targets = (rng.poisson(2, (2, N_FOLDS, 100)) * (rng.random((2, 1, 100)) < 0.2)).astype(np.float32)
    sources[:, :, 90:], targets[:, :, 90:] = 0, 0
    splits = np.argsort(rng.random((7, N_FOLDS)), axis=1) < N_FOLDS // 2
    (values,) = on_splits([metric], sources, targets, splits, threads=2)
    np.testing.assert_allclose(values, plainly(metric, sources, targets, splits), atol=1e-5)


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


def test_js_is_accurate_where_a_tile_has_frequent_entries_that_a_target_lacks():
    """The product that sums p log p over a target's entries added up in order, in float32, and was 7e-6 off."""
    sources, targets = counts_of(3, 1_000, 1, density=1), counts_of(3, 1_000, 2, density=1)
    targets[0, :, 900:] = targets[1, :, :100] = 0
    splits = random_halves(16, 20, np.random.default_rng(0))
    (values,) = on_splits([METRICS["js"]], sources, targets, splits)
    np.testing.assert_allclose(values, plainly(METRICS["js"], sources, targets, splits), atol=1e-6)


def test_a_definition_sees_the_entries_that_nobody_has():
    def unseen(p, q):
        return np.mean(p == 0, axis=-1) + 0 * q.sum(axis=-1)

    own = Metric("own", "", unseen, 0, 1, "high", 1, True, "")
    counts = np.array([[[1, 0, 0, 1]] * 2], np.float32)
    (values,) = on_splits([own], counts, counts, np.array([[True, False]]))
    assert values.item() == 0.5


def test_blocks_of_splits_are_even():
    blocks = [block.stop - block.start for block in kernels._even_blocks(50, 8)]
    assert blocks == [7, 7, 7, 7, 7, 7, 8] and kernels._even_blocks(8, 8) == [slice(0, 8)]


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
    splits = np.tile([True, True, False, False], (2 * kernels.TILE_SPLITS, 1))
    with threadpool_limits(3, "blas"):
        on_splits([metric], counts, counts, splits)
    assert set(seen) == {1}
