"""The processes that train together: a single process, unless torchrun started more.

Each takes its part of every batch's rows. Weights are either whole in every process, with gradients summed, or sharded
(FSDP2): every process keeps its part of weights, gradients and optimizer, and gathers a layer when it needs it.
"""

import atexit
import ctypes
import os
import sys

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from simtool.errors import SimtoolError
from simtool.tokens.batches import IGNORED, Batch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h


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
            atexit.register(dist.destroy_process_group)
        self.before = torch.are_deterministic_algorithms_enabled()
        if self.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        return self

    def __exit__(self, *error: object) -> None:
        torch.use_deterministic_algorithms(self.before)

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier()

    def placed(self, model: nn.Module, compile: bool = False) -> nn.Module:
        """The model on this process's device: whole, or this process's part of it, each of its layers a unit."""
        if not self.shard:
            return model.to(self.device)
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        mesh = init_device_mesh(self.device.type, (self.size,))
        # the outermost list is the layers; a layer may hold lists of its own, as experts are
        for layer in next(module for module in model.modules() if isinstance(module, nn.ModuleList)):
            if compile:
                layer.compile()
            fully_shard(layer, mesh=mesh)
        # the last matrix is used behind `hidden`, by the loss: the root stays gathered until the backward pass is done
        fully_shard(model, mesh=mesh, reshard_after_forward=False)
        register_fsdp_forward_method(model, "hidden")
        return model

    def pieces(self, batch: Batch, rows: int) -> list[Batch]:
        """This process's rows of a batch, so many at a time.

        With sharded weights every process must gather them equally often, so one with fewer pieces reads one more row
        that has no targets.
        """
        edges = np.linspace(0, len(batch.ids), self.size + 1).round().astype(int)
        mine = batch.rows(edges[self.rank], edges[self.rank + 1])
        pieces = [mine.rows(start, start + rows) for start in range(0, len(mine.ids), rows)]
        if self.shard:
            first = batch.rows(0, 1)
            filler = Batch(first.ids, np.full_like(first.targets, IGNORED), first.documents)
            pieces += [filler] * (-(-int(np.diff(edges).max()) // rows) - len(pieces))
        return pieces

    @property
    def loss_scale(self) -> int:
        """FSDP2 divides summed gradients by the number of processes; ours are shares of one sum."""
        return self.size if self.shard else 1

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: list[nn.Parameter]) -> None:
        """What the backward pass has not summed already."""
        if self.size == 1 or self.shard:
            return
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = self.sum(torch.cat([g.reshape(-1) for g in gradients]))
        for p, gradient in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            p.grad = gradient.view_as(p)


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
