"""What the public functions take in several shapes: names and weights, and how much of a corpus is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from simtool.addresses import public_name
from simtool.mixture import SHARE
from simtool.profiles.resolve import Options

COUNTED_PER_TOKEN = 4  # tokens counted of a large corpus for each one taken of it, so that the sample is no prefix


def as_names(names: Mapping[str, float] | Sequence[str | Path] | str | Path) -> list[str]:
    """Names as a list: of a list, of a mapping's keys, or of one name; a path is its text."""
    names = [names] if isinstance(names, str | Path) else names
    return [public_name(str(name)) for name in names]


def as_weights(targets: Mapping[str, float] | Sequence[str] | str) -> dict[str, float]:
    """Weights by name: of a mapping, or of a list, where "gsm8k:0.5" has its weight and "gsm8k" has 1."""
    if isinstance(targets, Mapping):
        return dict(targets)
    weights = {}
    for text in as_names(targets):
        match = None if "+" in text else SHARE.match(text)  # a mixture's shares are its own
        weights[match["corpus"] if match else text] = float(match["share"]) if match else 1.0
    return weights


def as_mixture_texts(mid: Mapping[str, float] | Sequence[str] | str) -> list[str]:
    """Midtraining mixtures as they are typed: of a list as it is, of a mapping each corpus with its share."""
    if isinstance(mid, Mapping):
        return [f"{name}:{share:g}" for name, share in mid.items()]
    return as_names(mid)


def sampling(options: Options | None, tokens: int | None) -> Options:
    """Options under which no more of a large corpus is counted than a sample of `tokens` needs."""
    options = options or Options()
    if tokens is None or options.sample is None:
        return options
    return replace(options, sample=min(options.sample, COUNTED_PER_TOKEN * tokens))
