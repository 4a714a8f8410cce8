"""How much of each corpus: shares of *tokens* that sum to 1. The only way from what a user types to a mixture."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from simtool.addresses import public_name
from simtool.errors import SimtoolError
from simtool.published import PUBLISHED

SHARE = re.compile(r"^(?P<corpus>.+):(?P<share>\d*\.?\d+(?:[eE][+-]?\d+)?)$")
NO_SHARE = re.compile(r":[\d.,]+%?$")  # what is meant as one, and is none: 20%
Unit = Literal["tokens", "documents", "bytes"]


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
        return _text_of(self.weights)

    @property
    def label(self) -> str:
        """As people call it: "c4" of a corpus by itself, else "c4:0.8+starcoder:0.2"."""
        return next(iter(self.weights)) if len(self.weights) == 1 else str(self)


# --- From text ---


def parse_mixture(text: str) -> Mixture:
    """The mixture that a text names: "c4:0.8+starcoder:0.2", "smollm3-stage1", or "c4", a corpus by itself.

    It is a mixture only if every part ends in a share, so that file names with '+' and hub ids with ':' stay what
    they are. A corpus named twice counts with the sum of its shares.
    """
    shares = _parse_shares(text)
    if shares is None:
        return _named(text)
    Mixture(shares)  # whose error has the shares as they were typed
    return _flatten([(_named(name), share) for name, share in shares.items()])


def parse_midtraining(text: str, pretrain: Mixture) -> Mixture:
    """The mixture of "starcoder:0.2" or "c4:0.5+starcoder:0.5": what the shares leave of 1 is pretraining data.

    A share of 0 is the pretraining corpus, a share of 1 continued pretraining.

    Raises
    ------
    SimtoolError
        Where a share is missing, or they come to more than 1.
    """
    shares = _midtraining_shares(text)
    total = math.fsum(shares.values())
    if total > 1 + 1e-9:
        raise SimtoolError(f"The shares of --mid {text} must come to at most 1. Got {total:g}.")
    return _flatten([(_named(corpus), share) for corpus, share in shares.items()] + [(pretrain, 1 - total)])


def midtraining_name(text: str) -> str:
    """The one name of a midtraining mixture: as it is typed, spelled canonically.

    "starcoder:.20" and "starcoder:0.2" are both "starcoder:0.2".
    """
    return _text_of(_midtraining_shares(text))


def without_shares(name: str) -> str:
    """The corpora of a mixture's name: "starcoder+math" of "starcoder:0.2+math:0.1"; other texts as they are."""
    shares = _parse_shares(name)
    return name if shares is None else "+".join(shares)


def midtraining_mixtures(pretrain: Mixture, texts: Sequence[str]) -> dict[str, Mixture]:
    """Midtraining mixtures by their names.

    Raises
    ------
    SimtoolError
        Where a name comes twice.
    """
    names = [midtraining_name(text) for text in texts]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SimtoolError(f"Named twice: {', '.join(repeated)}. Name every mixture once.")
    return {name: parse_midtraining(text, pretrain) for name, text in zip(names, texts, strict=True)}


def _named(name: str) -> Mixture:
    """A published mixture, or a corpus by itself."""
    return Mixture(PUBLISHED[name].shares if name in PUBLISHED else {public_name(name): 1.0})


def _parse_shares(text: str) -> dict[str, float] | None:
    """The shares by corpus; None where a part has none."""
    parts = [SHARE.match(part.strip()) for part in public_name(text).split("+")]
    shares: dict[str, float] = {}
    for part in parts:
        if part is None:
            return None
        shares[part["corpus"]] = shares.get(part["corpus"], 0.0) + float(part["share"])
    return shares


def _midtraining_shares(text: str) -> dict[str, float]:
    shares = _parse_shares(text)
    if shares is None:
        raise SimtoolError(
            f"--mid {text} lacks a share. Write --mid {NO_SHARE.sub('', text.split('+')[0])}:0.2 for a fifth of it;"
            " what the shares leave of 1 is the pretraining corpus."
        )
    return shares


def _text_of(shares: Mapping[str, float]) -> str:
    return "+".join(f"{corpus}:{share:g}" for corpus, share in shares.items())


# --- From mixtures ---


def as_mixtures(names: Iterable[str]) -> dict[str, Mixture]:
    """Each corpus as a mixture of itself alone."""
    return {name: Mixture({name: 1.0}) for name in names}


def blend(pretrain: Mixture, special: Mixture, share: float) -> Mixture:
    """`share` of the special mixture, the rest pretraining data; both ends are legal."""
    if not 0 <= share <= 1:
        raise SimtoolError(f"A share lies between 0 and 1. Got {share:g}.")
    return _flatten([(pretrain, 1 - share), (special, share)])


def convert_weights(weights: Mapping[str, float], unit: Unit, sizes: Mapping[str, Mapping[str, int]]) -> Mixture:
    """The mixture, in shares of tokens, whose shares in documents or bytes are these.

    Parameters
    ----------
    weights
        By corpus; they sum to 1.
    sizes
        Documents, tokens and bytes of each corpus, as `Profile.size`.
    """
    Mixture(weights)
    tokens = {corpus: share * sizes[corpus]["tokens"] / sizes[corpus][unit] for corpus, share in weights.items()}
    return Mixture({corpus: n / math.fsum(tokens.values()) for corpus, n in tokens.items()})


def _flatten(parts: Sequence[tuple[Mixture, float]]) -> Mixture:
    """The mixture of mixtures. Shares that are rounding errors of 0 are left out."""
    weights: dict[str, float] = {}
    for mixture, share in parts:
        for corpus, weight in mixture.weights.items():
            if share > 1e-9:
                weights[corpus] = weights.get(corpus, 0.0) + share * weight
    return Mixture(weights)
