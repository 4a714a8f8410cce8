"""CKA is blind to rotation and scale, and tells unrelated from alike, also with few probes; probes are own tokens."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from simtool.errors import SimtoolError  # noqa: E402
from simtool.evaluation.representations import (  # noqa: E402
    Hidden,
    debiased_cka,
    hidden_states,
    hsic,
    hsic_sums,
    layer_changes,
)
from simtool.training.checkpoints import export_checkpoint  # noqa: E402
from simtool.training.model import FromTransformers, build_model  # noqa: E402
from simtool.training.trainer import Execution, train  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import toys  # noqa: E402


def normal(seed: int, n: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width))


def naive_hsic(x: np.ndarray, y: np.ndarray) -> float:
    """Song et al. (2012), equation 4, with the Gram matrices written out."""
    K, L, n, one = x @ x.T, y @ y.T, len(x), np.ones(len(x))
    np.fill_diagonal(K, 0)
    np.fill_diagonal(L, 0)
    last = 2 / (n - 2) * (one @ K @ L @ one)
    return (np.trace(K @ L) + (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2)) - last) / (n * (n - 3))


def naive_cka(x: np.ndarray, y: np.ndarray) -> float:
    return naive_hsic(x, y) / np.sqrt(naive_hsic(x, x) * naive_hsic(y, y))


def biased_cka(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(0), y - y.mean(0)
    return ((x.T @ y) ** 2).sum() / np.sqrt(((x.T @ x) ** 2).sum() * ((y.T @ y) ** 2).sum())


def test_four_probes_by_hand():
    # x = (1, 1, -1, -1), y = (1, -1, -1, 1), n = 4. Off the diagonal: K12 = K34 = 1, the rest -1, so each row of K
    # sums to -1; L14 = L23 = 1, the rest -1, rows -1. tr(KL) = sum K_ij L_ij = 2 (-1 -1 + 1 + 1 -1 -1) = -4, over the
    # pairs 12, 14, 13, 24, 23, 34. 1'K1 = 1'L1 = -4; 1'KL1 = 4.
    # HSIC(x, y) = (-4 + 16 / 6 - 4) / 4 = -4/3; HSIC(x, x): tr(KK) = 12, so (12 + 16 / 6 - 4) / 4 = 8/3. CKA = -1/2.
    x, y = np.array([[1.0], [1], [-1], [-1]]), np.array([[1.0], [-1], [-1], [1]])
    assert naive_hsic(x, y) == pytest.approx(-4 / 3) and naive_hsic(x, x) == pytest.approx(8 / 3)
    assert debiased_cka(x, y) == pytest.approx(-1 / 2)


@pytest.mark.parametrize(("n", "d", "e"), [(5, 1, 2), (12, 7, 3), (60, 16, 16)])
def test_the_sums_are_the_gram_matrices(n, d, e):
    x, y = normal(n, n, d), normal(n + 1, n, e)
    y[:, 0] += x[:, 0]
    assert debiased_cka(x + 30, y - 4) == pytest.approx(naive_cka(x, y), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(8, 40), width=st.integers(1, 7), shift=st.floats(-100, 100))
def test_what_cka_does_not_see_and_where_it_lies(seed, n, width, shift):
    x, y = normal(seed, n, width), normal(seed + 1, n, width)
    turned, _ = np.linalg.qr(normal(seed + 2, width, width))
    value = debiased_cka(x, y)
    assert -1 <= value <= 1
    assert debiased_cka(3.7 * x @ turned + shift, y) == pytest.approx(value, abs=1e-7)
    assert debiased_cka(y, x) == pytest.approx(value, abs=1e-9)
    assert debiased_cka(x, -0.2 * x @ turned) == pytest.approx(1.0, abs=1e-7)


def test_unrelated_representations_are_near_zero_where_the_usual_cka_is_not():
    pairs = [(normal(2 * i, 40, 30), normal(2 * i + 1, 40, 30)) for i in range(200)]
    debiased, biased = (np.array([cka(x, y) for x, y in pairs]) for cka in (debiased_cka, biased_cka))
    assert abs(debiased.mean()) < 3 * debiased.std() / np.sqrt(200) < 0.02
    assert biased.min() > 0.3


def naive_hsic_of_documents(x: np.ndarray, y: np.ndarray, documents: np.ndarray) -> float:
    """The three means over probes of different documents, written out."""
    K, L, n = x @ x.T, y @ y.T, len(x)
    distinct = lambda *probes: len({documents[p] for p in probes}) == len(probes)  # noqa: E731
    pairs = [K[i, j] * L[i, j] for i, j in itertools.permutations(range(n), 2) if distinct(i, j)]
    triples = [K[i, j] * L[i, q] for i, j, q in itertools.permutations(range(n), 3) if distinct(i, j, q)]
    quadruples = [K[i, j] * L[q, r] for i, j, q, r in itertools.permutations(range(n), 4) if distinct(i, j, q, r)]
    return float(np.mean(pairs) + np.mean(quadruples) - 2 * np.mean(triples))


def test_pairs_of_one_document_are_left_out():
    documents = np.array([0, 0, 0, 1, 2, 2, 3, 4, 4, 5])
    x, y = normal(0, 10, 2), normal(1, 10, 3)
    y[:, 0] += x[:, 0]
    expected = naive_hsic_of_documents(x, y, documents)
    assert hsic(hsic_sums(x, y, documents)) == pytest.approx(expected, abs=1e-12)


def test_unrelated_representations_of_few_documents_are_near_zero():
    # tokens of a document share 80% of their variance in x, and in y, independently. Counted with the pairs of one
    # document, unrelated representations have a CKA of .1: tokens of one document are alike in both.
    documents, values, with_pairs = np.repeat(np.arange(64), 8), [], []
    for seed in range(60):
        x, y = (2 * normal(2 * seed + k, 64, 8)[documents] + normal(999 + 2 * seed + k, 512, 8) for k in (0, 1))
        values.append(debiased_cka(x, y, documents))
        with_pairs.append(debiased_cka(x, y))
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60) < 0.03
    assert np.mean(with_pairs) > 0.05
    shuffled = np.random.default_rng(0).permutation(512)  # a document's probes need not stand side by side
    assert debiased_cka(x[shuffled], y[shuffled], documents[shuffled]) == pytest.approx(values[-1])


def test_layers_that_have_nothing_in_common_but_their_documents():
    documents, covered, values = np.repeat(np.arange(128), 6), 0, []
    for seed in range(40):
        x, y = (normal(2 * seed + k, 128, 4)[documents] + normal(999 + 2 * seed + k, 768, 4) for k in (0, 1))
        (change,) = layer_changes(of_documents([x], 128), of_documents([y], 128), resamples=100)
        values.append(change.cka)
        covered += change.cka_low <= 0 <= change.cka_high
    assert abs(np.mean(values)) < 0.01 and covered >= 35  # 38 expected


def test_too_few_probes_are_told():
    with pytest.raises(SimtoolError, match=r"more probes than dimensions. Got 16 probes of 16 dimensions"):
        debiased_cka(normal(0, 16, 16), normal(1, 16, 16))
    with pytest.raises(SimtoolError, match=r"the same probes in two models. Got 20 and 30"):
        debiased_cka(normal(0, 20, 3), normal(1, 30, 3))
    with pytest.raises(SimtoolError, match=r"probes of 4 documents at least. Got 2"):
        debiased_cka(normal(0, 20, 3), normal(1, 20, 3), np.arange(20) // 10)
    with pytest.raises(SimtoolError, match="hardly varies over the probes"):
        debiased_cka(np.ones((20, 3)), normal(1, 20, 3))


def of_documents(layers: list[np.ndarray], n_documents: int) -> Hidden:
    documents = np.repeat(np.arange(n_documents), len(layers[0]) // n_documents)
    return Hidden("web", "train", tuple(layers), documents, np.arange(n_documents, dtype=np.uint64))


def test_distortion_by_hand():
    # every probe moves by 0.5 in each of 4 dimensions: root mean square 1; their spread about the mean is |x - mean|
    x = normal(0, 640, 4)
    (change,) = layer_changes(of_documents([x], 128), of_documents([x + 0.5], 128))
    assert change.cka == pytest.approx(1.0)
    assert change.distortion == pytest.approx(1 / np.sqrt(((x - x.mean(0)) ** 2).sum(1).mean()))
    assert change.n_probes == 640 and change.n_documents == 128


def test_intervals_cover_what_they_should_when_tokens_of_a_document_are_alike():
    # y = x + noise of the same size: population CKA 2 identical dims: HSIC(x, y) = 2, HSIC(y, y) = 2 * 2^2,
    # so 2 / sqrt(2 * 8) = 1/2. Tokens of a document are copies, so that an interval over tokens would be half as wide.
    covered, widths = 0, []
    for seed in range(100):
        x = np.repeat(normal(seed, 128, 2), 4, axis=0)
        y = x + np.repeat(normal(seed + 1000, 128, 2), 4, axis=0)
        (change,) = layer_changes(of_documents([x], 128), of_documents([y], 128), resamples=100)
        covered += change.cka_low <= 0.5 <= change.cka_high
        widths.append(change.cka_high - change.cka_low)
    assert 88 <= covered <= 100  # 95 expected; 88 is three standard errors below
    assert np.mean(widths) < 0.35


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(toys.recipe(), toys.STORES, tmp_path_factory.mktemp("run"), Execution("cpu"))


def test_probes_are_the_documents_own_tokens_whatever_lies_beside_them(trained):
    store = toys.STORES["web"]
    hidden = hidden_states(trained.checkpoint, store, 20, tokens_per_document=12)
    lengths = np.minimum(np.diff(store.offsets[:21]), 12)
    assert (np.bincount(hidden.documents) == lengths).all() and (hidden.hashes == store.hashes[:20]).all()
    assert len(hidden.layers) == 3 and {layer.shape for layer in hidden.layers} == {(lengths.sum(), 32)}
    model = build_model("tiny", toys.VOCABULARY, 0)
    model.load_state_dict(module_state(trained.checkpoint))
    for d in (0, 7, 19):  # each alone, with no padding
        ids = torch.tensor([[0, *store.document(d)[: lengths[d]].astype(int)]])
        with torch.no_grad():
            embedded, last = model.gpt_neox.embed_in(ids)[0, 1:], model.hidden(ids)[0, 1:]
        assert np.allclose(hidden.layers[0][hidden.documents == d], embedded, atol=1e-6)
        assert np.allclose(hidden.layers[-1][hidden.documents == d], last, atol=1e-5)


def module_state(checkpoint: Path) -> dict:
    from simtool.training.model import load_model

    return load_model(checkpoint).state_dict()


def test_layers_are_those_of_transformers(trained, tmp_path):
    transformers = pytest.importorskip("transformers")
    folder = export_checkpoint(trained.checkpoint, tmp_path, None, None)
    theirs = FromTransformers(transformers.AutoModelForCausalLM.from_pretrained(folder))
    ours, other = (hidden_states(model, toys.STORES["code"], 30, 20, 32) for model in (folder, theirs))
    assert len(ours.layers) == len(other.layers)
    for a, b in zip(ours.layers, other.layers, strict=True):
        assert np.allclose(a, b, atol=1e-4)


def test_a_model_is_itself_and_another_is_not(trained):
    store = toys.STORES["web"]
    before = hidden_states(trained.checkpoint, store)
    other = hidden_states(build_model("tiny", toys.VOCABULARY, 5), store)
    for change in layer_changes(before, before, resamples=50):
        assert change.cka == pytest.approx(1.0) and change.cka_low == pytest.approx(1.0) and change.distortion == 0
    changes = layer_changes(before, other, resamples=50)
    assert [change.layer for change in changes] == [0, 1, 2]
    assert all(change.cka_low < change.cka < change.cka_high and change.cka < 0.95 for change in changes)
    again = layer_changes(before, other, resamples=50)
    assert all((a.cka_draws == b.cka_draws).all() for a, b in zip(changes, again, strict=True))


def test_what_cannot_be_compared_is_told(trained):
    store = toys.STORES["web"]
    one, two = (hidden_states(trained.checkpoint, store, n) for n in (80, 100))
    with pytest.raises(SimtoolError, match="read different probes"):
        layer_changes(one, two)
    few = hidden_states(trained.checkpoint, store, 40)
    with pytest.raises(SimtoolError, match=r"40 documents are too few for an interval. Give at least 64"):
        layer_changes(few, few)
    with pytest.raises(SimtoolError, match="holds no tokens to probe"):
        hidden_states(trained.checkpoint, store, 0)
    with pytest.raises(SimtoolError, match="No layers are known of a Linear"):
        linear = torch.nn.Linear(2, 2)
        linear.vocabulary_size = 128
        hidden_states(linear, store)
