"""AdamW as Pythia has it, over fp32 weights."""

from typing import Any

import torch
from torch import nn

BETAS = (0.9, 0.95)  # Pythia
EPSILON = 1e-8


def adamw(model: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """A new optimizer; its learning rate is set at every step."""
    return torch.optim.AdamW(parameter_groups(model, weight_decay), lr=0.0, betas=BETAS, eps=EPSILON, fused=True)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay on matrices only: embeddings and linear weights; not biases and norms."""
    named = list(model.named_parameters())
    return [
        {"params": [p for _, p in named if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for _, p in named if p.dim() < 2], "weight_decay": 0.0},
    ]
