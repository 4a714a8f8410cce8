"""What only a GPU can show. Run where one is: pytest -m gpu tests/training"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from simtool.tokens.batches import IGNORED  # noqa: E402
from simtool.training.distributed import compile_layers  # noqa: E402
from simtool.training.ensemble import Ensemble, train_ensemble  # noqa: E402
from simtool.training.hardware import autocast  # noqa: E402
from simtool.training.losses import chunked_cross_entropy  # noqa: E402
from simtool.training.model import RESIDUALS, GPTNeoX, build_model, document_offsets  # noqa: E402
from simtool.training.sizes import Shape  # noqa: E402
from simtool.training.trainer import Execution, batches_of, train  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
import toys  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
    # compilers and libraries on a machine that we do not know
    pytest.mark.filterwarnings("default"),
]
GPU = Execution("cuda", log_steps=1)


def model_of(shape: Shape = Shape(4, 128, 4), device: str = "cuda") -> GPTNeoX:  # noqa: B008
    model = GPTNeoX(shape, 1024)
    model.reset(0)
    return model.to(device)


def test_the_loss_and_its_gradients_are_those_of_fp64():
    rng = torch.Generator().manual_seed(0)
    hidden, head = torch.randn(3000, 64, generator=rng), torch.randn(5000, 64, generator=rng)
    targets = torch.randint(0, 5000, (3000,), generator=rng)
    targets[::7] = IGNORED
    exact = [x.double().requires_grad_() for x in (hidden, head)]
    loss = torch.nn.functional.cross_entropy(exact[0] @ exact[1].T, targets, reduction="sum")
    expected = torch.autograd.grad(loss, exact)
    for precision, tolerance in (("fp32", 1e-3), ("bf16", 3e-2)):
        ours = [x.cuda().requires_grad_() for x in (hidden, head)]
        with autocast(torch.device("cuda"), precision):
            minimised, cross_entropy = chunked_cross_entropy(*ours, targets.cuda())
        assert float(cross_entropy) == pytest.approx(float(loss), rel=tolerance)
        for gradient, other in zip(torch.autograd.grad(minimised, ours), expected, strict=True):
            assert torch.linalg.norm(gradient.cpu().double() - other) < tolerance * torch.linalg.norm(other)


@pytest.mark.parametrize("head_size", [32, 64, 128, 256])
def test_attention_within_documents_is_the_masks(head_size):
    model = model_of(Shape(2, 2 * head_size, 2))
    ids = torch.randint(0, 1000, (2, 256), device="cuda")
    documents = np.cumsum(np.random.default_rng(0).random((2, 256)) < 0.05, axis=1)
    offsets = torch.from_numpy(document_offsets(documents)).cuda()
    results = []
    for within in (torch.from_numpy(documents).cuda(), offsets):
        with autocast(torch.device("cuda"), "bf16"):
            hidden = model.hidden(ids, within)
        gradients = torch.autograd.grad(hidden.float().square().sum(), list(model.gpt_neox.parameters()))
        results.append((hidden.float(), gradients))
    assert torch.allclose(results[0][0], results[1][0], atol=5e-2)
    for a, b in zip(results[0][1], results[1][1], strict=True):
        assert torch.linalg.norm(a - b) <= 5e-2 * torch.linalg.norm(a) + 1e-3


@pytest.mark.parametrize("residual", ["fp32", "bf16"])
def test_compiled_layers_are_eager_ones(residual):
    ids = torch.randint(0, 1000, (4, 128), device="cuda")
    eager, compiled = model_of(), model_of()
    eager.gpt_neox.residual = compiled.gpt_neox.residual = RESIDUALS[residual]
    compile_layers(compiled)
    with autocast(torch.device("cuda"), "bf16"):
        pair = [model.hidden(ids).float() for model in (eager, compiled)]
    assert torch.allclose(*pair, atol=5e-2)


def test_a_run_on_a_gpu_is_that_of_a_cpu(tmp_path):
    found = []
    for device in ("cpu", "cuda"):
        messages = []
        train(toys.LONG, toys.STORES, tmp_path / device, replace(GPU, device=device), report=messages.append)
        found.append([message.loss for message in messages if not isinstance(message, str)])
    assert found[1] == pytest.approx(found[0], abs=5e-3)


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_resumed_run_has_the_same_bits(tmp_path, deterministic):
    execution = replace(GPU, deterministic=deterministic, save_steps=5, keep_last=99)
    whole = train(toys.recipe(toys.phase(steps=15)), toys.STORES, tmp_path / "whole", execution)
    half = whole.recipe.prefix(0, 5)
    (tmp_path / "again" / "checkpoints").mkdir(parents=True)
    (whole.folder / "checkpoints" / half).rename(tmp_path / "again" / "checkpoints" / half)
    again = train(whole.recipe, toys.STORES, tmp_path / "again", execution)
    bits = [(run.checkpoint / "model.safetensors").read_bytes() for run in (whole, again)]
    assert again.began is not None
    if deterministic:
        assert bits[0] == bits[1]


def test_rows_are_halved_under_a_memory_cap(tmp_path):
    recipe = toys.recipe(toys.phase(steps=3, batch_size=4096))
    messages = []
    _, total = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min((torch.cuda.memory_allocated() + 400e6) / total, 1.0))
    try:
        execution = replace(GPU, micro_batch=4096, compile=False)
        train(replace(recipe, max_epochs=1e6), toys.STORES, tmp_path, execution, report=messages.append)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any(isinstance(message, str) and "Out of memory with 4096 rows" in message for message in messages)


def test_a_step_does_not_wait(tmp_path):
    """torch itself raises where the CPU would wait for the GPU within a step's arithmetic."""
    from simtool.training import trainer

    plain = trainer._Run._gradients

    def watched(self, *inputs):
        if inputs[-1] > 2:  # the first steps compile, and make room
            torch.cuda.set_sync_debug_mode("error")
        try:
            return plain(self, *inputs)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer._Run, "_gradients", watched)
        train(toys.recipe(toys.phase(steps=8), precision="bf16"), toys.STORES, tmp_path, GPU)


@pytest.mark.parametrize("masked", [False, True])
def test_a_step_of_an_ensemble_does_not_wait(masked):
    """Preparing a batch included, which the thread does; the first steps compile."""
    recipes = [toys.recipe(seed=seed, precision="bf16", mask_documents=masked) for seed in range(3)]
    models = [build_model("tiny", toys.VOCABULARY, recipe.seed) for recipe in recipes]
    ensemble = Ensemble(models, torch.device("cuda"), recipes[0])
    batches = [batches_of(recipe, toys.STORES)[0] for recipe in recipes]
    for step in range(6):
        torch.cuda.set_sync_debug_mode("error" if step > 2 else "default")
        try:
            batch = ensemble.prepared([of_member.batch(step) for of_member in batches], masked)
            assert all(tensor.is_pinned() for piece in batch.pieces for tensor in piece)
            ensemble.accumulate(batch.pieces)
            read = ensemble.step([1e-3] * 3, [np.inf] * 3)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        losses, norms = read()
        assert np.isfinite([*losses, *norms]).all()


@pytest.mark.parametrize("phase", [toys.phase(steps=8), toys.sft(epochs=3)], ids=["text", "sft"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_ensemble_is_captured_and_its_losses_are_those_without_a_graph(monkeypatch, phase, precision):
    recipes = [toys.recipe(phase, seed=seed, precision=precision) for seed in range(3)]
    plain = train_ensemble(recipes, toys.STORES, "cuda").losses
    messages, replays, replay = [], [], torch.cuda.CUDAGraph.replay
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda graph: (replays.append(1), replay(graph)))
    captured = train_ensemble(recipes, toys.STORES, "cuda", graph=True, report=messages.append).losses
    assert messages == [] and len(replays) == captured.shape[1]
    assert captured == pytest.approx(plain, abs=2e-3 if precision == "fp32" else 2e-2)  # sums in another order at most


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 2e-3), ("bf16", 5e-2)])
def test_members_of_an_ensemble_are_single_runs(tmp_path, masked, precision, tolerance):
    recipes = [
        toys.recipe(toys.phase(steps=8), seed=seed, mask_documents=masked, precision=precision) for seed in range(3)
    ]
    together = train_ensemble(recipes, toys.STORES, "cuda").losses
    for recipe, losses in zip(recipes, together, strict=True):
        messages = []
        train(recipe, toys.STORES, tmp_path / str(recipe.seed), GPU, report=messages.append)
        assert losses == pytest.approx(np.array([message.loss for message in messages]), abs=tolerance)
