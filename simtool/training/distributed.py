"""The processes that train together: a single process, unless torchrun started more.

Each takes its part of every batch's rows. Weights are either whole in every process, with gradients summed, or sharded
(FSDP2): every process keeps its part of weights, gradients and optimizer, and gathers a layer when it needs it.
"""

import atexit
import ctypes
import gc
import os
import sys
from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from simtool.errors import SimtoolError
from simtool.tokens.batches import IGNORED, Batch
from simtool.training.hardware import allow_more_shapes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
BUCKET_BYTES = 25 << 20  # as DistributedDataParallel's
MESHES: "list[dist.DeviceMesh]" = []  # of sharded models


class Processes:
    """A context: the process group, and deterministic mode where it is set."""

    def __init__(self, device: torch.device, deterministic: bool, shard: bool):
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.device, self.deterministic, self.shard = device, deterministic, shard
        if shard and self.size == 1:
            raise SimtoolError(
                "Sharding divides a model between processes, and there is one. Leave --shard out, or start several:\n"
                "torchrun --nproc-per-node 2 -m simtool.cli train ... --shard"
            )

    def __enter__(self) -> "Processes":
        if self.device.type == "cpu":
            keep_freed_memory()
        if self.size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
            # kept for the next run of this process: a second group would read the first one's addresses and may wait
            # for a connection that never comes
            atexit.register(end_group)
        settings = torch.utils.deterministic
        self.before = torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory
        if self.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
            # a kernel more for every new tensor, against reading what was not written: tests hold that we do not
            settings.fill_uninitialized_memory = False
        return self

    def __exit__(self, *error: object) -> None:
        torch.use_deterministic_algorithms(self.before[0])
        torch.utils.deterministic.fill_uninitialized_memory = self.before[1]

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier()

    def placed(self, model: nn.Module, compile: bool = False, precision: str = "fp32") -> nn.Module:
        """The model on this process's device: whole, or this process's part of it, each of its layers a unit."""
        if compile:
            compile_layers(model)
        if not self.shard:
            return model.to(self.device)
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

        mesh = init_device_mesh(self.device.type, (self.size,))
        MESHES.append(mesh)
        # weights travel in bf16, gradients are summed in fp32; inputs stay: angles of positions need all their digits
        policy = MixedPrecisionPolicy(cast_forward_inputs=False)
        if precision == "bf16":
            policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
        for layer in layers_of(model):
            fully_shard(layer, mesh=mesh, mp_policy=policy)
        # the last matrix is used behind `hidden`, by the loss: the root stays gathered until the backward pass is done
        fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
        register_fsdp_forward_method(model, "hidden")
        return model

    def pieces(self, batch: Batch, rows: int) -> list[Batch]:
        """This process's rows of a batch, so many at a time.

        With sharded weights every process must gather them equally often, so one with fewer pieces reads one more row
        that has no targets.
        """
        edges = np.linspace(0, len(batch.ids), self.size + 1).round().astype(int)
        mine, most = batch.rows(edges[self.rank], edges[self.rank + 1]), int(np.diff(edges).max())
        n_pieces = -(-most // rows)
        if self.device.type == "cuda":  # equal pieces, so that a compiler sees few shapes
            rows = -(-most // n_pieces)
        pieces = [mine.rows(start, start + rows) for start in range(0, len(mine.ids), rows)]
        if self.shard:
            first = batch.rows(0, 1)
            filler = Batch(first.ids, first.targets * 0 + IGNORED, first.documents)
            pieces += [filler] * (n_pieces - len(pieces))
        return pieces

    @property
    def loss_scale(self) -> int:
        """FSDP2 divides summed gradients by the number of processes; ours are shares of one sum."""
        return self.size if self.shard else 1

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def least(self, value: int) -> int:
        """Of all processes."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, device=self.device)
        dist.all_reduce(tensor, dist.ReduceOp.MIN)
        return int(tensor)

    def buckets(self, parameters: Sequence[nn.Parameter]) -> "GradientBuckets | None":
        """What sums gradients over processes; None where the backward pass does so, or there is nothing to sum."""
        return None if self.size == 1 or self.shard else GradientBuckets(parameters)


def end_group() -> None:
    """End the process group and its threads, before the interpreter goes down.

    A thread that outlives it now and then aborts a process whose work is done ("terminate called without an active
    exception"). torch's caches of sharded tensors hold their mesh, and a mesh holds the group.
    """
    gc.collect()  # models that nobody uses hold the group too
    while MESHES:
        getattr(MESHES.pop(), "_pg_registry", {}).clear()  # older versions of torch keep names only
    dist.destroy_process_group()


class GradientBuckets:
    """Gradients summed over processes, a bucket at a time, while the backward pass still computes the others.

    Every process sums the same buckets in the same order, the last parameters' first, because theirs are ready first.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], n_bytes: int = BUCKET_BYTES):
        self.buckets = bucketed(list(reversed(parameters)), n_bytes)
        self.bucket_of = {p: b for b, bucket in enumerate(self.buckets) for p in bucket}
        self.works: list[tuple[dist.Work, torch.Tensor]] = []
        self.missing: list[int] = []
        for p in parameters:
            p.register_post_accumulate_grad_hook(self._ready)

    def begin(self) -> None:
        """The next backward pass is the step's last: what it completes may be summed."""
        self.missing = [len(bucket) for bucket in self.buckets]

    def _ready(self, parameter: nn.Parameter) -> None:
        if self.missing:
            self.missing[self.bucket_of[parameter]] -= 1
            while len(self.works) < len(self.buckets) and not self.missing[len(self.works)]:
                self._launch()

    def _launch(self) -> None:
        bucket = self.buckets[len(self.works)]
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in bucket]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        self.works.append((dist.all_reduce(flat, async_op=True), flat))

    def finish(self) -> None:
        """Wait for the sums, and put them in the place of the gradients; those of parameters without one too."""
        while len(self.works) < len(self.buckets):
            self._launch()
        for bucket, (work, flat) in zip(self.buckets, self.works, strict=True):
            work.wait()
            for p, gradient in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
                p.grad = gradient.view_as(p)
        self.works, self.missing = [], []


def bucketed(parameters: Sequence[nn.Parameter], n_bytes: int) -> list[list[nn.Parameter]]:
    """Parameters in their order, in buckets of at least so many bytes but for the last."""
    buckets: list[list[nn.Parameter]] = [[]]
    for p in parameters:
        if sum(q.numel() * q.element_size() for q in buckets[-1]) >= n_bytes:
            buckets.append([])
        buckets[-1].append(p)
    return buckets


def layers_of(model: nn.Module) -> nn.ModuleList:
    """The outermost list is the layers; a layer may hold lists of its own, as experts are."""
    return next(module for module in model.modules() if isinstance(module, nn.ModuleList))


def compile_layers(model: nn.Module) -> None:
    """Each layer by itself: they are alike, so a single compilation serves all of them, and models after this one."""
    allow_more_shapes()
    for layer in layers_of(model):
        layer.compile()


def keep_freed_memory() -> None:
    """Have glibc's malloc keep what is freed. Large tensors are otherwise handed back to the kernel and faulted in anew
    at every step, which can take as long as a small model's arithmetic. Nothing is done under another malloc."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor gathered from all processes, each of which must ask for it; itself where it is not sharded."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def placed_like(tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """A whole tensor, the same in every process, on the device and in the shards of another."""
    if not hasattr(other, "placements"):
        return tensor.to(other.device)
    from torch.distributed.tensor import distribute_tensor

    mesh = other.device_mesh
    return distribute_tensor(tensor.to(mesh.device_type), mesh, other.placements)
