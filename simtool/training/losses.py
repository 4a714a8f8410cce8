"""Cross-entropy of hidden states against targets: logits are made, and their gradient taken, a few rows at a time."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from simtool.tokens.batches import IGNORED

# N tokens of a batch, D width, V vocabulary

# of fp32 logits alive at once; 16 MB stays in a CPU's cache
CHUNK_BYTES = {"cpu": 4 << 20, "cuda": 512 << 20}


class ChunkedCrossEntropy(torch.autograd.Function):
    """The summed cross-entropy of hidden states against targets, with its gradients taken on the way.

    A chunk's logits become their own gradient in place and are gone, so memory does not grow with the batch, and
    nothing is computed twice: a plain loss keeps the fp32 logits of all tokens, three times over.
    """

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, head_VD: Tensor, targets_N: Tensor, z_loss: float) -> Any:
        dtype = compute_dtype(hidden_ND)
        h, w = hidden_ND.detach().to(dtype), head_VD.detach().to(dtype)
        grad_h, grad_w = torch.empty_like(h), torch.zeros_like(head_VD)
        loss, extra = hidden_ND.new_zeros((), dtype=torch.float32), 0.0
        for rows in chunks(len(h), len(w), h.device.type):
            probabilities, lse, at, has_target = softmax_and_lse(h[rows] @ w.T, targets_N[rows])
            loss = loss + ((lse - at) * has_target).sum()
            if z_loss:
                extra = extra + z_loss * (lse.square() * has_target).sum()
            scale = has_target if not z_loss else has_target * (1 + 2 * z_loss * lse)
            probabilities.mul_(scale[:, None])
            index = targets_N[rows].clamp_min(0)[:, None]
            probabilities.scatter_add_(1, index, -has_target[:, None])
            grad = probabilities.to(dtype)
            grad_h[rows] = grad @ w
            if dtype == grad_w.dtype:
                grad_w.addmm_(grad.T, h[rows])
            else:
                grad_w += grad.T @ h[rows]
        ctx.save_for_backward(grad_h.to(hidden_ND.dtype), grad_w)
        ctx.mark_non_differentiable(loss)
        return loss + extra, loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> Any:
        grad_h, grad_w = ctx.saved_tensors
        return grad_h * grad, grad_w * grad, None, None


def chunked_cross_entropy(
    hidden: Tensor, head_VD: Tensor, targets: Tensor, z_loss: float = 0.0
) -> tuple[Tensor, Tensor]:
    """(what to minimise, the cross-entropy alone): sums over the targets, in nats.

    z_loss adds z * logsumexp^2 a token, which keeps logits from drifting (arXiv:2204.02311).
    """
    return ChunkedCrossEntropy.apply(hidden.reshape(-1, hidden.shape[-1]), head_VD, targets.reshape(-1), z_loss)


@torch.no_grad()
def token_losses(hidden: Tensor, head_VD: Tensor, targets: Tensor) -> Tensor:
    """Nats of every target, float32 in the shape of the targets; 0 where there is none."""
    h = hidden.reshape(-1, hidden.shape[-1])
    dtype = compute_dtype(h)
    h, w, flat = h.to(dtype), head_VD.to(dtype), targets.reshape(-1)
    losses = torch.empty(len(h), device=h.device)
    for rows in chunks(len(h), len(w), h.device.type):
        logits = (h[rows] @ w.T).float()
        losses[rows] = F.cross_entropy(logits, flat[rows], ignore_index=IGNORED, reduction="none")
    return losses.view(targets.shape)


def softmax_and_lse(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Probabilities (fp32), logsumexp, the target's logit, and 1.0 where there is a target, of each row."""
    logits = logits.float()
    at = logits.gather(1, targets.clamp_min(0)[:, None])[:, 0]
    probabilities = torch.softmax(logits, dim=1)
    # the largest probability is exp(top - lse) >= 1 / V, so its logarithm is safe, and one exp of all is saved
    lse = logits.amax(dim=1) - probabilities.amax(dim=1).log()
    return probabilities, lse, at, (targets != IGNORED).float()


def chunks(n: int, vocabulary_size: int, device: str) -> Iterator[slice]:
    size = max(1, CHUNK_BYTES.get(device, CHUNK_BYTES["cpu"]) // (4 * vocabulary_size))
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def compute_dtype(tensor: Tensor) -> torch.dtype:
    """What matrices are multiplied in here: autocast's type, or the tensor's own."""
    kind = tensor.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else tensor.dtype
