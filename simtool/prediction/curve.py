"""The advantage of a special corpus as its share goes from 0 to 1, and where it peaks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simtool.mixture import Mixture, blend
from simtool.prediction.advantage import interval_or_nan, measure
from simtool.prediction.question import RESAMPLES, Question, leaks
from simtool.profiles.profile import Profile
from simtool.results import Tabular, read_only
from simtool.similarity.metrics import find_metric
from simtool.statistics import TAILS

if TYPE_CHECKING:
    import polars as pl

SHARES = tuple(round(i / 20, 2) for i in range(21))


@dataclass(frozen=True, repr=False)
class Curve(Tabular):
    """The advantage as a function of the special corpus's share.

    shares                      float64 (n,)     from 0, the pretraining corpus, to 1, continued pretraining
    value, low, high            float64 (n, m)   PA with its interval
    peak, peak_low, peak_high   float64 (m,)     the share where the mean PA is largest; 95% of half-splits have
                                                 their peak in between. No finer than the grid of shares
    """

    table = "advantage_curve"
    columns_printed = ("special", "target", "share", "advantage", "low", "high")

    pretrain: Mixture
    special: Mixture
    targets: tuple[str, ...]
    metric: str
    feature: str
    shares: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    peak: np.ndarray
    peak_low: np.ndarray
    peak_high: np.ndarray
    tokens: int
    resamples: int
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        read_only(self)

    def to_polars(self) -> "pl.DataFrame":
        """One row per target and share: special, target, share, advantage, low, high, and the target's peak."""
        import polars as pl

        columns, rows = np.divmod(np.arange(self.value.size), len(self.shares))
        return pl.DataFrame(
            {
                "special": str(self.special),
                "target": [self.targets[j] for j in columns],
                "share": self.shares[rows],
                "advantage": self.value[rows, columns],
                "low": self.low[rows, columns],
                "high": self.high[rows, columns],
                "peak": self.peak[columns],
                "peak_low": self.peak_low[columns],
                "peak_high": self.peak_high[columns],
                "metric": self.metric,
                "feature": self.feature,
                "tokens": self.tokens,
                "resamples": self.resamples,
            }
        )


def curve(
    profiles: Mapping[str, Profile],
    pretrain: Mixture,
    special: Mixture,
    targets: Sequence[str],
    metric: str = "token",
    feature: str | None = None,
    shares: Sequence[float] = SHARES,
    tokens: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Curve:
    """PA against the share of a special corpus, and where it peaks. See `advantage` for the arguments."""
    mixtures = {f"{share:g}": blend(pretrain, special, share) for share in shares}
    question = Question(profiles, pretrain, mixtures, tuple(targets), tokens, resamples, seed)
    feature = feature or find_metric(metric).feature
    measured = measure(question, [metric], feature)[0]
    ours, grid = measured.sampling(measured.advantage), np.array([float(share) for share in mixtures])
    low, high = interval_or_nan(ours)
    peaks = np.quantile(grid[ours.argmax(axis=1)], TAILS, axis=0, method="closest_observation")
    only_special = replace(question, mixtures={str(special): special})
    return Curve(
        pretrain=pretrain,
        special=special,
        targets=question.targets,
        metric=metric,
        feature=feature,
        shares=grid,
        value=ours.mean(axis=0),
        low=low,
        high=high,
        peak=grid[ours.mean(axis=0).argmax(axis=0)],
        peak_low=peaks[0],
        peak_high=peaks[1],
        tokens=measured.tokens,
        resamples=resamples,
        notes=leaks(only_special),
    )
