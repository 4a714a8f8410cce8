"""Why a mixture is closer to a target: which of the target's tokens or n-grams it newly covers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simtool.errors import unknown
from simtool.mixture import Mixture
from simtool.profiles.features import find_feature
from simtool.profiles.profile import Profile, check_same_tokenizer
from simtool.similarity.attribution import mixed_shares, ngram_names
from simtool.similarity.matrix import feature_counts
from simtool.similarity.metrics import smooth

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Explanation:
    """How many bits fewer a target's symbol costs under the mixture than under the pretraining corpus, entry by entry.

    bits                                           float64 (dimension,)   they sum to the reduction of `cross_entropy`
    share_target, share_pretrain, share_mixture    float64 (dimension,)   of each entry; a mixture's is exact
    names                                          {entry: readable n-gram}; a bucket without a known n-gram has none
    """

    target: str
    feature: str
    bits: np.ndarray
    share_target: np.ndarray
    share_pretrain: np.ndarray
    share_mixture: np.ndarray
    names: Mapping[int, str]

    def __post_init__(self) -> None:
        for array in (self.bits, self.share_target, self.share_pretrain, self.share_mixture):
            array.flags.writeable = False

    @property
    def total(self) -> float:
        """Bits per symbol of the target, on all that was counted; above 0: the mixture covers it better."""
        return float(self.bits.sum())

    @property
    def newly_covered(self) -> np.ndarray:
        """bool (dimension,): the target and the mixture have it, the pretraining corpus never showed it."""
        return (self.share_target > 0) & (self.share_mixture > 0) & (self.share_pretrain == 0)

    def to_polars(self, n: int | None = None) -> "pl.DataFrame":
        """One row an entry, what helps most first and what hurts most last; n: only the n largest of each side."""
        import polars as pl

        order = np.argsort(-self.bits, kind="stable")
        order = order[self.bits[order] != 0]
        if n is not None:
            helps, hurts = order[self.bits[order] > 0][:n], order[self.bits[order] < 0][-n:]
            order = np.concatenate([helps, hurts])
        return pl.DataFrame(
            {
                "target": self.target,
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
    token_text: Callable[[int], str] | None = None,
) -> Explanation:
    """What the mixture covers of the target that the pretraining corpus does not.

    token_text   a token's readable form; None: tokens are shown as #id

    With p, m, q the smoothed shares of an entry in pretraining corpus, mixture and target, it adds q log2(m / p)
    bits (`metrics.cross_entropy`). All counts are used, not thinned, so the sum differs a little from what
    `advantage` measures on halves of equal size.
    """
    find_feature(feature)
    corpora = dict.fromkeys((target, *mixture.weights, *pretrain.weights))
    for name in corpora:
        if name not in profiles:
            raise unknown("corpus", name, profiles)
    used = {name: profiles[name] for name in corpora}
    check_same_tokenizer(used.values())
    counts = feature_counts(used, feature)
    p, m, q = (mixed_shares(used, counts, parts) for parts in (pretrain.weights, mixture.weights, {target: 1.0}))
    V = len(q)
    bits = smooth(q, V) * np.log2(smooth(m, V) / smooth(p, V))
    names = ngram_names(list(used.values()), feature, V, token_text)
    return Explanation(target, feature, bits, q, p, m, names)
