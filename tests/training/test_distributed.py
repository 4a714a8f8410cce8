"""Gradients are summed while others are still computed; layers are compiled once; settings of torch come back."""

import pytest

torch = pytest.importorskip("torch")

from simtool.training import distributed  # noqa: E402
from simtool.training.distributed import GradientBuckets, Processes, bucketed, compile_layers, layers_of  # noqa: E402
from simtool.training.model import GPTNeoX  # noqa: E402
from simtool.training.sizes import Shape  # noqa: E402

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
