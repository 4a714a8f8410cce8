"""Batches made ahead of the step that reads them, by a thread, in memory that a GPU reads while the CPU goes on."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from simtool.tokens.batches import IGNORED, Batch

AHEAD = 2  # batches in hand while a step runs
T = TypeVar("T")
MULTIPLE = 64  # tokens that rows on a GPU are filled up to: cuDNN and compilers plan anew for every other width


def prefetched(make: Callable[[int], T], steps: Iterable[int]) -> Iterator[T]:
    """make(step) of every step, in order; what `make` raises is raised where it would have been read."""
    with ThreadPoolExecutor(1, "batches") as pool:
        pending: deque[Future[T]] = deque()
        for step in steps:
            pending.append(pool.submit(make, step))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def width_multiple(device: torch.device) -> int:
    """What the width of a batch is filled up to a multiple of."""
    return MULTIPLE if device.type == "cuda" else 1


def filled_up(batch: Batch, multiple: int = MULTIPLE) -> Batch:
    """Rows of a width that is a multiple, the rest of each a document without targets."""
    missing = -batch.ids.shape[1] % multiple
    if not missing:
        return batch
    own = batch.documents.max(axis=1, keepdims=True) + 1
    rest = (len(batch.ids), missing)
    return Batch(
        np.concatenate([batch.ids, np.zeros(rest, np.int64)], axis=1),
        np.concatenate([batch.targets, np.full(rest, IGNORED)], axis=1),
        np.concatenate([batch.documents, np.broadcast_to(own, rest)], axis=1),
    )


def staged(array: np.ndarray, device: torch.device) -> Tensor:
    """A CPU tensor of an array, for a GPU in memory that it reads by itself."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory() if device.type == "cuda" else tensor


def moved(array: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """On the device, without waiting until it is there."""
    tensor = array if isinstance(array, Tensor) else torch.from_numpy(np.ascontiguousarray(array))
    return tensor.to(device, non_blocking=True)
