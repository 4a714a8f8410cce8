"""What a mixture must keep to: floors, caps, repetition, and a budget of forgetting."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simtool.errors import SimtoolError, unknown
from simtool.mixing.solver import EDGE

# K corpora that may be mixed, the pretraining corpus first

MAX_EPOCHS = 4.0  # "up to 4 epochs ... negligible changes to loss compared to having unique data", arXiv:2305.16264
REPETITION_SCALE = 15.39  # R*_D, fitted there


@dataclass(frozen=True)
class Limits:
    """What a mixture must keep to; every mapping is by corpus, the pretraining corpus included.

    keep, cap    least and most share, in 0 .. 1
    tokens       length of the phase that trains on the mixture
    available    tokens that there are of a corpus; where given, `tokens` must be
    max_epochs   how often a corpus with `available` may be repeated
    forgetting   most bits per symbol that text like the pretraining corpus may cost more
    """

    keep: Mapping[str, float] = field(default_factory=dict)
    cap: Mapping[str, float] = field(default_factory=dict)
    tokens: int | None = None
    available: Mapping[str, int] = field(default_factory=dict)
    max_epochs: float = MAX_EPOCHS
    forgetting: float | None = None

    def __post_init__(self) -> None:
        for sign, shares in ((">=", self.keep), ("<=", self.cap)):
            for corpus, share in shares.items():
                if not 0 <= share <= 1:
                    raise SimtoolError(f"A share lies between 0 and 1. Got {corpus}{sign}{share:g}.")
        if self.available and self.tokens is None:
            raise SimtoolError(
                "Available tokens limit a share only when the length of training is known.\n"
                "Give the tokens of the phase as well, as in --tokens 2B."
            )
        amounts = {"tokens": self.tokens, "max_epochs": self.max_epochs}
        for name, amount in (*amounts.items(), *self.available.items()):
            if amount is not None and not 0 < amount < math.inf:
                raise SimtoolError(f"An amount of tokens or epochs must be above 0. Got {amount:g} for {name}.")
        if self.forgetting is not None and not 0 <= self.forgetting < math.inf:
            raise SimtoolError(f"The budget of forgetting is in bits, 0 or more. Got {self.forgetting:g}.")

    def bounds(self, corpora: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Floor and cap of each corpus: float64 (K,) each. Raises SimtoolError where no mixture is within them."""
        for name in (*self.keep, *self.cap, *self.available):
            if name not in corpora:
                raise unknown("corpus", name, corpora)
        lower = np.array([self.keep.get(name, 0.0) for name in corpora])
        upper = np.array([min(self.cap.get(name, 1.0), self._most(name)) for name in corpora])
        floors, caps = self.floor_texts(corpora, lower), self.cap_texts(corpora, upper)
        for i in np.flatnonzero(lower > upper):
            raise SimtoolError(f"No mixture has both {floors[i]} and {caps[i]}.\nLower that floor or raise that cap.")
        if lower.sum() > 1 + EDGE:
            told = ", ".join(floors[i] for i in np.flatnonzero(lower))
            raise SimtoolError(
                f"The floors {told} sum to {lower.sum():g}, and the whole is 1.\n"
                f"Lower them by {lower.sum() - 1:g} together."
            )
        if upper.sum() < 1 - EDGE:
            raise SimtoolError(
                f"The caps {', '.join(caps)} sum to {upper.sum():g}: {1 - upper.sum():g} of the mixture has no corpus."
                "\nRaise a cap, train on fewer tokens, or give another candidate."
            )
        return lower, upper

    def floor_texts(self, corpora: Sequence[str], lower: np.ndarray) -> list[str]:
        return [f"{name}>={share:g}" for name, share in zip(corpora, lower, strict=True)]

    def cap_texts(self, corpora: Sequence[str], upper: np.ndarray) -> list[str]:
        """How each cap reads, with its reason where that is repetition."""
        return [
            f"{name}<={share:g}"
            + (
                f" ({self.max_epochs:g} epochs of {self.available[name]:,} in {self.tokens:,} tokens)"
                if share == self._most(name) < 1
                else ""
            )
            for name, share in zip(corpora, upper, strict=True)
        ]

    def _most(self, corpus: str) -> float:
        """The share at which a corpus has been repeated as often as it may be."""
        if self.tokens is None or corpus not in self.available:
            return 1.0
        return min(1.0, self.available[corpus] * self.max_epochs / self.tokens)


def effective_tokens(trained: float, available: float) -> float:
    """How much new data is worth as much as `trained` tokens from a corpus of `available` ones.

    U + U R* (1 - exp(-R / R*)), with U the tokens that are new and R = trained / U - 1 the repetitions
    (Muennighoff et al. 2023, arXiv:2305.16264, equation 5): 4 epochs are worth 3.73, and no number of them more
    than 16.39.
    """
    new = min(trained, available)
    if new == 0:
        return 0.0
    repetitions = trained / new - 1
    return new * (1 + REPETITION_SCALE * -math.expm1(-repetitions / REPETITION_SCALE))
