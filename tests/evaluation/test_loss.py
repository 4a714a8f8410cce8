"""Losses are sums divided once, whatever the batching; a memorised document costs nothing; responses stand alone."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from simtool.errors import SimtoolError  # noqa: E402
from simtool.evaluation import loss as module  # noqa: E402
from simtool.evaluation.loss import DocumentLosses, evaluate, load_losses, save_losses  # noqa: E402
from simtool.training.checkpoints import export_checkpoint  # noqa: E402
from simtool.training.model import build_model  # noqa: E402
from simtool.training.trainer import Execution, train  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import toys  # noqa: E402


@pytest.fixture
def model():
    return build_model("tiny", toys.VOCABULARY, 0)


def naive(model, store, d: int, length: int, skip: int = 0) -> float:
    """Token by token, one window at a time."""
    document = store.document(d).astype(int).tolist()
    total = 0.0
    for start in range(0, len(document), length):
        read = [document[start - 1] if start else 0, *document[start : start + length]]
        with torch.no_grad():
            chances = model(torch.tensor([read[:-1]])).log_softmax(-1)[0]
        for place, token in enumerate(read[1:]):
            if start + place >= skip:
                total -= chances[place, token].item()
    return total


@pytest.mark.parametrize("length", [64, 7])
def test_documents_cost_what_they_cost_alone(model, length):
    store = toys.STORES["sums"]
    losses = evaluate(model, store, length)
    for d in range(0, store.n_documents, 7):
        assert losses.nats[d] == pytest.approx(naive(model, store, d, length), abs=1e-3)
    assert losses.nats_per_token == pytest.approx(losses.nats.sum() / store.n_tokens)
    assert losses.bits_per_byte == pytest.approx(losses.nats.sum() / math.log(2) / (4 * store.n_tokens))


def test_responses_alone(model):
    store = toys.STORES["sums"]
    losses = evaluate(model, store, 7, loss_on="response")
    for d in range(0, store.n_documents, 7):
        assert losses.nats[d] == pytest.approx(naive(model, store, d, 7, int(store.n_masked_tokens[d])), abs=1e-3)
    assert losses.row()["n_tokens"] == store.n_tokens - store.n_masked_tokens.sum()
    with pytest.raises(SimtoolError, match="holds no tokens to measure"):
        _ = DocumentLosses(
            "a", "test", "response", "", np.zeros(1), *np.zeros((2, 1), int), np.zeros(1, "u8")
        ).nats_per_token


def test_batching_does_not_matter(model, monkeypatch):
    store = toys.STORES["web"]
    many = evaluate(model, store, 64)
    monkeypatch.setattr(module, "WINDOW_TOKENS", 1)
    alone = evaluate(model, store, 64)
    assert np.allclose(many.nats, alone.nats, atol=1e-3)


def test_two_documents_by_hand():
    # 3 tokens for 2 + 4 nats: 2 nats a token; 8 bytes: 6 / (8 ln 2) bits a byte. A mean of means would say 2.5.
    losses = DocumentLosses(
        "a", "test", "text", "", np.array([2.0, 4.0]), np.array([2, 1]), np.array([3, 5]), np.arange(2, dtype=np.uint64)
    )
    assert losses.nats_per_token == 2.0
    assert losses.bits_per_byte == pytest.approx(6 / (8 * math.log(2)))


def test_an_uninformed_model_costs_the_logarithm_of_its_vocabulary(model):
    with torch.no_grad():
        model.head.zero_()
    assert evaluate(model, toys.STORES["web"], 64).nats_per_token == pytest.approx(math.log(128), abs=1e-5)


def test_a_memorised_document_costs_nearly_nothing(tmp_path):
    store = toys.toy_store("one", 1)
    recipe = toys.recipe(
        toys.phase("learn", 1, toys.Mixture({"one": 1.0}), tokens=None, epochs=150, batch_size=1, learning_rate=1e-2)
    )
    done = train(recipe, {"one": store}, tmp_path, Execution("cpu"))
    assert evaluate(done.checkpoint, store).nats_per_token < 0.02


def test_a_folder_of_transformers_measures_the_same(tmp_path):
    transformers = pytest.importorskip("transformers")
    done = train(toys.recipe(), toys.STORES, tmp_path / "run", Execution("cpu"))
    folder = export_checkpoint(done.checkpoint, tmp_path / "export", None, None)
    ours = evaluate(done.checkpoint, toys.STORES["code"])
    assert np.allclose(evaluate(folder, toys.STORES["code"]).nats, ours.nats)
    theirs = module.load_model.__globals__["FromTransformers"](
        transformers.AutoModelForCausalLM.from_pretrained(folder)
    )
    assert np.allclose(evaluate(theirs, toys.STORES["code"], toys.LENGTH).nats, ours.nats, atol=1e-3)


def test_losses_are_kept_by_document(model, tmp_path):
    losses = evaluate(model, toys.STORES["web"], 64, documents=20)
    save_losses(losses, tmp_path / "web.npz", {"model": "tiny"})
    back = load_losses(tmp_path / "web.npz")
    assert (back.nats == losses.nats).all() and (back.hashes == toys.STORES["web"].hashes[:20]).all()
    assert back.row() == losses.row()
    (tmp_path / "bad.npz").write_bytes(b"no")
    with pytest.raises(SimtoolError, match=r"is damaged: .* it is measured again"):
        load_losses(tmp_path / "bad.npz")


def test_what_cannot_be_measured_is_told(model, tmp_path):
    small = build_model("tiny", 20, 0)
    small.vocabulary_size = 64
    with pytest.raises(SimtoolError, match=r"with 100 entries, but the model knows 64"):
        evaluate(small, toys.STORES["web"], 64)
    with pytest.raises(SimtoolError, match="No model at"):
        evaluate(tmp_path, toys.STORES["web"])
    with pytest.raises(SimtoolError, match=r"web \(train\) holds no documents to measure"):
        evaluate(model, toys.STORES["web"], 64, documents=0)


def test_windows_are_filled_up_to_a_multiple_without_changing_the_loss(model, monkeypatch):
    store = toys.STORES["sums"]
    narrow = evaluate(model, store, 7)
    plain = module.read_windows
    monkeypatch.setattr(module, "read_windows", lambda *inputs: plain(*inputs[:3], 64))
    assert evaluate(model, store, 7).nats == pytest.approx(narrow.nats, abs=1e-4)
    batch = next(iter(module.batched_windows(store, range(3), 7)))
    ids, targets = plain(store, batch, "text", 64)
    assert ids.shape == targets.shape == (len(batch), 64)
    assert (targets >= 0).sum() == sum(window.stop - window.start for window in batch)


def test_bits_per_byte_of_responses_are_of_their_own_bytes():
    store = toys.toy_store("sums", 12, examples=True)
    model = build_model("tiny", toys.VOCABULARY, 0)
    text, response = (evaluate(model, store, toys.LENGTH, loss_on=part) for part in ("text", "response"))
    assert text.n_bytes.tolist() == store.n_bytes.tolist()
    assert response.n_bytes.tolist() == (store.n_bytes - store.n_masked_bytes).tolist()


def test_losses_of_documents_that_were_changed_are_damaged(tmp_path):
    store = toys.toy_store("web", 6)
    save_losses(evaluate(build_model("tiny", toys.VOCABULARY, 0), store, toys.LENGTH), tmp_path / "a.npz")
    load_losses(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    arrays["nats"][2] += 1
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    with pytest.raises(SimtoolError, match="its losses do not match their hash"):
        load_losses(tmp_path / "a.npz")
