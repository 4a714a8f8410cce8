"""Matrix products in fp32 on a CPU: by oneDNN where torch would take a slower library, and as torch has them elsewhere.

torch hands fp32 products to MKL, which on an AMD processor leaves AVX-512 alone: at nano's and micro's shapes MKL
reached 105 GFLOP/s on one core of an EPYC (Zen 5) and oneDNN, which comes with torch as well, 230. Which of both is
taken follows from the processor and never from a measurement, so that a resumed run has the same bits.
"""

import functools
import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# N rows, D width, O outputs


class Linear(nn.Linear):
    """torch's, its products by the faster library."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight_OD: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias, with gradients: (..., O) from (..., D)."""
    if takes_onednn(x, weight_OD):
        return OneDNNLinear.apply(x, weight_OD, bias_O)
    return F.linear(x, weight_OD, bias_O)


def product(a_ND: Tensor, b_DO: Tensor) -> Tensor:
    """a @ b, without gradients."""
    if a_ND.dim() == 2 and takes_onednn(a_ND, b_DO):
        return by_onednn(a_ND, b_DO.mT)
    return a_ND @ b_DO


class OneDNNLinear(torch.autograd.Function):
    """torch has the product, but not its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_OD: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight_OD)
        return by_onednn(x, weight_OD, bias_O)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, weight_OD = ctx.saved_tensors
        grad_NO, x_ND = grad.reshape(-1, grad.shape[-1]), x.reshape(-1, x.shape[-1])
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            by_onednn(grad_NO, weight_OD.mT).view(x.shape) if needs_x else None,
            by_onednn(grad_NO.mT, x_ND.mT) if needs_weight else None,
            grad_NO.sum(0) if needs_bias else None,
        )


def by_onednn(x: Tensor, weight_OD: Tensor, bias_O: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight_OD, bias_O, "none", [], "")


def takes_onednn(a: Tensor, b: Tensor) -> bool:
    """Whether a product of these is better left to oneDNN; a compiler sees torch's own."""
    if torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return False
    return a.dtype == b.dtype == torch.float32 and a.device.type == b.device.type == "cpu" and prefers_onednn()


@functools.cache
def prefers_onednn() -> bool:
    """On AMD's processors with AVX-512. On Intel's MKL has it too."""
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return wide and torch.backends.mkldnn.is_available() and "AuthenticAMD" in processor()


def processor() -> str:
    """What the system says of its processor."""
    path = Path("/proc/cpuinfo")
    return platform.processor() + (path.read_text(encoding="utf-8") if path.exists() else "")
