"""AdamW as Pythia has it, over fp32 weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

BETAS = (0.9, 0.95)  # Pythia
EPSILON = 1e-8


def adamw(model: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """A new optimizer; its learning rate is set at every step."""
    return torch.optim.AdamW(parameter_groups(model, weight_decay), lr=0.0, betas=BETAS, eps=EPSILON, fused=True)


@torch.no_grad()
def guarded_step(
    optimizer: torch.optim.Optimizer, rate: float, loss: Tensor, norm: Tensor, limit: float
) -> Callable[[], list[float]]:
    """Make the update unless the loss or the norm is no number, or the loss is above the limit.

    That is decided on the device, so that nobody waits for the numbers: they come back for the CPU to read later.

    Parameters
    ----------
    rate : float
        The learning rate of this step.
    loss, norm : ()
        Of the gradients that the parameters hold, which are gone afterwards.
    limit : float
        Nats per token; infinite where any finite loss will do.

    Returns
    -------
    callable
        Gives [loss, norm] when it is called, and waits for the device then.
    """
    readings = torch.stack([loss.double(), norm.double()])
    for group in optimizer.param_groups:
        group["lr"] = rate
    # a fused kernel leaves weights, moments and step as they are where this is 1: made for overflow in fp16
    optimizer.found_inf = (~(readings.isfinite().all() & (readings[0] <= limit))).float()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return read_later(readings)


def read_later(tensor: Tensor) -> Callable[[], list[float]]:
    """Begin to bring a tensor to the CPU; what is returned waits for it, and only for it."""
    if not tensor.is_cuda:
        return tensor.tolist
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()

    def read() -> list[float]:
        copied.synchronize()
        return host.tolist()

    return read


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay on matrices only: embeddings and linear weights; not biases and norms."""
    named = list(model.named_parameters())
    return [
        {"params": [p for _, p in named if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for _, p in named if p.dim() < 2], "weight_decay": 0.0},
    ]
