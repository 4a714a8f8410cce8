"""How much of each corpus: shares of *tokens* that sum to 1."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from simtool.errors import SimtoolError

SHARE = re.compile(r"^(?P<corpus>.+):(?P<share>\d*\.?\d+(?:[eE][+-]?\d+)?)$")


@dataclass(frozen=True)
class Mixture:
    """Share of each corpus, in tokens: every share > 0, together 1 within 1e-9."""

    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        shares = dict(self.weights)
        total = math.fsum(shares.values())
        if not shares or not all(0 < share < math.inf for share in shares.values()) or abs(total - 1) > 1e-9:
            raise SimtoolError(f"Mixture weights must be positive and sum to 1. Got {shares} (sum {total:.6g}).")
        object.__setattr__(self, "weights", MappingProxyType(shares))

    def __str__(self) -> str:
        return "+".join(f"{corpus}:{share:g}" for corpus, share in self.weights.items())


def parse_mixture(text: str) -> Mixture | None:
    """The mixture that "c4:0.8+starcoder:0.2" names; None where the text is not of that form.

    Every part must end in a share, so that file names with '+' and hub ids with ':' stay what they are.
    A corpus named twice counts with the sum of its shares.
    """
    parts = [SHARE.match(part.strip()) for part in text.split("+")]
    if not all(parts):
        return None
    weights: dict[str, float] = {}
    for part in parts:
        assert part is not None
        weights[part["corpus"]] = weights.get(part["corpus"], 0.0) + float(part["share"])
    return Mixture(weights)


def as_mixtures(names: Iterable[str]) -> dict[str, Mixture]:
    """Each corpus as a mixture of itself alone."""
    return {name: Mixture({name: 1.0}) for name in names}
