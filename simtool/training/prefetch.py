"""Batches made ahead of the step that reads them, by a thread."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields

import numpy as np
import torch

from simtool.tokens.batches import IGNORED, Batch

AHEAD = 2  # batches in hand while a step runs
MULTIPLE = 64  # tokens that rows on a GPU are filled up to: cuDNN and compilers plan anew for every other width


def prefetched(make: Callable[[int], Batch], steps: Iterable[int]) -> Iterator[Batch]:
    """make(step) of every step, in order; what `make` raises is raised where it would have been read."""
    with ThreadPoolExecutor(1, "batches") as pool:
        pending: deque[Future[Batch]] = deque()
        for step in steps:
            pending.append(pool.submit(make, step))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


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


def pinned(batch: Batch) -> Batch:
    """The same in memory that a GPU reads while the CPU goes on: CPU tensors in place of arrays."""
    arrays = (np.ascontiguousarray(getattr(batch, field.name)) for field in fields(batch))
    return Batch(*(torch.from_numpy(array).pin_memory() for array in arrays))
