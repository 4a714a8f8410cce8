"""A function of tensors replayed as a CUDA graph: all its kernels are launched at once, however many they are.

Of a small model a GPU does a kernel sooner than a CPU launches the next; to replay takes a single launch for all. A
graph reads and writes the same memory at every replay, so there is one for each set of shapes, with buffers that inputs
are put into. None of it has run on a GPU yet.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

MOST_GRAPHS = 16  # each holds what it computes; with shapes beyond them the function is called as it is
WARM_UPS = 3  # in which compilers compile, and libraries make room and choose their kernels

Pieces = Sequence[Sequence[Tensor]]
Function = Callable[[Pieces], tuple[Tensor, ...]]
Replay = Callable[[], tuple[Tensor, ...]]


def captured(function: Function, inputs: Pieces, pool: Any = None) -> Replay:
    """What does to these inputs again what the function does: its results lie where they lay before.

    Parameters
    ----------
    pool
        Memory that is shared with other graphs, which never run at the same time.
    """
    stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            function(inputs)
    current.wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # another thread pins the next batch meanwhile, which a capture forbids to its own thread only
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        results = function(inputs)

    def replay() -> tuple[Tensor, ...]:
        graph.replay()
        return results

    return replay


class Replayed:
    """A function without effects, captured at its first call with tensors of some shapes and replayed at all others.

    Its results are overwritten by the next call. Where it cannot be captured it is called as it is, which is reported
    once.
    """

    def __init__(
        self,
        function: Function,
        device: torch.device,
        report: Callable[[Any], None] = lambda message: None,
        capture: Callable[[Function, Pieces, Any], Replay] = captured,
    ):
        self.function, self.device, self.report, self.capture = function, device, report, capture
        self.pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        self.graphs: dict[Any, tuple[Pieces, Replay]] = {}
        self.can_capture = True

    def __call__(self, pieces: Pieces) -> tuple[Tensor, ...]:
        shapes = tuple(tuple((tensor.shape, tensor.dtype) for tensor in piece) for piece in pieces)
        if shapes not in self.graphs and self.can_capture and len(self.graphs) < MOST_GRAPHS:
            self._capture(shapes, pieces)
        if shapes not in self.graphs:
            return self.function(pieces)
        inputs, replay = self.graphs[shapes]
        for buffers, tensors in zip(inputs, pieces, strict=True):
            for buffer, tensor in zip(buffers, tensors, strict=True):
                buffer.copy_(tensor, non_blocking=True)
        return replay()

    def _capture(self, shapes: Any, pieces: Pieces) -> None:
        inputs = [[tensor.to(self.device, copy=True) for tensor in piece] for piece in pieces]
        try:
            self.graphs[shapes] = inputs, self.capture(self.function, inputs, self.pool)
        except RuntimeError as error:
            self.can_capture = False
            reason = (str(error).splitlines() or [""])[0]
            self.report(f"No CUDA graph, going on without: {reason}")
