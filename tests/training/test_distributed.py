"""Gradients are summed while others are still computed; layers are compiled once; settings of torch come back."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from simtool.errors import SimtoolError  # noqa: E402
from simtool.tokens.batches import IGNORED, Batch  # noqa: E402
from simtool.training import distributed  # noqa: E402
from simtool.training.distributed import GradientBuckets, Processes, bucketed, compile_layers, layers_of  # noqa: E402
from simtool.training.model import GPTNeoX  # noqa: E402
from simtool.training.sizes import Shape  # noqa: E402
from simtool.training.trainer import train  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from toy_runs import QUIET, losses  # noqa: E402
from toys import SHORT, STORES, phase, recipe  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SHAPE = Shape(4, 32, 2)


def model_of(shape: Shape = SHAPE, seed: int = 0) -> GPTNeoX:
    model = GPTNeoX(shape, 128)
    model.reset(seed)
    return model


# ---- gradients of several processes ----------------------------------------------------------------------


@pytest.fixture
def doubled(monkeypatch):
    """As if another process had the same gradients: sums as they are begun, with what is computed by then."""
    begun = []

    class Work:
        def __init__(self, flat):
            self.flat = flat

        def wait(self):
            self.flat.mul_(2)

    def all_reduce(flat, async_op):
        assert async_op
        begun.append(flat.numel())
        return Work(flat)

    monkeypatch.setattr(distributed.dist, "all_reduce", all_reduce)
    return begun


def gradients(model: GPTNeoX, pieces: int, buckets: GradientBuckets | None) -> list[torch.Tensor]:
    for i in range(pieces):
        ids = torch.arange(16)[None] + i
        loss = model(ids).square().mean()
        if buckets and i + 1 == pieces:
            buckets.begin()
        loss.backward()
    if buckets:
        buckets.finish()
    return [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("pieces", [1, 3])
def test_buckets_sum_what_the_backward_pass_gives(doubled, pieces):
    plain = gradients(model_of(), pieces, None)
    model = model_of()
    buckets = GradientBuckets(list(model.parameters()), n_bytes=20_000)
    assert len(buckets.buckets) > 3
    for _ in range(2):  # a step after another
        model.zero_grad(set_to_none=True)
        summed = gradients(model, pieces, buckets)
        assert all(torch.equal(a, 2 * b) for a, b in zip(summed, plain, strict=True))
    assert sum(doubled) == 2 * sum(p.numel() for p in model.parameters())


def test_sums_begin_before_the_backward_pass_ends(doubled):
    model = model_of()
    buckets = GradientBuckets(list(model.parameters()), n_bytes=20_000)
    begun_by_then = []
    model.gpt_neox.layers[0].register_full_backward_hook(lambda *_: begun_by_then.append(len(doubled)))
    model.gpt_neox.embed_in.weight.register_hook(lambda *_: begun_by_then.append(len(doubled)))
    gradients(model, 1, buckets)
    assert begun_by_then[-1] >= len(buckets.buckets) // 2
    assert len(doubled) == len(buckets.buckets)


def test_a_process_without_rows_sums_nothing_in_the_same_order(doubled):
    model = model_of()
    buckets = GradientBuckets(list(model.parameters()), n_bytes=20_000)
    buckets.finish()
    without = list(doubled)
    doubled.clear()
    assert all(not p.grad.any() for p in model.parameters())
    model.zero_grad(set_to_none=True)
    gradients(model, 1, buckets)
    assert doubled == without


def test_buckets_hold_every_parameter_in_order():
    parameters = list(model_of().parameters())
    buckets = bucketed(parameters, 20_000)
    assert [id(p) for bucket in buckets for p in bucket] == [id(p) for p in parameters]
    assert all(sum(p.numel() * 4 for p in bucket) >= 20_000 for bucket in buckets[:-1])


# ---- compiling -------------------------------------------------------------------------------------------

# dynamo looks at the gradient of everything that it is given
compiling = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


@pytest.fixture
def compilations(monkeypatch):
    """Counts what is compiled, without a compiler."""
    from torch._dynamo.testing import CompileCounterWithBackend

    counter = CompileCounterWithBackend("aot_eager")
    torch._dynamo.reset()
    compile = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compile(module, backend=counter))
    with torch._dynamo.config.patch(recompile_limit=2):
        yield counter
    torch._dynamo.reset()


@compiling
def test_all_layers_are_compiled_at_once_and_for_later_models_too(compilations):
    ids = torch.arange(32).view(2, 16)
    for seed in range(3):
        model = model_of(seed=seed)
        expected = model(ids)
        compile_layers(model)
        assert torch.allclose(model(ids), expected, atol=1e-5)
        model(ids).sum().backward()
    assert compilations.frame_count == 1


@compiling
def test_many_shapes_do_not_end_in_eager_mode(compilations):
    """More sizes in a process than torch's limit, as a study has, and more widths, as fine-tuning has."""
    for n in range(1, 5):
        model = model_of(Shape(1, 32 * n, n))
        compile_layers(model)
        model(torch.arange(16)[None])
    assert compilations.frame_count == 4
    for width in (64, 128, 192, 256):
        model(torch.zeros(1, width, dtype=torch.int64))
    assert 4 < compilations.frame_count <= 6  # after the second, widths are one shape


def test_layers_are_the_outermost_list():
    model = model_of()
    assert layers_of(model) is model.gpt_neox.layers


# ---- settings --------------------------------------------------------------------------------------------


def test_deterministic_mode_fills_no_memory_and_is_left_again():
    settings = torch.utils.deterministic
    before = settings.fill_uninitialized_memory
    with Processes(CPU, deterministic=True, shard=False):
        assert torch.are_deterministic_algorithms_enabled() and not settings.fill_uninitialized_memory
    assert not torch.are_deterministic_algorithms_enabled() and settings.fill_uninitialized_memory == before


# ---- two processes ---------------------------------------------------------------------------------------

TWO = """
import atexit, os, sys, torch
threads = lambda: [Path(f"/proc/self/task/{{i}}/comm").read_text() for i in os.listdir("/proc/self/task")]
atexit.register(lambda: (folder / f"threads{{os.environ['RANK']}}").write_text("".join(threads())))  # the last to run
sys.path.insert(0, {tests!r})
torch.set_num_threads(1)
import toys
from pathlib import Path
from simtool.training.trainer import Execution, train
folder = Path({folder!r})
whole, sharded = (Execution("cpu", log_steps=1, micro_batch=3, shard=shard) for shard in (False, True))
train(toys.SHORT, toys.STORES, folder / "whole", whole)
train(toys.recipe(*toys.SHORT.phases[:2]), toys.STORES, folder / "sharded", sharded)
train(toys.SHORT, toys.STORES, folder / "resumed", sharded, [folder / "sharded"])
train(toys.recipe(toys.phase(steps=4), precision="bf16"), toys.STORES, folder / "bf16", sharded)
"""


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """Runs of two processes under one torchrun: weights whole in each, sharded, and sharded from a checkpoint on."""
    if not torch.distributed.is_available():
        pytest.skip("torch without distributed")
    folder = tmp_path_factory.mktemp("two")
    (folder / "two.py").write_text(TWO.format(tests=str(Path(__file__).parent), folder=str(folder)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(folder / "two.py")], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def single_run(tmp_path_factory):
    return train(SHORT, STORES, tmp_path_factory.mktemp("single"), QUIET)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_no_thread_of_the_group_outlives_it(two_processes, rank):
    """One that did now and then aborted a process that had done its work."""
    assert "gloo" not in (two_processes / f"threads{rank}").read_text()


def test_two_processes_train_as_one(two_processes, single_run):
    assert losses(two_processes / "whole") == pytest.approx(losses(single_run.folder), abs=2e-4)


def test_sharded_weights_train_as_whole_ones(two_processes, single_run):
    """The second run forks from the first one's checkpoint: what was gathered is scattered again."""
    seen = losses(two_processes / "sharded") + losses(two_processes / "resumed")
    assert seen == pytest.approx(losses(single_run.folder), abs=2e-4)


def test_sharded_weights_travel_in_bf16_where_that_is_the_precision(two_processes, tmp_path):
    train(recipe(phase(steps=4), precision="bf16"), STORES, tmp_path, QUIET)
    assert losses(two_processes / "bf16") == pytest.approx(losses(tmp_path), abs=2e-2)
    (checkpoint,) = (two_processes / "bf16" / "checkpoints").iterdir()
    assert {value.dtype for value in load_file(checkpoint / "model.safetensors").values()} == {torch.float32}


def test_a_sharded_run_saves_what_one_process_goes_on_from(two_processes, single_run, tmp_path):
    done = train(SHORT, STORES, tmp_path, QUIET, [two_processes / "sharded"])
    assert done.began.parent == two_processes / "sharded" / "checkpoints"
    assert losses(tmp_path) == pytest.approx(losses(single_run.folder)[-len(losses(tmp_path)) :], abs=2e-4)
    for file in ("model.safetensors", "optimizer.safetensors"):
        shapes, wanted = (
            {name: value.shape for name, value in load_file(one / file).items()}
            for one in (done.began, single_run.ends["mid"])
        )
        assert shapes == wanted


@pytest.mark.parametrize(("n_rows", "most"), [(1, 2), (2, 2), (7, 2), (12, 2), (19, 5)])
@pytest.mark.parametrize("shard", [False, True])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_pieces_of_all_processes_are_the_batch(n_rows, most, shard, device, monkeypatch):
    ids = np.arange(n_rows * 4).reshape(n_rows, 4)
    batch = Batch(ids, ids + 1, np.zeros_like(ids))
    monkeypatch.setenv("WORLD_SIZE", "3")
    pieces = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        pieces.append(Processes(torch.device(device), False, shard).pieces(batch, most))
    counted = [piece.targets[piece.targets != IGNORED] for each in pieces for piece in each]
    assert np.concatenate(counted).tolist() == batch.targets.ravel().tolist()  # every one once, in order
    assert all(1 <= len(piece.ids) <= most for each in pieces for piece in each)
    if shard:  # else processes would wait for each other without end
        assert len({len(each) for each in pieces}) == 1


def test_sharding_needs_several_processes(tmp_path):
    with pytest.raises(SimtoolError, match=r"there is one\. Leave --shard out, or start several:\ntorchrun"):
        train(recipe(), STORES, tmp_path, replace(QUIET, shard=True))
