import subprocess
import sys
from math import log2, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance
from scipy.stats import entropy

from simtool.errors import SimtoolError
from simtool.similarity.metrics import ALIASES, METRICS, Metric, find_metric

every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


def value(name, p, q):
    return float(find_metric(name).compute(np.array(p, float), np.array(q, float)))


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


def entropy_bits(*shares):
    return -sum(share * log2(share) for share in shares)


# --- Values by hand: p = (1/2, 1/2), q = (3/4, 1/4), r = (1, 0), s = (0, 1) ---

p, q, r, s = (1 / 2, 1 / 2), (3 / 4, 1 / 4), (1, 0), (0, 1)
JS_PQ = entropy_bits(5 / 8, 3 / 8) - (1 + entropy_bits(3 / 4, 1 / 4)) / 2


@pytest.mark.parametrize(
    ("name", "first", "second", "expected"),
    [
        ("js", p, q, JS_PQ),  # m = (5/8, 3/8); JS = H(m) - (H(p) + H(q)) / 2, and H(p) = 1
        ("js", r, s, 1),  # one symbol tells everything: 1 bit
        ("js", p, r, entropy_bits(3 / 4, 1 / 4) - 1 / 2),  # m = (3/4, 1/4); H(p) = 1, H(r) = 0
        ("bhattacharyya", p, r, sqrt(1 / 2)),  # sqrt(1/2 * 1) + sqrt(1/2 * 0)
        ("bhattacharyya", p, q, (sqrt(3) + 1) / sqrt(8)),  # sqrt(3/8) + sqrt(1/8)
        ("hellinger", p, r, sqrt(1 - sqrt(1 / 2))),  # sqrt(1 - bhattacharyya)
        ("hellinger", r, s, 1),  # sqrt((1 + 1) / 2)
        ("cosine", p, r, sqrt(1 / 2)),  # p.r = 1/2; |p| = sqrt(1/2), |r| = 1
        ("cosine", p, q, 2 / sqrt(5)),  # p.q = 1/2; |p||q| = sqrt(1/2) sqrt(10/16) = sqrt(5)/4
        ("jaccard", p, r, 1 / 2),  # {1} of {1, 2}
        ("jaccard", (1 / 2, 1 / 2, 0, 0), (0, 1 / 2, 1 / 2, 0), 1 / 3),  # {2} of {1, 2, 3}; 4 is in neither
        ("overlap", p, q, 3 / 4),  # min(1/2, 3/4) + min(1/2, 1/4)
        ("total_variation", p, q, 1 / 4),  # (|1/2 - 3/4| + |1/2 - 1/4|) / 2
        ("token", r, s, 0.3 / (1 + np.log(2))),  # cosine 0, Jaccard 0, JSD ln 2 nats
        # cosine and JSD from above, with Jaccard {1} of {1, 2}; JSD in nats is ln 2 times that in bits
        (
            "token",
            p,
            r,
            0.4 * sqrt(1 / 2) + 0.3 / 2 + 0.3 / (1 + np.log(2) * (entropy_bits(3 / 4, 1 / 4) - 0.5)),
        ),
        # 0.99 (1, 0) + 0.01 (1/2, 1/2) = (.995, .005); r under s: .995 log2(.995/.005) + .005 log2(.005/.995)
        ("kl", s, r, 0.99 * log2(199)),
        # the target p smooths to itself; the source r to (.995, .005)
        ("cross_entropy", r, p, -(log2(0.995) + log2(0.005)) / 2),
        ("cross_entropy", p, r, 1),  # under (1/2, 1/2) every symbol costs 1 bit
        ("kl", p, r, 1 - entropy_bits(0.995, 0.005)),  # cross-entropy 1 less the smoothed target's entropy
        # percent: at a share of 1/2, 1 / sqrt(1 + 1/2 / 3e-6) is left; of what the source lacks, all
        ("exposure", p, p, 100 / sqrt(1 + 1 / 6e-6)),
        ("exposure", r, p, 100 * (1 / sqrt(1 + 1 / 3e-6) + 1) / 2),
        ("exposure", r, s, 100),
        # (1, 0) becomes (1 + e, e) / (1 + 2e), e = 1e-8; log-ratios to its mirror: +-log2((1 + e) / e)
        ("dsir_kl", s, r, log2((1 + 1e-8) / 1e-8) / (1 + 2e-8)),
    ],
)
def test_by_hand(name, first, second, expected):
    assert value(name, first, second) == pytest.approx(expected, abs=1e-12)


def test_directed_metrics_take_the_target_second():
    # the source lacks what the target has: dear. The source has more than the target: cheap
    for name in ("kl", "dsir_kl"):
        assert value(name, r, p) > value(name, p, r)


# --- References ---

REFERENCES = {
    "js": lambda p, q: distance.jensenshannon(p, q, base=2) ** 2,
    "hellinger": lambda p, q: distance.euclidean(np.sqrt(p), np.sqrt(q)) / sqrt(2),
    "cosine": lambda p, q: 1 - distance.cosine(p, q),
    "jaccard": lambda p, q: 1 - distance.jaccard(p > 0, q > 0),
    "total_variation": lambda p, q: distance.cityblock(p, q) / 2,
    "overlap": lambda p, q: 1 - distance.cityblock(p, q) / 2,
    "kl": lambda p, q: entropy(0.99 * q + 0.01 / len(q), 0.99 * p + 0.01 / len(p), base=2),
    "dsir_kl": lambda p, q: entropy(q + 1e-8, p + 1e-8, base=2),  # SciPy brings both to sum 1
    "cross_entropy": lambda p, q: (
        entropy(0.99 * q + 0.01 / len(q), base=2) + REFERENCES["kl"](p, q)
    ),  # H(q, p) = H(q) + KL(q || p)
}


@pytest.mark.parametrize("name", REFERENCES)
def test_agrees_with_scipy(name):
    first, second = zipf(2, 3_000)
    assert value(name, first, second) == pytest.approx(REFERENCES[name](first, second), rel=1e-10)


# --- Facts of the whole catalogue ---


def tolerance(dtype):
    return 1e-9 if dtype == np.float64 else 3e-5


@every_metric
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(rows=distributions(2))
@settings(max_examples=60, deadline=None)
def test_facts(metric: Metric, dtype, rows):
    first, second = rows.astype(dtype)
    here, back = metric.compute(first, second), metric.compute(second, first)
    assert metric.low <= here <= metric.high  # False for NaN as well
    if metric.symmetric:
        assert here == pytest.approx(back, abs=tolerance(dtype))
    itself = metric.compute(second, second)
    if metric.identity is not None:
        assert itself == pytest.approx(metric.identity, abs=tolerance(dtype))
    if metric.proper:
        assert metric.sign * itself >= metric.sign * here - tolerance(dtype)
    if metric.bias is not None:
        assert metric.bias(first, second, 1000, 100) >= 0


@every_metric
def test_facts_are_complete(metric):
    assert metric.about.endswith(".") and metric.limits.endswith(".") and metric.meaning.endswith(".")
    assert "1.23" in metric.meaning.format(a="c4", b="gsm8k", value="1.23", metric=metric.name)
    if metric.gain:
        metric.gain.format(target="t", mixture="m", pretrain="p", value="1", more_or_less="less")
    assert metric.source
    assert metric.sign == {"high": 1, "low": -1}[metric.alike]
    assert metric.low < metric.high
    far = metric.compute(np.array([1.0, 0, 0]), np.array([0, 0.5, 0.5]))
    near = metric.compute(np.array([0, 0.5, 0.5]), np.array([0, 0.5, 0.5]))
    assert (near > far) == (metric.alike == "high")
    one_way, other_way = (metric.compute(*pair) for pair in (zipf(2, 50), zipf(2, 50)[::-1]))
    assert (one_way == pytest.approx(other_way)) == metric.symmetric


@every_metric
def test_broadcasting_equals_the_loop(metric):
    left, right = zipf(6, 40, seed=1), zipf(12, 40, seed=2).reshape(4, 3, 40)
    together = metric.compute(left[:3], right)
    assert together.shape == (4, 3)
    for i in range(4):
        for j in range(3):
            assert together[i, j] == pytest.approx(metric.compute(left[j], right[i, j]), rel=1e-12)
    assert metric.compute(left[:, None], right[None, 0]).shape == (6, 3)


@every_metric
def test_float32_is_close_to_float64(metric):
    first, second = zipf(2, 200_000)
    single = metric.compute(first.astype(np.float32), second.astype(np.float32))
    assert single == pytest.approx(metric.compute(first, second), abs=2e-6, rel=2e-6)


@every_metric
def test_inputs_are_left_alone(metric):
    rows = zipf(4, 30)
    rows.flags.writeable = False
    metric.compute(rows[0], rows[1])


def test_find_metric():
    assert find_metric("js") is METRICS["js"]
    with pytest.raises(SimtoolError) as error:
        find_metric("cosin")
    assert str(error.value) == (
        "Unknown metric 'cosin'. Did you mean 'cosine'?\n"
        "Known: bhattacharyya, cosine, cross_entropy, dsir_kl, exposure, hellinger, jaccard, js, kl, overlap, "
        "size_free, token, total_variation."
    )


def test_importing_is_light():
    heavy = "{'scipy', 'torch', 'polars', 'matplotlib'}"
    code = f"import simtool.similarity.metrics, sys; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- Bias ---


def test_bias_of_js_by_hand():
    # p = q uniform over 4, n = 100 and 50: (4 - 1) / 8 (1/100 + 1/50) nats
    uniform = np.full(4, 1 / 4)
    expected = 3 / 8 * (1 / 100 + 1 / 50) / np.log(2)
    assert METRICS["js"].bias(uniform, uniform, 100, 50) == pytest.approx(expected)
    # nothing in common: no sample of either can change that, so no bias
    assert METRICS["js"].bias(np.array([1.0, 0]), np.array([0.0, 1]), 10, 10) == 0


@pytest.mark.parametrize(("n_p", "n_q"), [(2_000, 2_000), (500, 8_000), (8_000, 500)])
@pytest.mark.parametrize("same", [True, False])
def test_bias_of_js_by_sampling(n_p, n_q, same):
    """Means of 4,000 sample pairs from known sources: the correction takes nearly all of the bias away."""
    rng = np.random.default_rng(7)
    sources = rng.dirichlet(np.full(30, 3.0), size=2)
    first, second = sources[0], sources[0 if same else 1]
    js = METRICS["js"]
    seen_first = rng.multinomial(n_p, first, size=4_000) / n_p
    seen_second = rng.multinomial(n_q, second, size=4_000) / n_q
    raw = js.compute(seen_first, seen_second)
    corrected = raw - js.bias(seen_first, seen_second, n_p, n_q)
    truth = js.compute(first, second)
    bias = raw.mean() - truth
    assert bias > 5 * raw.std() / sqrt(len(raw))  # there is something to correct
    assert abs(corrected.mean() - truth) < 0.05 * bias + 3 * raw.std() / sqrt(len(raw))
    assert js.bias(first, second, n_p, n_q) == pytest.approx(bias, rel=0.1)


def test_bias_broadcasts_as_the_matrix_uses_it():
    rows, sizes = zipf(4, 20), np.array([100, 200, 300])
    together = METRICS["js"].bias(rows[0], rows[1:], 50, sizes)
    one_by_one = [METRICS["js"].bias(rows[0], rows[j + 1], 50, sizes[j]) for j in range(3)]
    np.testing.assert_allclose(together, one_by_one, rtol=1e-12)


def test_an_alias_is_the_metric_itself():
    assert find_metric("jsd") is find_metric("js")
    assert all(name not in METRICS and target in METRICS for name, target in ALIASES.items())
