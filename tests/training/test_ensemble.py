"""A member of an ensemble is the run that it would be by itself."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from simtool.errors import SimtoolError  # noqa: E402
from simtool.tokens.batches import IGNORED, Batch  # noqa: E402
from simtool.training import ensemble as module  # noqa: E402
from simtool.training.checkpoints import find_checkpoint, load_checkpoint  # noqa: E402
from simtool.training.ensemble import Ensemble, Start, side_by_side, train_ensemble  # noqa: E402
from simtool.training.model import build_model, load_model  # noqa: E402
from simtool.training.optimizer import adamw  # noqa: E402
from simtool.training.trainer import Execution, train  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
import toys  # noqa: E402

CPU = torch.device("cpu")


def assert_as_single_runs(recipes, models, losses, folder, parents=()):
    """Losses of every step and the last logits are those of a run of its own; no two runs are the same."""
    for r, recipe in enumerate(recipes):
        messages = []
        execution = Execution("cpu", log_steps=1)
        done = train(recipe, toys.STORES, folder / str(r), execution, parents, messages.append)
        assert losses[r] == pytest.approx(np.array([message.loss for message in messages]), abs=2e-4)
        single = load_model(done.checkpoint)
        ids = torch.arange(toys.LENGTH)[None] + 1
        with torch.no_grad():
            assert torch.allclose(models[r](ids), single(ids), atol=2e-2)
    assert len({loss[-1] for loss in losses}) == len(recipes)


@pytest.mark.parametrize("options", [{}, {"mask_documents": True, "z_loss": 1e-2}], ids=["plain", "mask and z-loss"])
def test_members_are_single_runs(tmp_path, options):
    recipes = [
        toys.recipe(toys.phase(steps=15), **options),
        toys.recipe(toys.phase(steps=15), seed=1, **options),
        toys.recipe(toys.phase(steps=15, learning_rate=1e-3, schedule="linear"), **options),
        toys.recipe(toys.phase(steps=15, mixture=toys.MIX), **options),
    ]
    trained = train_ensemble(recipes, toys.STORES)
    assert_as_single_runs(recipes, trained.models, trained.losses, tmp_path)


def test_members_in_fine_tuning_go_on_from_one_model(tmp_path):
    """Three rates, two orders and two sets of counted tokens: rows and widths of their batches differ."""
    before = toys.phase(steps=5)
    tuned = [
        toys.sft(),
        toys.sft(learning_rate=3e-3, schedule="linear"),
        toys.sft(learning_rate=3e-4, seed=7),
        toys.sft(seed=8, train_on="text"),
    ]
    recipes = [toys.recipe(before, phase) for phase in tuned]
    parent = train(toys.recipe(before), toys.STORES, tmp_path / "parent", Execution("cpu"))
    starts = [Start(load_model(parent.checkpoint), 1, 0) for _ in recipes]
    trained = train_ensemble(recipes, toys.STORES, starts=starts)
    assert_as_single_runs(recipes, trained.models, trained.losses, tmp_path, [parent.folder])


def test_members_of_other_trunks_go_on_with_their_optimizers(tmp_path):
    """Two seeds, one of them twice: its control, which goes on within a segment, and a mixture, which begins one."""
    head, whole = (toys.phase(steps=n, schedule_tokens=14 * toys.STEP) for n in (6, 14))
    mid = toys.phase("mid", 8, toys.MIX, optimizer="carry")
    recipes = [toys.recipe(whole), toys.recipe(head, mid), toys.recipe(head, mid, seed=1)]
    folders, starts = [], []
    for recipe, (segment, step) in zip(recipes, [(0, 6), (1, 0), (1, 0)], strict=True):
        trunk = toys.recipe(head, seed=recipe.seed)
        folders.append(train(trunk, toys.STORES, tmp_path / f"trunk{recipe.seed}", Execution("cpu")).folder)
        model = build_model("tiny", toys.VOCABULARY, recipe.seed)
        optimizer = adamw(model, recipe.weight_decay)
        load_checkpoint(find_checkpoint(trunk, [folders[-1] / "checkpoints"]).folder, model, optimizer, recipe)
        starts.append(Start(model, segment, step, optimizer))
    trained = train_ensemble(recipes, toys.STORES, starts=starts)
    assert trained.n_tokens.tolist() == [8 * toys.STEP] * 3
    assert_as_single_runs(recipes, trained.models, trained.losses, tmp_path, folders)
    for recipe, model, optimizer in zip(recipes, trained.models, trained.optimizers, strict=True):
        done = train(recipe, toys.STORES, tmp_path / str(recipes.index(recipe)), Execution("cpu"))
        single = build_model("tiny", toys.VOCABULARY, 0)
        of_single = adamw(single, recipe.weight_decay)
        load_checkpoint(done.checkpoint, single, of_single, recipe)
        for parameter, other in zip(model.parameters(), single.parameters(), strict=True):
            state, expected = optimizer.state[parameter], of_single.state[other]
            assert float(state["step"]) == float(expected["step"]) == 14
            for name in ("exp_avg", "exp_avg_sq"):
                torch.testing.assert_close(state[name], expected[name], rtol=1e-2, atol=1e-4)


def test_batches_side_by_side_are_filled_up_without_targets():
    small, large = (
        Batch(np.ones(shape, np.int64), np.ones(shape, np.int64), np.zeros(shape, np.int64))
        for shape in ((1, 2), (2, 3))
    )
    ids, targets, documents = side_by_side([small, large])
    assert ids.shape == targets.shape == documents.shape == (2, 2, 3)
    assert (targets[0] != IGNORED).sum() == 2 and (targets[1] != IGNORED).all()
    assert (documents[0] == -1).sum() == 4


def test_what_cannot_be_batched_is_refused():
    with pytest.raises(SimtoolError, match="No recipes"):
        train_ensemble([], toys.STORES)
    with pytest.raises(SimtoolError, match="Give the model that the earlier ones end with"):
        train_ensemble([toys.LONG], toys.STORES)
    with pytest.raises(SimtoolError, match="These differ in more"):
        train_ensemble([toys.recipe(), toys.recipe(max_grad_norm=0.1)], toys.STORES)
    with pytest.raises(SimtoolError, match="These differ in more"):
        train_ensemble([toys.recipe(), toys.recipe(toys.phase(steps=13))], toys.STORES)
    with pytest.raises(SimtoolError, match="These differ in more"):  # 12 steps are left of the one, 5 of the other
        starts = [Start(build_model("tiny", toys.VOCABULARY, 0), 0, step) for step in (0, 7)]
        train_ensemble([toys.recipe(), toys.recipe()], toys.STORES, starts=starts)
    with pytest.raises(SimtoolError, match="An ensemble is of sizes by name"):
        train_ensemble([replace(toys.recipe(), model="a/folder")], toys.STORES)


def test_a_member_that_diverges_stops_with_its_rate():
    recipes = [toys.recipe(), toys.recipe(toys.phase(learning_rate=1e30))]
    with pytest.raises(SimtoolError, match=r"of member 1 \(1e\+30\): the loss is nan"):
        train_ensemble(recipes, toys.STORES)


def counted_operations(call):
    """How many operations a call hands to the device."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counter(TorchDispatchMode):
        n = 0

        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            Counter.n += 1
            return operation(*args, **(kwargs or {}))

    with Counter():
        call()
    return Counter.n


@pytest.mark.parametrize("masked", [False, True])
def test_a_step_costs_as_many_operations_for_many_members_as_for_few(masked):
    def step(n_members):
        ensemble = Ensemble([build_model("tiny", toys.VOCABULARY, e) for e in range(n_members)], CPU, toys.recipe())
        ids = np.ones((n_members, 1, 16), np.int64)
        arrays = (ids, ids, ids) if masked else (ids, ids)
        return counted_operations(lambda: (ensemble.accumulate(*arrays), ensemble.step([1e-3] * n_members)))

    assert step(2) == step(16)


def test_attention_knows_that_it_will_be_differentiated(monkeypatch):
    """Fused attention leaves out what its backward pass needs where no input requires a gradient, as under vmap."""
    attention, seen = torch.nn.functional.scaled_dot_product_attention, []

    def spy(*inputs, **options):
        seen.append([tensor.requires_grad for tensor in inputs])
        return attention(*inputs, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    ensemble = Ensemble([build_model("tiny", toys.VOCABULARY, e) for e in range(2)], CPU, toys.recipe())
    ids = np.ones((2, 1, 16), np.int64)
    ensemble.accumulate(ids, ids)
    assert seen == [[True] * 3] * ensemble.shape.n_layers


# dynamo looks at the gradient of everything that it is given
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_compiled_layer_is_the_layer_and_is_compiled_once(monkeypatch):
    from torch._dynamo.testing import CompileCounterWithBackend

    counter = CompileCounterWithBackend("aot_eager")
    torch._dynamo.reset()
    models = [build_model("tiny", toys.VOCABULARY, e) for e in range(2)]
    ids = np.arange(2 * 2 * 16).reshape(2, 2, 16) % toys.VOCABULARY
    eager = Ensemble(models, CPU, toys.recipe())
    losses, norms = eager.accumulate(ids, ids)
    compiled_layer = torch.compile(module.ensemble_layer, backend=counter)
    monkeypatch.setattr(module, "layer_function", lambda device: compiled_layer)
    compiled = Ensemble(models, CPU, toys.recipe())
    again, again_norms = compiled.accumulate(ids, ids)
    assert again == pytest.approx(losses, abs=1e-5) and again_norms == pytest.approx(norms, rel=1e-4)
    assert torch.allclose(compiled.gradient_EP, eager.gradient_EP, atol=1e-5)
    assert counter.frame_count == 1
