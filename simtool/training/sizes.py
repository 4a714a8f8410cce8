"""Every model size: its shape, and how it is trained where nothing else is said. To add one, add its entry to `SIZES`.

Free of torch, so that a recipe can be written and a study planned without it.
"""

from dataclasses import dataclass
from pathlib import Path

from simtool.errors import unknown

MULTIPLE = 128  # the vocabulary is padded to: whole tiles for the matrix units


@dataclass(frozen=True)
class Shape:
    """Layers, width and heads of a GPT-NeoX; the feed-forward part is four times as wide."""

    n_layers: int
    width: int
    n_heads: int

    def __post_init__(self) -> None:
        if self.width % self.n_heads:
            raise ValueError(f"width {self.width} must be a multiple of the {self.n_heads} heads")

    @property
    def n_parameters(self) -> int:
        """Without the embeddings, as Pythia counts."""
        return self.n_layers * (12 * self.width**2 + 13 * self.width) + 2 * self.width


@dataclass(frozen=True)
class Defaults:
    """How a model is trained where nothing else is said.

    learning_rate     the peak
    sequence_length   tokens
    batch_size        sequences a step
    """

    learning_rate: float
    sequence_length: int
    batch_size: int


@dataclass(frozen=True)
class ModelSize:
    shape: Shape
    defaults: Defaults


SIZES = {
    # round figures of Pythia's order, for a CPU
    "nano": ModelSize(Shape(4, 96, 3), Defaults(3e-3, 256, 16)),
    "micro": ModelSize(Shape(4, 192, 6), Defaults(2e-3, 256, 16)),
    # Pythia's shapes and peak rates (arXiv:2304.01373, tables 1 and 6; 14m and 31m from their model cards)
    "14m": ModelSize(Shape(6, 128, 4), Defaults(1e-3, 2048, 32)),
    "31m": ModelSize(Shape(6, 256, 8), Defaults(1e-3, 2048, 32)),
    "70m": ModelSize(Shape(6, 512, 8), Defaults(1e-3, 2048, 32)),
    "160m": ModelSize(Shape(12, 768, 12), Defaults(6e-4, 2048, 32)),
    "410m": ModelSize(Shape(24, 1024, 16), Defaults(3e-4, 2048, 32)),
    "1b": ModelSize(Shape(16, 2048, 8), Defaults(3e-4, 2048, 32)),
    "1.4b": ModelSize(Shape(24, 2048, 16), Defaults(2e-4, 2048, 32)),
}
OF_A_FOLDER = Defaults(3e-4, 2048, 32)  # a model of transformers by its config.json, whose size is not looked at


def padded_vocabulary(size: int) -> int:
    """Rows of the embedding of a vocabulary of that size."""
    return -(-size // MULTIPLE) * MULTIPLE


def find_defaults(model: str) -> Defaults:
    """The defaults of a size by name, or of a folder with a config.json; SimtoolError with the nearest names."""
    if model in SIZES:
        return SIZES[model].defaults
    if (Path(model) / "config.json").exists():
        return OF_A_FOLDER
    raise unknown("model", model, SIZES)
