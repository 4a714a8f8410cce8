"""What is gained on the targets for what is forgotten: the mixtures that no other beats in both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from simtool.mixing.constraints import Constraints
from simtool.mixing.problem import RESAMPLES, build_problem, effects, interval_around, on_half_samples
from simtool.mixing.solver import trace
from simtool.profiles.profile import Profile
from simtool.results import Tabular, read_only

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, repr=False)
class Frontier(Tabular):
    """The mixtures that no other within the minimum and maximum shares beats in both target and forgetting.

    trade_off                float64 (P,)     t: a point minimises (1 - t) bits of the targets + t forgetting;
                                              from 1, the least forgetting, to 0, the best for the targets
    weights                  float64 (P, K)   the pretraining corpus first
    gap                      float64 (P,)     bits of what a point minimises
    forgetting, ..low, ..high  float64 (P,)   bits, with the 95% interval of that mixture over half-samples
    gain, ..low, ..high      float64 (P, T)   bits, likewise
    """

    table = "mixture_frontier"
    columns_printed = ("point", "forgetting_bits", "target", "gain_bits", "gain_low", "gain_high")

    corpora: tuple[str, ...]
    targets: tuple[str, ...]
    target_weights: np.ndarray
    trade_off: np.ndarray
    weights: np.ndarray
    gap: np.ndarray
    forgetting: np.ndarray
    forgetting_low: np.ndarray
    forgetting_high: np.ndarray
    gain: np.ndarray
    gain_low: np.ndarray
    gain_high: np.ndarray
    feature: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        read_only(self)

    def to_polars(self) -> "pl.DataFrame":
        """One row per point and target; the shares of the point's mixture are in columns share_CORPUS."""
        import polars as pl

        n_points, n_targets = self.gain.shape
        point, target = np.divmod(np.arange(n_points * n_targets), n_targets)
        return pl.DataFrame(
            {
                "point": point,
                "trade_off": self.trade_off[point],
                "forgetting_bits": self.forgetting[point],
                "forgetting_low": self.forgetting_low[point],
                "forgetting_high": self.forgetting_high[point],
                "target": [self.targets[t] for t in target],
                "target_weight": self.target_weights[target],
                "gain_bits": self.gain.ravel(),
                "gain_low": self.gain_low.ravel(),
                "gain_high": self.gain_high.ravel(),
                "feature": self.feature,
                **{f"share_{name}": self.weights[point, k] for k, name in enumerate(self.corpora)},
            }
        )


def frontier(
    profiles: Mapping[str, Profile],
    pretrain: str,
    candidates: Sequence[str],
    targets: Mapping[str, float],
    constraints: Constraints | None = None,
    feature: str = "token",
    points: int = 21,
    excluded: Sequence[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Frontier:
    """What is gained on the targets for what is forgotten, as `recommend`; constraints.max_forgetting plays no part.

    From the two ends, the widest step in target and forgetting is halved in its trade-off until there are `points`.

    Parameters
    ----------
    excluded
        Candidates that get no share, as those that `recommend` dropped.
    """
    problem = build_problem(
        profiles, pretrain, candidates, targets, constraints or Constraints(), feature, resamples, seed
    )
    problem = problem.without(excluded)
    whole = problem.counts.whole()
    optima = trace(whole, problem.target_weights, points)
    weights = np.stack([point.weights for point in optima])
    whole_PT = effects(whole, weights)
    (effects_RPT,) = on_half_samples(lambda half: (effects(half, weights),), problem)
    low_PT, high_PT = interval_around(whole_PT, effects_RPT)
    return Frontier(
        corpora=problem.corpora,
        targets=tuple(targets),
        target_weights=problem.target_weights,
        trade_off=np.array([point.trade_off for point in optima]),
        weights=weights,
        gap=np.array([point.gap for point in optima]),
        forgetting=whole_PT[:, -1],
        forgetting_low=low_PT[:, -1],
        forgetting_high=high_PT[:, -1],
        gain=whole_PT[:, :-1],
        gain_low=low_PT[:, :-1],
        gain_high=high_PT[:, :-1],
        feature=feature,
    )
