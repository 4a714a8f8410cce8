"""Two corpora side by side: which tokens and n-grams make the difference."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simtool.profiles.features import FEATURES
from simtool.profiles.profile import Profile, check_same_tokenizer
from simtool.profiles.skeleton import skeleton_symbols
from simtool.similarity.matrix import SimilarityMatrix, feature_counts

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Difference:
    """The Jensen-Shannon divergence of two corpora on one feature, taken apart.

    bits     float64 (dimension,)   what each entry adds; they sum to the divergence
    share_a, share_b                the entry's share of each corpus
    names    {entry: readable n-gram}; a hashed bucket without a known n-gram has no name
    """

    feature: str
    bits: np.ndarray
    share_a: np.ndarray
    share_b: np.ndarray
    names: dict[int, str]

    @property
    def total(self) -> float:
        """The divergence in bits, in [0, 1]: the plug-in value on all that was counted, without a correction."""
        return float(self.bits.sum())

    def largest(self, side: str, n: int) -> np.ndarray:
        """The n entries that add most among those more frequent in corpus "a" or "b", largest first."""
        more = self.share_a > self.share_b if side == "a" else self.share_b > self.share_a
        entries = np.flatnonzero(more)
        return entries[np.argsort(-self.bits[entries], kind="stable")][:n]

    def to_polars(self, n: int | None = None) -> "pl.DataFrame":
        """One row an entry, largest first: feature, entry, ngram, bits, share_a, share_b."""
        import polars as pl

        order = np.argsort(-self.bits, kind="stable")
        order = order[self.bits[order] > 0][:n]
        return pl.DataFrame(
            {
                "feature": self.feature,
                "entry": order,
                "ngram": [self.names.get(int(entry)) for entry in order],
                "bits": self.bits[order],
                "share_a": self.share_a[order],
                "share_b": self.share_b[order],
            }
        )


@dataclass(frozen=True)
class Comparison:
    """Two corpora side by side: their matrix, and what makes the difference on each feature.

    unreadable   why tokens are shown as #id and not as text; None where they are text
    """

    matrix: SimilarityMatrix
    differences: tuple[Difference, ...]
    unreadable: str | None = None


Parts = Mapping[str, float]  # corpus: its share in tokens; a corpus by itself is {corpus: 1.0}


def difference(
    profiles: Mapping[str, Profile],
    a: Parts,
    b: Parts,
    feature: str,
    token_text: Callable[[int], str] | None = None,
) -> Difference:
    """What makes two corpora, or mixtures of corpora, differ on a feature.

    profiles     by corpus name, with the feature's counts
    token_text   a token's readable form; None where the tokenizer is not at hand: tokens are then shown as #id

    With p and q the shares of an entry and m their mean, it adds (p log2(p/m) + q log2(q/m)) / 2 bits (Lin 1991).
    """
    used = {name: profiles[name] for name in {**a, **b}}
    check_same_tokenizer(used.values())
    counts = feature_counts(used, feature)
    p, q = (mixed_shares(used, counts, parts) for parts in (a, b))
    middle = (p + q) / 2
    bits = np.zeros(len(p))
    for share in (p, q):
        seen = share > 0
        bits[seen] += share[seen] * np.log2(share[seen] / middle[seen]) / 2
    return Difference(feature, bits, p, q, ngram_names(list(used.values()), feature, len(p), token_text))


def mixed_shares(profiles: Mapping[str, Profile], counts: Mapping[str, np.ndarray], parts: Parts) -> np.ndarray:
    """The share of each entry in a mixture: what a token of it holds of each, then brought to sum 1."""
    mixed = sum(share * counts[name].sum(axis=0) / profiles[name].size["tokens"] for name, share in parts.items())
    return mixed / mixed.sum()


def ngram_names(
    profiles: list[Profile], feature: str, dimension: int, token_text: Callable[[int], str] | None
) -> dict[int, str]:
    view = FEATURES[feature].view
    if view == "token":
        symbol = token_text or (lambda token: f"#{token}")
        join = "".join if token_text else " ".join
    elif view == "skeleton":
        symbol, join = skeleton_symbols().__getitem__, " ".join
    else:
        symbol, join = (lambda point: chr(point)), "".join
    if FEATURES[feature].order == 1 and FEATURES[feature].n_buckets is None:
        return {entry: symbol(entry) for entry in range(dimension)}
    names: dict[int, str] = {}
    for profile in reversed(profiles):
        for bucket, ngram in profile.labels.get(feature, {}).items():
            # labels are kept at the profile's own number of buckets
            entry = bucket * dimension // profile.features[feature].shape[1]
            names[entry] = join(symbol(part) for part in ngram)
    return names
