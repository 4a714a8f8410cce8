"""What a mixture must satisfy: minimum and maximum shares, repetition, and a budget of forgetting."""

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
class Constraints:
    """What a mixture must satisfy; every mapping is by corpus, the pretraining corpus included.

    min_share, max_share   in 0 .. 1
    tokens                 length of the phase that trains on the mixture
    available              tokens of a corpus in all; where it is set, `tokens` must be
    max_epochs             how often a corpus with `available` may be repeated
    max_forgetting         bits per symbol that text like the pretraining corpus may cost more at most
    """

    min_share: Mapping[str, float] = field(default_factory=dict)
    max_share: Mapping[str, float] = field(default_factory=dict)
    tokens: int | None = None
    available: Mapping[str, int] = field(default_factory=dict)
    max_epochs: float = MAX_EPOCHS
    max_forgetting: float | None = None

    def __post_init__(self) -> None:
        for sign, shares in ((">=", self.min_share), ("<=", self.max_share)):
            for corpus, share in shares.items():
                if not 0 <= share <= 1:
                    raise SimtoolError(f"A share lies between 0 and 1. Got {corpus}{sign}{share:g}.")
        if self.available and self.tokens is None:
            raise SimtoolError(
                "Available tokens limit a share only when the length of training is known.\n"
                "Give the tokens of the phase as well, as in --mid-tokens 2B."
            )
        amounts = {"tokens": self.tokens, "max_epochs": self.max_epochs}
        for name, amount in (*amounts.items(), *self.available.items()):
            if amount is not None and not 0 < amount < math.inf:
                raise SimtoolError(f"An amount of tokens or epochs must be above 0. Got {amount:g} for {name}.")
        if self.max_forgetting is not None and not 0 <= self.max_forgetting < math.inf:
            raise SimtoolError(f"The budget of forgetting is in bits, 0 or more. Got {self.max_forgetting:g}.")

    def bounds(self, corpora: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Minimum and maximum share of each corpus: float64 (K,) each.

        Raises
        ------
        SimtoolError
            Where no mixture fits.
        """
        for name in (*self.min_share, *self.max_share, *self.available):
            if name not in corpora:
                raise unknown("corpus", name, corpora)
        lower = np.array([self.min_share.get(name, 0.0) for name in corpora])
        upper = np.array([min(self.max_share.get(name, 1.0), self._max_repeated_share(name)) for name in corpora])
        minima, maxima = self.min_share_texts(corpora, lower), self.max_share_texts(corpora, upper)
        for i in np.flatnonzero(lower > upper):
            raise SimtoolError(
                f"No mixture has both {minima[i]} and {maxima[i]}.\nLower that minimum or raise that maximum."
            )
        if lower.sum() > 1 + EDGE:
            texts = ", ".join(minima[i] for i in np.flatnonzero(lower))
            raise SimtoolError(
                f"The minimum shares {texts} sum to {lower.sum():g}, and the whole is 1.\n"
                f"Lower them by {lower.sum() - 1:g} together."
            )
        if upper.sum() < 1 - EDGE:
            raise SimtoolError(
                f"The maximum shares {', '.join(maxima)} sum to {upper.sum():g}:"
                f" {1 - upper.sum():g} of the mixture has no corpus.\n"
                "Raise a maximum, train on fewer tokens, or give another candidate."
            )
        return lower, upper

    def min_share_texts(self, corpora: Sequence[str], lower: np.ndarray) -> list[str]:
        return [f"{name}>={share:g}" for name, share in zip(corpora, lower, strict=True)]

    def max_share_texts(self, corpora: Sequence[str], upper: np.ndarray) -> list[str]:
        """How each maximum reads, with its reason where that is repetition."""
        return [
            f"{name}<={share:g}"
            + (
                f" ({self.max_epochs:g} epochs of {self.available[name]:,} in {self.tokens:,} tokens)"
                if share == self._max_repeated_share(name) < 1
                else ""
            )
            for name, share in zip(corpora, upper, strict=True)
        ]

    def _max_repeated_share(self, corpus: str) -> float:
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


def possible_shares(lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and most that each share can be beside the others' bounds: float64 (K,) each, as the bounds are."""
    return np.maximum(lower, 1 - (upper.sum() - upper)), np.minimum(upper, 1 - (lower.sum() - lower))
