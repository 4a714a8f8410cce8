"""Batches come in order and early; filled-up rows train as they are."""

import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from simtool.tokens.batches import IGNORED, Batch  # noqa: E402
from simtool.training.losses import token_losses  # noqa: E402
from simtool.training.model import GPTNeoX  # noqa: E402
from simtool.training.prefetch import AHEAD, filled_up, moved, prefetched, staged, width_multiple  # noqa: E402
from simtool.training.sizes import Shape  # noqa: E402


def test_batches_come_in_order_from_another_thread():
    threads = []

    def make(step):
        threads.append(threading.current_thread())
        return step * step

    assert list(prefetched(make, range(3, 9))) == [9, 16, 25, 36, 49, 64]
    assert threading.main_thread() not in threads


def test_no_more_is_made_than_is_held():
    steps, ready = [], threading.Event()

    def make(step):
        steps.append(step)
        if step == AHEAD:
            ready.set()
        return step

    batches = prefetched(make, range(100))
    assert next(batches) == 0
    assert ready.wait(5)
    assert max(steps) == AHEAD
    batches.close()


def test_what_goes_wrong_is_raised_where_it_would_be_read():
    def make(step):
        if step == 2:
            raise ValueError("no such batch")
        return step

    batches = prefetched(make, range(5))
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(ValueError, match="no such batch"):
        next(batches)


def test_arrays_for_a_gpu_are_pinned_and_others_stay(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: (tensor.clone(), "pinned"))
    part = np.arange(6).reshape(2, 3)[:, 1:]
    tensor, memory = staged(part, torch.device("cuda"))
    assert memory == "pinned" and tensor.tolist() == part.tolist()
    assert torch.equal(staged(part, torch.device("cpu")), tensor)
    assert moved(part, torch.device("cpu")).tolist() == moved(tensor, torch.device("cpu")).tolist() == part.tolist()
    assert [width_multiple(torch.device(name)) for name in ("cpu", "cuda")] == [1, 64]


def test_filled_up_rows_have_the_same_losses():
    rng = np.random.default_rng(0)
    ids, targets = rng.integers(0, 50, (2, 2, 37))
    targets[1, 20:] = IGNORED
    documents = np.cumsum(rng.random((2, 37)) < 0.2, axis=1)
    batch = Batch(ids, targets, documents)
    wide = filled_up(batch, 16)
    assert wide.ids.shape == (2, 48) and wide.n_targets == batch.n_targets
    assert filled_up(wide, 16) is wide
    model = GPTNeoX(Shape(2, 32, 2), 128)
    model.reset(0)
    with torch.no_grad():
        narrow_losses, wide_losses = (
            token_losses(
                model.hidden(torch.from_numpy(b.ids), torch.from_numpy(b.documents)),
                model.head,
                torch.from_numpy(b.targets),
            )
            for b in (batch, wide)
        )
    assert torch.allclose(wide_losses[:, :37], narrow_losses, atol=1e-5)
    assert not wide_losses[:, 37:].any()
