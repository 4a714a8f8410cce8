"""Where a similarity comes from: which tokens and n-grams make two corpora differ, or bring a mixture closer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simtool.errors import unknown
from simtool.mixture import Mixture
from simtool.profiles.features import FEATURES, VIEWS, find_feature
from simtool.profiles.profile import Profile, check_same_tokenizer
from simtool.results import Tabular, read_only
from simtool.similarity.matrix import FeatureCounts, SimilarityMatrix, feature_counts
from simtool.similarity.metrics import smooth

if TYPE_CHECKING:
    import polars as pl

Shares = Mapping[str, float]  # corpus: its share in tokens; a corpus by itself is {corpus: 1.0}
TokenText = Callable[[int], str]  # a token's readable form


# --- Two corpora side by side ---


@dataclass(frozen=True, repr=False)
class Difference(Tabular):
    """The Jensen-Shannon divergence of two corpora on one feature, taken apart.

    bits     float64 (dimension,)   what each entry adds; they sum to the divergence
    share_a, share_b                the entry's share of each corpus
    names    {entry: readable n-gram}; a hashed bucket without a known n-gram has no name
    """

    table = "differences"
    columns_printed = ("feature", "ngram", "bits", "share_a", "share_b")

    feature: str
    bits: np.ndarray
    share_a: np.ndarray
    share_b: np.ndarray
    names: Mapping[int, str]

    def __post_init__(self) -> None:
        read_only(self)

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
        """One row per entry, largest first: feature, entry, ngram, bits, share_a, share_b."""
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


@dataclass(frozen=True, repr=False)
class Comparison(Tabular):
    """Two corpora side by side: their matrix, and what makes the difference on each feature.

    unreadable   why tokens are shown as #id and not as text; None where they are text
    """

    table = "differences"
    columns_printed = ("feature", "ngram", "bits", "share_a", "share_b")

    matrix: SimilarityMatrix
    differences: tuple[Difference, ...]
    unreadable: str | None = None

    def to_polars(self) -> "pl.DataFrame":
        """One row per entry that makes a difference, of one feature after the other."""
        import polars as pl

        return pl.concat([difference.to_polars() for difference in self.differences])


def difference(
    profiles: Mapping[str, Profile],
    a: Shares,
    b: Shares,
    feature: str,
    token_text: TokenText | None = None,
    shares_of: "SharesOf | None" = None,
) -> Difference:
    """What makes two corpora, or mixtures of corpora, differ on a feature.

    With p and q the shares of an entry and m their mean, it adds (p log2(p/m) + q log2(q/m)) / 2 bits (Lin 1991).

    Parameters
    ----------
    profiles
        By corpus name, with the feature's counts.
    a, b
        The shares, in tokens, of the corpora that each side is mixed from.
    feature
        One of FEATURES.
    token_text
        A token's readable form; None where the tokenizer is not at hand: tokens are then shown as #id.
    shares_of
        `shares_once()`, where many differences of one feature are taken from the same profiles.
    """
    used = {name: profiles[name] for name in {**a, **b}}
    check_same_tokenizer(used.values())
    counts = feature_counts(used, feature)
    p, q = ((shares_of or mixed_shares)(used, counts, shares) for shares in (a, b))
    middle = (p + q) / 2
    bits = np.zeros(len(p))
    for share in (p, q):
        seen = share > 0
        bits[seen] += share[seen] * np.log2(share[seen] / middle[seen]) / 2
    return Difference(feature, bits, p, q, ngram_names(list(used.values()), feature, len(p), token_text))


# --- Why a mixture is closer ---


@dataclass(frozen=True, repr=False)
class Explanation(Tabular):
    """How many bits fewer a target's symbol costs under the mixture than under the pretraining corpus, entry by entry.

    bits                                           float64 (dimension,)   they sum to the reduction of `cross_entropy`
    share_target, share_pretrain, share_mixture    float64 (dimension,)   of each entry; a mixture's is exact
    names                                          {entry: readable n-gram}; a bucket without a known n-gram has none
    """

    table = "explanation"
    columns_printed = ("target", "feature", "ngram", "bits", "share_target", "share_pretrain", "share_mixture")

    target: str
    mixture: str
    feature: str
    bits: np.ndarray
    share_target: np.ndarray
    share_pretrain: np.ndarray
    share_mixture: np.ndarray
    names: Mapping[int, str]

    def __post_init__(self) -> None:
        read_only(self)

    @property
    def total(self) -> float:
        """Bits per symbol of the target, on all that was counted; above 0: the mixture covers it better."""
        return float(self.bits.sum())

    @property
    def newly_covered(self) -> np.ndarray:
        """bool (dimension,): the target and the mixture have it, the pretraining corpus never showed it."""
        return (self.share_target > 0) & (self.share_mixture > 0) & (self.share_pretrain == 0)

    def to_polars(self, n: int | None = None) -> "pl.DataFrame":
        """One row per entry, what helps most first and what hurts most last; n: only the n largest of each side."""
        import polars as pl

        order = np.argsort(-self.bits, kind="stable")
        order = order[self.bits[order] != 0]
        if n is not None:
            helps, hurts = order[self.bits[order] > 0][:n], order[self.bits[order] < 0][-n:]
            order = np.concatenate([helps, hurts])
        return pl.DataFrame(
            {
                "target": self.target,
                "mixture": self.mixture,
                "feature": self.feature,
                "entry": order,
                "ngram": [self.names.get(int(entry)) for entry in order],
                "bits": self.bits[order],
                "share_target": self.share_target[order],
                "share_pretrain": self.share_pretrain[order],
                "share_mixture": self.share_mixture[order],
                "newly_covered": self.newly_covered[order],
            },
            schema_overrides={"ngram": pl.String},
        )


def explain(
    profiles: Mapping[str, Profile],
    pretrain: Mixture,
    mixture: Mixture,
    target: str,
    feature: str = "token",
    token_text: TokenText | None = None,
) -> Explanation:
    """What the mixture covers of the target that the pretraining corpus does not.

    With p, m, q the smoothed shares of an entry in pretraining corpus, mixture and target, it adds q log2(m / p)
    bits (`metrics.cross_entropy`). All counts are used, not thinned, so the sum differs a little from what
    `advantage` measures on halves of equal size.

    Parameters
    ----------
    profiles
        By corpus name, with the feature's counts.
    token_text
        A token's readable form; None: tokens are shown as #id.

    Raises
    ------
    SimtoolError
        When a corpus has no profile, the feature is unknown, or tokenizers differ.
    """
    find_feature(feature)
    corpora = dict.fromkeys((target, *mixture.weights, *pretrain.weights))
    for name in corpora:
        if name not in profiles:
            raise unknown("corpus", name, profiles)
    used = {name: profiles[name] for name in corpora}
    check_same_tokenizer(used.values())
    counts = feature_counts(used, feature)
    p, m, q = (mixed_shares(used, counts, shares) for shares in (pretrain.weights, mixture.weights, {target: 1.0}))
    V = len(q)
    bits = smooth(q, V) * np.log2(smooth(m, V) / smooth(p, V))
    names = ngram_names(list(used.values()), feature, V, token_text)
    return Explanation(target, str(mixture), feature, bits, q, p, m, names)


# --- What both need ---


def mixed_shares(profiles: Mapping[str, Profile], counts: Mapping[str, np.ndarray], shares: Shares) -> np.ndarray:
    """The share of each entry in a mixture: what a token of it holds of each, then brought to sum 1."""
    mixed = sum(share * counts[name].sum(axis=0) / profiles[name].size["tokens"] for name, share in shares.items())
    return mixed / mixed.sum()


SharesOf = Callable[[Mapping[str, Profile], FeatureCounts, Shares], np.ndarray]


def shares_once() -> SharesOf:
    """`mixed_shares`, each taken once: counts are read from their files for it, 0.03 s of processor time each."""
    known: dict[Any, np.ndarray] = {}

    def shares_of(profiles: Mapping[str, Profile], counts: FeatureCounts, shares: Shares) -> np.ndarray:
        key = tuple(shares.items()), tuple(counts.dimensions.items())
        if key not in known:
            known[key] = mixed_shares(profiles, counts, shares)
        return known[key]

    return shares_of


def ngram_names(profiles: list[Profile], feature: str, dimension: int, token_text: TokenText | None) -> dict[int, str]:
    """The readable form of entries; token_text: None shows tokens as #id."""
    view = VIEWS[FEATURES[feature].view]
    symbol = view.spell or token_text or "#{}".format
    join = (view.joined_by if view.spell or token_text else " ").join
    if FEATURES[feature].order == 1 and FEATURES[feature].n_buckets is None:
        return {entry: symbol(entry) for entry in range(dimension)}
    names: dict[int, str] = {}
    for profile in reversed(profiles):
        for bucket, ngram in profile.labels.get(feature, {}).items():
            # labels are kept at the profile's own number of buckets
            entry = bucket * dimension // profile.dimension(feature)
            names[entry] = join(symbol(part) for part in ngram)
    return names
