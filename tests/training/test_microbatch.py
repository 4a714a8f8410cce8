"""What fits is estimated from what layers are seen to keep; a resumed run splits its batches as it did before."""

import json
from contextlib import nullcontext

import pytest

torch = pytest.importorskip("torch")

from simtool.training.microbatch import (  # noqa: E402
    CPU_TOKENS,
    LAYER_BYTES,
    MOST_TOKENS,
    MicroBatches,
    fitting_tokens,
    load_micro_batches,
    usual_tokens,
)
from simtool.training.model import GPTNeoX  # noqa: E402
from simtool.training.sizes import SIZES, Shape  # noqa: E402

CPU = torch.device("cpu")


def kept_bytes(n_layers: int, precision: str, rows: int = 4, length: int = 128) -> int:
    """Of everything that the backward pass will need, weights left out."""
    model = GPTNeoX(Shape(n_layers, 128, 4), 256)
    model.reset(0)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, tuple[int, torch.Tensor]] = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = (tensor.untyped_storage().nbytes(), tensor)
        return tensor

    ids = torch.zeros(rows, length, dtype=torch.int64)
    context = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), context:
        hidden = model.hidden(ids)
    assert hidden.requires_grad
    return sum(n for pointer, (n, _) in kept.items() if pointer not in weights)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_layer_keeps_what_the_estimate_says(precision):
    of_two_layers = kept_bytes(4, precision) - kept_bytes(2, precision)
    if precision == "bf16":
        of_two_layers -= 2 * 2 * 12 * 128**2  # bf16 copies of the weights, which are counted with the parameters
    assert of_two_layers / (2 * 4 * 128 * 128) == pytest.approx(LAYER_BYTES[precision], rel=0.02)


def test_a_large_model_begins_with_what_fits():
    shape = SIZES["1b"].shape
    n_parameters = shape.n_parameters + 2 * 50_304 * shape.width
    tokens = fitting_tokens(shape.n_layers, shape.width, n_parameters, "bf16", 78 << 30)
    used = 16 * 38 * 2048 * tokens + 14 * n_parameters
    assert 16_384 < tokens < MOST_TOKENS  # 65,536 would be 82 GB of activations alone
    assert used < 78 << 30
    small = SIZES["70m"].shape
    assert fitting_tokens(small.n_layers, small.width, 70_000_000, "bf16", 78 << 30) == MOST_TOKENS
    assert fitting_tokens(shape.n_layers, shape.width, n_parameters, "bf16", 1 << 30) == 1


def test_a_cpu_takes_what_stays_in_its_cache():
    assert usual_tokens(GPTNeoX(Shape(2, 32, 2), 256), CPU, "fp32") == CPU_TOKENS


def test_rows_are_those_of_their_step(tmp_path):
    path = tmp_path / "micro_batches.json"
    sizes = load_micro_batches(path, CPU, None, 4096)
    assert sizes.rows(0, 7, 128) == 32
    assert sizes.halve(0, 8, 32, 128) == 16
    assert sizes.halve(1, 2, 10, 200) == 5
    again = load_micro_batches(path, CPU, None, 8192)  # more memory by now, and the same numbers
    assert [again.rows(0, 7, 128), again.rows(0, 8, 128), again.rows(1, 1, 128), again.rows(1, 2, 200)] == [
        32,
        16,
        16,
        5,
    ]
    assert again.rows(1, 9, 100) == 10  # of 1,000 tokens
    assert json.loads(path.read_text())["device"] == "cpu"


def test_rows_that_were_requested_are_halved_as_rows(tmp_path):
    sizes = load_micro_batches(tmp_path / "sizes.json", CPU, 6, 4096)
    assert [sizes.rows(0, 0, width) for width in (32, 2048)] == [6, 6]
    assert sizes.halve(0, 3, 6, 32) == 3 and sizes.rows(0, 3, 2048) == 3


def test_another_device_or_request_begins_anew(tmp_path):
    path = tmp_path / "sizes.json"
    MicroBatches(path, {"device": "a card", "requested": None}, [{"segment": 0, "step": 0, "rows": 1}]).save()
    assert load_micro_batches(path, CPU, None, 4096).rows(0, 0, 128) == 32
    assert load_micro_batches(path, CPU, 2, 4096).rows(0, 0, 128) == 2


def test_a_width_beyond_all_tokens_is_a_row(tmp_path):
    assert load_micro_batches(tmp_path / "sizes.json", CPU, None, 100).rows(0, 0, 128) == 1
