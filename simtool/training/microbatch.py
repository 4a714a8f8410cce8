"""How many rows go through a forward pass at once, from which step on.

Rounding depends on it, so it is saved with the run: one that is resumed splits its batches as it did before, those
before a halving as they were. On a GPU the first size is estimated from the model's shape and the memory at hand.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from simtool.integrity import checked, damage_as_message, read_json
from simtool.tables import save_json
from simtool.training.hardware import device_name, free_bytes
from simtool.training.losses import CHUNK_BYTES
from simtool.training.model import GPTNeoX

CPU_TOKENS = 4096
MOST_TOKENS = 65_536  # on a GPU: more does not make it faster
# of activations that a layer keeps for its backward pass, a token and unit of width; counted by the tests
LAYER_BYTES = {"fp32": 72, "bf16": 38}
OUTSIDE_BYTES = 40  # the same outside the layers: embeddings, last norm, hidden states and their gradients
STATE_BYTES = {"fp32": 12, "bf16": 14}  # of a parameter, beside the weight: gradient, two moments, bf16 copy
LOGITS = 3  # a chunk's logits, probabilities and gradient are alive at once
REMEDY = "Remove it and repeat the command: batches are split as memory allows, and losses may differ by rounding."
MARGIN = 0.9  # of the memory: allocators round up, and libraries have workspaces


@dataclass
class MicroBatches:
    """Rows of a forward pass at every step.

    path        of the file that keeps them
    settings    they hold for no other: device, and what was requested
    sizes       {segment, step, rows, tokens}: from this step on so many rows, or rows of so many tokens together
    """

    path: Path
    settings: dict[str, Any]
    sizes: list[dict[str, int | None]] = field(default_factory=list)

    def rows(self, segment: int, step: int, width: int) -> int:
        """At a step, of batches so many tokens wide."""
        size = [size for size in self.sizes if (size["segment"], size["step"]) <= (segment, step)][-1]
        return size["rows"] or max(1, size["tokens"] // width)

    def halve(self, segment: int, step: int, rows: int, width: int) -> int:
        """From this step on half of these rows, which it returns; saved at once."""
        by_tokens = self.sizes[-1]["rows"] is None
        half = {"rows": None, "tokens": rows * width // 2} if by_tokens else {"rows": rows // 2, "tokens": None}
        self.sizes.append({"segment": segment, "step": step, **half})
        self.save()
        return self.rows(segment, step, width)

    def save(self) -> None:
        save_json({**self.settings, "sizes": self.sizes}, self.path)


def load_micro_batches(path: Path, device: torch.device, requested: int | None, tokens: int) -> MicroBatches:
    """Those of the run that is resumed, where device and request are the same; else `requested` rows, or `tokens`."""
    settings = {"device": device_name(device), "requested": requested}
    first = {"segment": 0, "step": 0, "rows": requested, "tokens": None if requested else tokens}
    if path.exists():
        with damage_as_message(path, REMEDY):
            saved = checked(read_json(path), (*settings, "sizes"))
            if {name: saved.get(name) for name in settings} == settings:
                return MicroBatches(path, settings, saved["sizes"])
    return MicroBatches(path, settings, [first])


def usual_tokens(model: nn.Module, device: torch.device, precision: str) -> int:
    """Tokens of a forward pass where no rows are requested."""
    if device.type != "cuda":
        return CPU_TOKENS
    if not isinstance(model, GPTNeoX):
        return MOST_TOKENS  # an architecture that we do not know: halved where it does not fit
    n_parameters = sum(p.numel() for p in model.parameters())
    return fitting_tokens(model.shape.n_layers, model.shape.width, n_parameters, precision, free_bytes(device))


def fitting_tokens(n_layers: int, width: int, n_parameters: int, precision: str, free: int) -> int:
    """How many tokens' activations fit beside gradients, moments and a chunk of logits, the weights being there."""
    left = MARGIN * free - STATE_BYTES[precision] * n_parameters - LOGITS * CHUNK_BYTES["cuda"]
    per_token = (n_layers * LAYER_BYTES[precision] + OUTSIDE_BYTES) * width
    return int(min(max(left / per_token, 1), MOST_TOKENS))
