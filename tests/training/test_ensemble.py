"""A member of an ensemble is the run that it would be by itself."""

import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from simtool.errors import SimtoolError  # noqa: E402
from simtool.tokens.batches import IGNORED, Batch  # noqa: E402
from simtool.training import ensemble as module  # noqa: E402
from simtool.training.checkpoints import find_checkpoint, load_checkpoint  # noqa: E402
from simtool.training.ensemble import Ensemble, Start, adamw_update, side_by_side, train_ensemble  # noqa: E402
from simtool.training.model import build_model, load_model  # noqa: E402
from simtool.training.optimizer import BETAS, EPSILON, adamw  # noqa: E402
from simtool.training.trainer import Execution, batches_of, train  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
import toys  # noqa: E402

CPU, META = torch.device("cpu"), torch.device("meta")


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


def test_members_with_a_residual_stream_in_bf16_are_single_runs(tmp_path):
    options = {"precision": "bf16", "residual_precision": "bf16"}
    recipes = [toys.recipe(toys.phase(steps=8), seed=seed, **options) for seed in range(2)]
    rounded = train_ensemble(recipes, toys.STORES).losses
    plain = train_ensemble([replace(recipe, residual_precision="fp32") for recipe in recipes], toys.STORES).losses
    assert (rounded != plain).any()
    for recipe, in_ensemble in zip(recipes, rounded, strict=True):
        messages = []
        train(recipe, toys.STORES, tmp_path / str(recipe.seed), Execution("cpu", log_steps=1), report=messages.append)
        singly = [message.loss for message in messages if not isinstance(message, str)]
        assert in_ensemble == pytest.approx(np.array(singly), abs=5e-3)  # 0.0004 was seen


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
    wide = side_by_side([small, large], 8)
    assert [array.shape for array in wide] == [(2, 2, 8)] * 3 and (wide[1] != IGNORED).sum() == 8
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


def read_at_once(recipes):
    """The slow way is the specification: every batch made and every loss read in its own step, nothing guarded."""
    batches = [batches_of(recipe, toys.STORES)[-1] for recipe in recipes]
    ensemble = Ensemble([build_model("tiny", toys.VOCABULARY, r.seed) for r in recipes], CPU, recipes[0])
    weights, first, second, losses = ensemble.weights_EP, ensemble.first_EP, ensemble.second_EP, []
    n_steps, masked = batches[0].n_batches, recipes[0].mask_documents
    for i in range(n_steps):
        ensemble.accumulate(ensemble.prepared([of_member.batch(i) for of_member in batches], masked).pieces)
        losses.append(ensemble.loss_E.double().numpy())
        rates = np.array([recipe.learning_rate(recipe.phases[0], i, n_steps) for recipe in recipes])
        bias = [1 - beta ** (i + 1) for beta in BETAS]
        rates, corrected = (torch.tensor(x).float()[:, None] for x in (rates, rates / bias[0]))
        gradient = ensemble.gradient_EP * (1.0 / (ensemble.norm_E + 1e-6)).clamp(max=1.0)[:, None]
        weights.mul_(1 - rates * ensemble.decay_P)
        first.lerp_(gradient, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        weights.sub_(corrected * first / ((second / torch.tensor(bias[1]).float()).sqrt() + EPSILON))
    return weights, np.stack(losses, axis=1)


@pytest.mark.parametrize("options", [{}, {"mask_documents": True}, {"precision": "bf16"}], ids=str)
def test_reading_late_and_guarding_change_no_bit(one_thread, monkeypatch, options):
    monkeypatch.setattr(module, "CPU_TOKENS", 3 * 2 * toys.LENGTH)  # two pieces a step
    recipes = [
        toys.recipe(toys.phase(steps=8), seed=1, **options),
        toys.recipe(toys.phase(steps=8, learning_rate=1e-3, mixture=toys.MIX), **options),
        toys.recipe(toys.phase(steps=8, schedule="linear"), seed=2, **options),
    ]
    weights, losses = read_at_once(recipes)
    trained = train_ensemble(recipes, toys.STORES)
    rows = [torch.cat([p.detach().flatten() for p in model.parameters()]) for model in trained.models]
    assert torch.equal(torch.stack(rows), weights)
    assert (trained.losses == losses).all()


def test_a_loss_is_read_when_the_next_gradients_are_queued(monkeypatch):
    events, threads = [], set()

    def noted(name, function):
        def call(*inputs):
            events.append(name)
            return function(*inputs)

        return call

    def read_later(readings):
        return noted("read", readings.tolist)

    def prepared(self, *inputs):
        threads.add(threading.current_thread())
        return plain(self, *inputs)

    plain = Ensemble.prepared
    monkeypatch.setattr(Ensemble, "prepared", prepared)
    monkeypatch.setattr(Ensemble, "accumulate", noted("gradients", Ensemble.accumulate))
    monkeypatch.setattr(Ensemble, "step", noted("update", Ensemble.step))
    monkeypatch.setattr(module, "read_later", read_later)
    train_ensemble([toys.recipe(toys.phase(steps=3))], toys.STORES)
    late = ["gradients", "read", "update"]
    assert events == ["gradients", "update", *late, *late, "read"]
    assert len(threads) == 1 and threading.main_thread() not in threads


@pytest.mark.parametrize("masked", [False, True])
def test_a_step_reads_no_number(monkeypatch, masked):
    """On a device that has none, whatever would make the CPU wait for a GPU raises."""
    monkeypatch.setattr(module, "read_later", lambda readings: readings)
    monkeypatch.setattr("simtool.training.losses.compute_dtype", lambda tensor: tensor.dtype)  # it has no autocast
    ensemble = Ensemble([build_model("tiny", toys.VOCABULARY, e) for e in range(3)], META, toys.recipe(z_loss=1e-4))
    batches = [batches_of(toys.recipe(seed=seed), toys.STORES)[0].batch(0) for seed in range(3)]
    ensemble.accumulate(ensemble.prepared(batches, masked).pieces)
    readings = ensemble.step([1e-3] * 3, [np.inf] * 3)
    assert readings.shape == (2, 3) and readings.device == META
    with pytest.raises(NotImplementedError, match="meta"):
        readings.cpu()  # so it would have been seen


def test_a_run_waits_as_often_as_it_has_steps(monkeypatch):
    """A tensor's value, or a shape that depends on it, but for the readings: each once."""
    waiting, reads = [], []

    class Waits(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, inputs=(), options=None):
            if operation.overloadpacket.__name__ in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "unique"):
                waiting.append(str(operation))
            return operation(*inputs, **(options or {}))

    def read_later(readings):
        return lambda: reads.append(1) or readings.tolist()

    monkeypatch.setattr(module, "read_later", read_later)
    recipes = [toys.recipe(toys.phase(steps=5), seed=seed, precision="bf16", mask_documents=True) for seed in range(2)]
    with Waits():
        train_ensemble(recipes, toys.STORES)
        assert (waiting, len(reads)) == ([], 5)
        torch.tensor(1.0).item()
    assert waiting  # so it would have been seen


def counted_operations(call):
    """How many operations a call hands to the device."""

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
        ids = torch.ones(n_members, 1, 16, dtype=torch.int64)
        pieces = [(ids, ids, ids[:, 0])] if masked else [(ids, ids)]
        rates, limits = [1e-3] * n_members, [np.inf] * n_members
        return counted_operations(lambda: (ensemble.accumulate(pieces), ensemble.step(rates, limits)))

    assert step(2) == step(16)


def test_attention_knows_that_it_will_be_differentiated(monkeypatch):
    """Fused attention leaves out what its backward pass needs where no input requires a gradient, as under vmap."""
    attention, seen = torch.nn.functional.scaled_dot_product_attention, []

    def spy(*inputs, **options):
        seen.append([tensor.requires_grad for tensor in inputs])
        return attention(*inputs, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    ensemble = Ensemble([build_model("tiny", toys.VOCABULARY, e) for e in range(2)], CPU, toys.recipe())
    ids = torch.ones(2, 1, 16, dtype=torch.int64)
    ensemble.accumulate([(ids, ids)])
    assert seen == [[True] * 3] * ensemble.shape.n_layers


# dynamo looks at the gradient of everything that it is given
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_compiled_layer_is_the_layer_and_is_compiled_once(monkeypatch):
    from torch._dynamo.testing import CompileCounterWithBackend

    counter = CompileCounterWithBackend("aot_eager")
    torch._dynamo.reset()
    models = [build_model("tiny", toys.VOCABULARY, e) for e in range(2)]
    ids = torch.arange(2 * 2 * 16).reshape(2, 2, 16) % toys.VOCABULARY
    eager = Ensemble(models, CPU, toys.recipe())
    eager.accumulate([(ids, ids)])
    compiled_layer = torch.compile(module.ensemble_layer, backend=counter)
    monkeypatch.setattr(module, "compiled_on_gpu", lambda function, device: compiled_layer)
    compiled = Ensemble(models, CPU, toys.recipe())
    compiled.accumulate([(ids, ids)])
    assert torch.allclose(compiled.loss_E, eager.loss_E, atol=1e-5)
    assert torch.allclose(compiled.norm_E, eager.norm_E, rtol=1e-4)
    assert torch.allclose(compiled.gradient_EP, eager.gradient_EP, atol=1e-5)
    assert counter.frame_count == 1


def update_of(n_members: int, sound: list[bool]) -> list[torch.Tensor]:
    """What `adamw_update` takes, the gradients of members that are not sound no numbers."""
    rng = torch.Generator().manual_seed(0)
    tensors = [torch.randn(n_members, 50, generator=rng) for _ in range(4)]
    tensors[2] = tensors[2].square()
    tensors[3][~torch.tensor(sound)] = torch.nan
    shrink = torch.where(torch.tensor(sound), 0.5, torch.nan)
    numbers = torch.tensor([[1e-2] * n_members, [2e-2] * n_members, [0.3] * n_members])
    return [*tensors, torch.tensor([0.1, 0.0]).repeat_interleave(25), shrink, numbers, torch.tensor(sound)]


def test_a_compiled_update_is_the_update_in_a_single_graph():
    torch._dynamo.reset()
    eager, compiled = update_of(3, [True, False, True]), update_of(3, [True, False, True])
    adamw_update(*eager)
    torch.compile(adamw_update, backend="aot_eager", fullgraph=True)(*compiled)
    for in_place, expected in zip(compiled[:4], eager[:4], strict=True):
        torch.testing.assert_close(in_place, expected)


def test_an_update_that_is_not_sound_is_not_made():
    before, after = update_of(3, [True, False, True]), update_of(3, [True, False, True])
    adamw_update(*after)
    for x, y in zip(before[:3], after[:3], strict=True):  # weights and moments
        assert torch.equal(x[1], y[1]) and not torch.equal(x[0], y[0]) and not torch.equal(x[2], y[2])
