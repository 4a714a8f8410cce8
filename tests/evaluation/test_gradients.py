"""Inner products have no bias from noise, where the plain cosine has; what the steps cost adds up to forgetting."""

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from simtool.errors import SimtoolError  # noqa: E402
from simtool.evaluation import gradients as module  # noqa: E402
from simtool.evaluation.gradients import (  # noqa: E402
    FOLDS,
    ForgettingMeter,
    aligned,
    deal,
    fold_gradients,
    forgetting_along,
    gradient_alignment,
    group_of,
)
from simtool.evaluation.loss import evaluate  # noqa: E402
from simtool.training.model import build_model  # noqa: E402
from simtool.training.trainer import Execution, train  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import toys  # noqa: E402

LENGTH = 64


def gram(parts: np.ndarray) -> np.ndarray:
    return parts @ parts.T


# ---- alignment -------------------------------------------------------------------------------------------


def test_alignment_by_hand():
    # three folds of each loss, of 1, 1 and 2 tokens, all with the gradients (2, 0) and (1, 1) a token:
    # inner 2 * 1 = 2; squared lengths 4 and 2, also between folds; cosine 2 / sqrt(8); nothing varies
    tokens = np.array([1, 1, 2, 1, 1, 2])
    parts = np.array([[2.0, 0.0]] * 3 + [[1.0, 1.0]] * 3) * tokens[:, None]
    found = aligned("all", gram(parts), tokens, 2)
    assert (found.inner, found.cosine, found.plain) == pytest.approx((2.0, 2 / np.sqrt(8), 2 / np.sqrt(8)))
    assert found.cosine_low == pytest.approx(found.cosine_high) and found.inner_low == pytest.approx(found.inner_high)


def test_squared_lengths_are_taken_between_folds():
    # (3, 0), (1, 2), (2, -2) have the mean (2, 0): between folds 2 (3 + 6 - 2) / 6 = 7/3, the plain square is 4.
    # The other loss is (1, 0) throughout: inner 2, cosine 2 / sqrt(7/3), plain 2 / 2
    parts = np.array([[3.0, 0.0], [1.0, 2.0], [2.0, -2.0]] + [[1.0, 0.0]] * 3)
    found = aligned("all", gram(parts), np.ones(6, int))
    assert (found.inner, found.plain) == pytest.approx((2.0, 1.0))
    # without the second fold 3 * 2 = 6 is left, without the third 3, without the first 2 - 4 < 0: no length, no cosine
    assert found.cosine is None and found.cosine_low is None


def test_noise_does_not_bias_what_it_biases_in_the_plain_cosine():
    rng = np.random.default_rng(0)
    a, b = np.zeros(300), np.zeros(300)
    a[:2], b[:2] = (3.0, 4.0), (5.0, 0.0)  # inner 15, cosine 15 / 25
    means = np.repeat([a, b], FOLDS, axis=0)
    found = [
        aligned("all", gram(means + rng.standard_normal(means.shape)), np.ones(2 * FOLDS, int)) for _ in range(300)
    ]
    inner, cosine, plain = (np.array([getattr(one, name) for one in found]) for name in ("inner", "cosine", "plain"))
    assert abs(inner.mean() - 15) < 3 * inner.std() / np.sqrt(300)
    assert abs(cosine.mean() - 0.6) < 0.01
    # |a|^2 + 300 / 16 = 43.75 is what the plain squared length expects: 15 / 43.75 = 0.343
    assert plain.mean() == pytest.approx(15 / 43.75, abs=0.01)
    # 0.95 expected, 0.013 its standard error; where noise outweighs length the jackknife of the cosine is too wide
    for name, true, most in (("inner", 15, 0.99), ("cosine", 0.6, 1.0)):
        covered = np.mean([getattr(one, f"{name}_low") <= true <= getattr(one, f"{name}_high") for one in found])
        assert 0.91 <= covered <= most, name
    assert np.mean([one.cosine_high - one.cosine_low for one in found]) < 0.5


def test_groups_are_layers_and_ends():
    names = {
        "gpt_neox.layers.3.mlp.dense_4h_to_h.bias": "layer 4",
        "model.transformer.h.0.attn.c_attn.weight": "layer 1",
        "gpt_neox.embed_in.weight": "embed_in",
        "gpt_neox.final_layer_norm.bias": "final_layer_norm",
    }
    assert {name: group_of(name) for name in names} == names


# ---- gradients -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    return build_model("tiny", toys.VOCABULARY, 0)


def plain_loss(model, store, documents, skip_prompts: bool = False) -> torch.Tensor:
    """Document by document, with torch's own cross-entropy."""
    total = torch.zeros(())
    for d in documents:
        ids = torch.tensor([0, *store.document(int(d)).astype(int)])
        losses = torch.nn.functional.cross_entropy(model(ids[None, :-1])[0], ids[1:], reduction="none")
        total = total + losses[int(store.n_masked_tokens[d]) if skip_prompts else 0 :].sum()
    return total


@pytest.mark.parametrize("loss_on", ["text", "response"])
def test_gradients_are_those_of_the_plain_loss(model, loss_on):
    store = toys.STORES["sums"]
    folds = deal(store, 4)
    found, nats, tokens = fold_gradients(model, store, folds, LENGTH, loss_on)
    assert all(parameter.grad is None for parameter in model.parameters())
    losses = evaluate(model, store, LENGTH, loss_on=loss_on)
    for fold, gradient, cost, n in zip(folds, found, nats, tokens, strict=True):
        loss = plain_loss(model, store, fold, loss_on == "response")
        own = torch.autograd.grad(loss, list(model.parameters()))
        for mine, theirs in zip(gradient.values(), own, strict=True):
            assert torch.allclose(mine, theirs, atol=1e-4)
        assert cost == pytest.approx(losses.nats[fold].sum(), abs=1e-3) and n == losses.n_tokens[fold].sum()


def test_folds_hold_every_document_once_whatever_the_order():
    store = toys.STORES["web"]
    folds = deal(store, documents=100)
    assert sorted(np.concatenate(folds)) == list(range(100)) and {len(fold) for fold in folds} == {6, 7}
    with pytest.raises(SimtoolError, match=r"web \(train\) gives 20 documents for 16 folds. Give at least 32"):
        deal(store, documents=20)


def test_two_samples_of_one_text_pull_alike_and_groups_add_up(model):
    one, two = (toys.toy_store("web", 120, seed) for seed in (1, 2))
    overall, *groups = gradient_alignment(model, one, two, LENGTH)
    assert overall.group == "all" and overall.cosine == pytest.approx(1, abs=0.02)
    assert [each.group for each in groups] == ["embed_in", "layer 1", "layer 2", "final_layer_norm", "embed_out"]
    assert sum(each.inner for each in groups) == pytest.approx(overall.inner)
    assert sum(each.n_parameters for each in groups) == sum(p.numel() for p in model.parameters())
    other = gradient_alignment(model, one, toys.toy_store("code", 120, 3), LENGTH)[0]
    assert other.cosine_high < overall.cosine
    with pytest.raises(SimtoolError, match="have 120 documents in common"):
        gradient_alignment(model, one, one, LENGTH)


# ---- forgetting ------------------------------------------------------------------------------------------


def moved(model, direction: dict, by: float):
    other = build_model("tiny", toys.VOCABULARY, 0)
    state = model.state_dict()
    other.load_state_dict({name: state[name] + by * direction[name] for name in state})
    return other


def test_the_first_order_term_is_the_slope(model):
    store = toys.toy_store("web", 64, 5)
    rng = torch.Generator().manual_seed(0)
    way = {name: torch.randn(p.shape, generator=rng) * 0.02 for name, p in model.state_dict().items()}
    # central difference of the loss along the way
    ahead, behind = (evaluate(moved(model, way, by), store, LENGTH).nats_per_token for by in (0.05, -0.05))
    found = forgetting_along([model, moved(model, way, 1.0)], store, LENGTH)
    assert found.first_order == pytest.approx((ahead - behind) / 0.1, rel=0.02)
    losses = [evaluate(one, store, LENGTH).nats_per_token for one in (model, moved(model, way, 1.0))]
    assert found.forgetting == pytest.approx(losses[1] - losses[0], abs=1e-5)
    assert found.loss_before == pytest.approx(losses[0], abs=1e-5)
    assert found.remainder == pytest.approx(found.forgetting - found.first_order)
    assert found.path == pytest.approx(sum(float((one**2).sum()) for one in way.values()), rel=1e-3)
    # in ten steps along the same way the remainder is a tenth: halving steps halves what curvature costs
    fine = forgetting_along([moved(model, way, t / 10) for t in range(11)], store, LENGTH)
    assert fine.forgetting == pytest.approx(found.forgetting, abs=1e-5)
    assert fine.remainder == pytest.approx(found.remainder / 10, rel=0.25)


class Bowl(torch.nn.Module):
    """Two parameters, for losses that are written down."""

    def __init__(self, at: list[float]):
        super().__init__()
        self.at = torch.nn.Parameter(torch.tensor(at))


def test_on_a_quadratic_the_curvature_is_the_smoothness(monkeypatch):
    # general loss 3/2 |x|^2 (smoothness 3), the path (1, 0) -> (1, 2) -> (0, 2). First order: <(3, 0), (0, 2)> = 0,
    # then <(3, 6), (-1, 0)> = -3. Forgetting 3/2 (4 - 1) = 4.5, so the remainder is 7.5 = 3/2 (4 + 1).
    def quadratic(model, store, folds, length, loss_on):
        one = {"at": 3 * model.at.detach()}
        return [one] * FOLDS, np.full(FOLDS, 1.5 * float(model.at.detach().square().sum())), np.ones(FOLDS, int)

    monkeypatch.setattr(module, "fold_gradients", quadratic)
    path = [Bowl([1.0, 0.0]), Bowl([1.0, 2.0]), Bowl([0.0, 2.0])]
    found = forgetting_along(path, toys.STORES["web"], LENGTH)
    assert (found.forgetting, found.first_order, found.remainder) == pytest.approx((4.5, -3.0, 7.5))
    assert found.path == pytest.approx(5.0) and found.curvature == pytest.approx(3.0) and found.n_steps == 2


def test_a_run_is_watched_step_by_step_and_not_changed_by_it(tmp_path):
    recipe = toys.recipe(toys.phase(steps=6), toys.sft(epochs=1))
    held = toys.toy_store("web", 64, 9)
    before = train(toys.recipe(toys.phase(steps=6)), toys.STORES, tmp_path / "base", Execution("cpu"))
    meter = ForgettingMeter(held, LENGTH)
    seen = train(recipe, toys.STORES, tmp_path / "seen", Execution("cpu"), [tmp_path / "base"], watch=meter.see)
    alone = train(recipe, toys.STORES, tmp_path / "alone", Execution("cpu"), [tmp_path / "base"])
    weights = [(one.checkpoint / "model.safetensors").read_bytes() for one in (seen, alone)]
    assert weights[0] == weights[1]
    found = meter.result()
    assert found.n_steps == 4  # 60 examples, 16 a step
    ends = [evaluate(one.checkpoint, held, LENGTH).nats_per_token for one in (before, seen)]
    assert found.forgetting == pytest.approx(ends[1] - ends[0], abs=1e-5)
    assert found.forgetting_low < found.forgetting < found.forgetting_high
    # four steps: the first-order term is most of it, and the coarse one from the ends alone is farther off
    coarse = forgetting_along([before.checkpoint, seen.checkpoint], held, LENGTH)
    assert abs(found.remainder) < abs(coarse.remainder)


def test_one_point_is_no_path(model):
    with pytest.raises(SimtoolError, match=r"needs a model before and one after. Seen: 1\."):
        forgetting_along([model], toys.STORES["web"], LENGTH)
