"""Kernels agree with the definitions, on every row with every row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simtool.similarity import kernels
from simtool.similarity.kernels import pairwise
from simtool.similarity.metrics import METRICS, Metric

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


@pytest.mark.parametrize(
    ("places", "support"),
    [
        ([], slice(0, 0)),
        (range(3, 9), slice(3, 9)),
        ([3, 4, 5, 8], slice(3, 9)),  # 4 of 6: more than DENSE
        ([3, 12], [3, 12]),
        (range(0, 19, 2), slice(0, 20)),  # 19 of 20: more than WHOLE
    ],
)
def test_a_target_is_picked_where_that_saves_time(places, support):
    has = np.zeros(20, bool)
    has[list(places)] = True
    picked = kernels.picked(has)
    assert (picked == support) if isinstance(support, slice) else picked.tolist() == support
