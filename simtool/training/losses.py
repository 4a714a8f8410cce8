"""Cross-entropy of hidden states against targets: logits are made, and their gradient taken, a few rows at a time."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from simtool.tokens.batches import IGNORED
from simtool.training.hardware import compiled_on_gpu
from simtool.training.products import product, takes_onednn

# E members of an ensemble (no such dimension for a single model), N tokens of a batch, C of a chunk, D width,
# V vocabulary

# of fp32 logits alive at once; 16 MB stays in a CPU's cache
CHUNK_BYTES = {"cpu": 4 << 20, "cuda": 512 << 20}
CHUNK_ROWS = 1024  # a chunk on a GPU is a multiple of: whole tiles, and a single shape to compile for


class ChunkedCrossEntropy(torch.autograd.Function):
    """The summed cross-entropy of hidden states against targets, with its gradients taken on the way.

    A chunk's logits become their own gradient and are gone, so memory does not grow with the batch, and nothing is
    computed twice: a plain loss keeps the fp32 logits of all tokens, three times over.
    """

    @staticmethod
    def forward(ctx: Any, hidden_END: Tensor, head_EVD: Tensor, targets_EN: Tensor, z_loss: float) -> Any:
        dtype = compute_dtype(hidden_END)
        h, w = hidden_END.detach().to(dtype), head_EVD.detach().to(dtype)
        grad_h, grad_w = torch.empty_like(h), torch.zeros_like(head_EVD, dtype=torch.float32)
        cross_entropy_E = h.new_zeros(h.shape[:-2], dtype=torch.float32)
        penalty_E = torch.zeros_like(cross_entropy_E)
        of_chunk = compiled_on_gpu(chunk_gradient, h.device.type)  # eager: two dozen kernels over all logits
        for rows in chunks(h.shape[-2], cross_entropy_E.numel() * w.shape[-2], h.device.type):
            loss_E, z_E, grad_ECV = of_chunk(product(h[..., rows, :], w.mT), targets_EN[..., rows], z_loss, dtype)
            cross_entropy_E = cross_entropy_E + loss_E
            penalty_E = penalty_E + z_E
            grad_h[..., rows, :] = product(grad_ECV, w)
            accumulate_product(grad_w, grad_ECV.mT, h[..., rows, :])
        ctx.save_for_backward(grad_h.to(hidden_END.dtype), grad_w.to(head_EVD.dtype))
        ctx.mark_non_differentiable(cross_entropy_E)
        return cross_entropy_E + penalty_E, cross_entropy_E

    @staticmethod
    def backward(ctx: Any, grad_E: Tensor, _: Tensor) -> Any:
        grad_h, grad_w = ctx.saved_tensors
        scale = grad_E[..., None, None]
        return grad_h * scale.to(grad_h.dtype), grad_w * scale, None, None


def chunked_cross_entropy(hidden: Tensor, head: Tensor, targets: Tensor, z_loss: float = 0.0) -> tuple[Tensor, Tensor]:
    """What to minimise and the cross-entropy by itself: sums over the targets, in nats.

    Parameters
    ----------
    hidden : (..., D)
        Of a single model; for an ensemble (E, ..., D), where `head` is (E, V, D).
    head : (V, D) or (E, V, D)
    targets : int64 (...) or (E, ...)
        IGNORED where there is none.
    z_loss : float
        Adds z * logsumexp^2 a token, which keeps logits from drifting (arXiv:2204.02311).

    Returns
    -------
    minimised, cross_entropy : () or (E,)
    """
    members = head.shape[:-2]
    flat_hidden = hidden.reshape(*members, -1, hidden.shape[-1])
    return ChunkedCrossEntropy.apply(flat_hidden, head, targets.reshape(*members, -1), z_loss)


@torch.no_grad()
def token_losses(hidden: Tensor, head_VD: Tensor, targets: Tensor) -> Tensor:
    """Nats of every target, float32 in the shape of the targets; 0 where there is none."""
    h = hidden.reshape(-1, hidden.shape[-1])
    dtype = compute_dtype(h)
    h, w, flat = h.to(dtype), head_VD.to(dtype), targets.reshape(-1)
    losses = torch.empty(len(h), device=h.device)
    for rows in chunks(len(h), len(w), h.device.type):
        logits = product(h[rows], w.T).float()
        losses[rows] = F.cross_entropy(logits, flat[rows], ignore_index=IGNORED, reduction="none")
    return losses.view(targets.shape)


# ---- a chunk ---------------------------------------------------------------------------------------------


def chunk_gradient(
    logits_ECV: Tensor, targets_EC: Tensor, z_loss: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Summed cross-entropy and z-loss of a chunk, (E,) each, and the gradient of both by its logits, in `dtype`."""
    probabilities, lse, at, has_target = softmax_and_lse(logits_ECV, targets_EC)
    loss_E = ((lse - at) * has_target).sum(-1)
    z_E = z_loss * (lse.square() * has_target).sum(-1) if z_loss else torch.zeros_like(loss_E)
    scale = has_target * (1 + 2 * z_loss * lse) if z_loss else has_target
    index = targets_EC.clamp_min(0)[..., None]
    if torch.compiler.is_compiling():  # a comparison is fused into the softmax's own pass over the logits
        is_target = torch.arange(logits_ECV.shape[-1], device=index.device) == index
        grad = probabilities * scale[..., None] - is_target * has_target[..., None]
    else:
        grad = probabilities.mul_(scale[..., None])
        grad.scatter_(-1, index, grad.gather(-1, index) - has_target[..., None])
    return loss_E, z_E, grad.to(dtype)


def softmax_and_lse(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Probabilities (fp32), logsumexp, the target's logit, and 1.0 where there is a target, of each row."""
    logits = logits.float()
    at = logits.gather(-1, targets.clamp_min(0)[..., None])[..., 0]
    probabilities = torch.softmax(logits, dim=-1)
    # the largest probability is exp(top - lse) >= 1 / V, so its logarithm is safe, and one exp of all is saved
    lse = logits.amax(dim=-1) - probabilities.amax(dim=-1).log()
    return probabilities, lse, at, (targets != IGNORED).float()


def accumulate_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """total += a @ b, without rounding the product to the type of its factors where the device can do so."""
    if total.dim() == 2 and takes_onednn(a, b):
        total += product(a, b)
    elif a.dtype == total.dtype:
        total.addmm_(a, b) if total.dim() == 2 else total.baddbmm_(a, b)
    elif a.is_cuda and total.dim() == 2:
        total += torch.mm(a, b, out_dtype=total.dtype)
    else:
        total += a @ b


def chunks(n: int, vocabulary_size: int, device: str) -> Iterator[slice]:
    """Rows whose logits are made at once."""
    size = max(1, CHUNK_BYTES.get(device, CHUNK_BYTES["cpu"]) // (4 * vocabulary_size))
    if device == "cuda":
        size = max(size // CHUNK_ROWS, 1) * CHUNK_ROWS
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def compute_dtype(tensor: Tensor) -> torch.dtype:
    """What matrices are multiplied in here: autocast's type, or the tensor's own."""
    kind = tensor.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else tensor.dtype
