"""Proximity advantage: is the target closer to the mixture than to the pretraining corpus, and is that certain?

    PA(M -> T) = prox(M, T) - prox(C, T)    M mixture that is trained on, T target, C its control

The control is the pretraining corpus with held-out documents of itself in place of what M adds (`question` says why).
What these alone would gain is the *placebo advantage*, prox(C, T) - prox(P, T), with P the pretraining corpus: both
together are what M has over P. For divergences the sign is turned, so that PA > 0 always means closer.

Everything is *paired*: all sources are thinned to one size, nested in each other, and measured on one half of the
folds, the targets on the other half, the same halves for all; so what M and C share, and what a half happens to hold,
drops out of the difference.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.prediction.question import RESAMPLES, Question, leaks
from simtool.prediction.samples import draws
from simtool.profiles.profile import Profile
from simtool.results import Tabular, read_only
from simtool.similarity.metrics import find_metric
from simtool.similarity.resampling import interval
from simtool.similarity.splits import of_counts
from simtool.statistics import explained_by_folds

if TYPE_CHECKING:
    import polars as pl

# R resamples, n mixtures, m targets, S sources: the pretraining corpus, the mixtures, the controls


# A difference is called significant where it is so for nearly every seed. Draws are windows that together take all of a
# corpus, so over 20 seeds a difference varies half as much as `seed_error` says (.010 and .020), and the end of its
# interval .014: two errors are three of these. With 3, one of 10 seeds refused a difference that the others saw.
SEED_ERRORS = 2


# --- What is measured ---


@dataclass(frozen=True)
class Measured:
    """A similarity or divergence of every source with every target, many times.

    values     float64 (R, S, m)   as Question.sources; R = 1: no interval is known
    alike      the end of its range that means alike
    controls   int64 (n,)          the place of each mixture's control among the sources
    tokens     what each side was thinned to; a value compares half of them with the other half
    halves     bool (R, n_folds)   the folds that sources were measured on; None where resamples are none of halves
    draw       int64 (R,)          which thinning of the corpora a resample is of; None: there was one only
    """

    values: np.ndarray
    alike: Literal["high", "low"]
    controls: np.ndarray
    tokens: int
    halves: np.ndarray | None = None
    draw: np.ndarray | None = None

    @property
    def pretrain(self) -> np.ndarray:
        """float64 (R, 1, m): of the pretraining corpus."""
        return self.values[:, :1]

    @property
    def mixtures(self) -> np.ndarray:
        """float64 (R, n, m)."""
        return self.values[:, 1 : 1 + len(self.controls)]

    @property
    def advantage(self) -> np.ndarray:
        """float64 (R, n, m): how much closer a mixture is than its control."""
        return self._closer(self.mixtures, self.values[:, self.controls])

    @property
    def placebo(self) -> np.ndarray:
        """float64 (R, n, m): how much closer a mixture's control is than the pretraining corpus."""
        return self._closer(self.values[:, self.controls], self.pretrain)

    def _closer(self, source: np.ndarray, other: np.ndarray) -> np.ndarray:
        return source - other if self.alike == "high" else other - source

    def sampling(self, values: np.ndarray) -> np.ndarray:
        """Values of resamples (R, ...) whose spread is the sampling error of their mean."""
        return values if self.halves is None else explained_by_folds(values, self.halves)

    def seed_error(self, values: np.ndarray) -> np.ndarray:
        """Standard error of the mean of values (R, ...) that another seed would show: (...)."""
        n_draws = 1 if self.draw is None else int(self.draw[-1]) + 1
        if n_draws < 2:
            return np.zeros(values.shape[1:])
        means = np.stack([values[self.draw == k].mean(axis=0) for k in range(n_draws)])
        return means.std(axis=0, ddof=1) / math.sqrt(n_draws)


def measure(question: Question, metrics: Sequence[str], feature: str) -> list[Measured]:
    """Each of several metrics on one feature; together they take little longer than the slowest."""
    to_measure = [find_metric(name) for name in metrics]
    for metric in to_measure:
        if metric.by_ceilings:
            # the ceilings' own error is not in the spread of half-splits: 52 of 100 placebos came out closer
            raise SimtoolError(
                f"{metric.name} compares corpora, and not mixtures with a control: those have one size.\n"
                "Choose another metric, such as js or cross_entropy: simtool metrics."
            )
    values: list[list[np.ndarray]] = [[] for _ in to_measure]
    halves, places = [], []
    for k, draw in enumerate(draws(question, feature)):
        drawn = of_counts(to_measure, draw.counts, draw.halves, ~draw.halves)
        for of_metric, value in zip(values, drawn, strict=True):
            of_metric.append(value)
        halves.append(draw.halves)
        places += [k] * len(draw.halves)
    how = (question.controls, draw.tokens, np.concatenate(halves), np.array(places))
    return [
        Measured(np.concatenate(of_metric), metric.alike, *how)
        for metric, of_metric in zip(to_measure, values, strict=True)
    ]


# --- What follows from it ---


@dataclass(frozen=True, repr=False)
class Advantage(Tabular):
    """How much closer each mixture is to each target than the pretraining corpus is, documents being equal.

    proximity, pretrain_proximity   float64 (n, m), (m,)   means over half-splits, in the metric's unit and sense
    value, low, high                float64 (n, m)         PA > 0: closer; 95% interval over half-splits
    placebo, _low, _high            float64 (n, m)         what more documents of the pretraining corpus would gain;
                                                           with the value, what the mixture has over that corpus
    relative, _low, _high           float64 (n, m)         PA as a share of the pretraining corpus's own value
    share_positive                  float64 (n, m)         share of half-splits with PA > 0 (a tie counts half)
    rank                            int64   (n, m)         1 is closest to the target; ties share the better rank
    share_best                      float64 (n, m)         share of half-splits in which it is the closest
    distinguishable                 bool    (n, n, m)      the interval of the paired difference excludes 0

    A share over R half-splits is known to 1/R. Where R is 1 there is no interval: low and high are NaN, and nothing is
    distinguishable.
    """

    table = "advantage"
    columns_printed = ("target", "mixture", "advantage", "low", "high", "placebo", "share_best")

    pretrain: Mixture
    mixtures: Mapping[str, Mixture]
    targets: tuple[str, ...]
    metric: str
    feature: str
    alike: Literal["high", "low"]
    proximity: np.ndarray
    pretrain_proximity: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    placebo: np.ndarray
    placebo_low: np.ndarray
    placebo_high: np.ndarray
    relative: np.ndarray
    relative_low: np.ndarray
    relative_high: np.ndarray
    share_positive: np.ndarray
    rank: np.ndarray
    share_best: np.ndarray
    distinguishable: np.ndarray
    tokens: int
    resamples: int
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        read_only(self)

    def to_polars(self) -> "pl.DataFrame":
        """One row per mixture and target, the targets one after the other, best mixture first."""
        import polars as pl

        names = list(self.mixtures)
        order = [
            (i, j) for j in range(len(self.targets)) for i in np.argsort(-self.value[:, j], kind="stable").tolist()
        ]
        rows, columns = (np.array(side) for side in zip(*order, strict=True))
        of = lambda array: array[rows, columns]  # noqa: E731
        return pl.DataFrame(
            {
                "target": [self.targets[j] for j in columns],
                "mixture": [names[i] for i in rows],
                "weights": [str(self.mixtures[names[i]]) for i in rows],
                "rank": of(self.rank),
                "advantage": of(self.value),
                "low": of(self.low),
                "high": of(self.high),
                "placebo": of(self.placebo),
                "placebo_low": of(self.placebo_low),
                "placebo_high": of(self.placebo_high),
                "share_positive": of(self.share_positive),
                "share_best": of(self.share_best),
                "relative": of(self.relative),
                "relative_low": of(self.relative_low),
                "relative_high": of(self.relative_high),
                "proximity": of(self.proximity),
                "pretrain_proximity": self.pretrain_proximity[columns],
                "distinguishable_from": [
                    ", ".join(self.distinguishable_from(names[i], self.targets[j])) for i, j in order
                ],
                "metric": self.metric,
                "feature": self.feature,
                "tokens": self.tokens,
                "resamples": self.resamples,
            }
        )

    def distinguishable_from(self, mixture: str, target: str) -> list[str]:
        """The mixtures whose advantage for that target is significantly different from this one's."""
        different = self.distinguishable[list(self.mixtures).index(mixture), :, self.targets.index(target)]
        return [name for name, is_different in zip(self.mixtures, different, strict=True) if is_different]


def advantage(
    profiles: Mapping[str, Profile],
    pretrain: Mixture,
    mixtures: Mapping[str, Mixture],
    targets: Sequence[str],
    metric: str = "token",
    feature: str | None = None,
    tokens: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Advantage:
    """The proximity advantage of every mixture for every target.

    Parameters
    ----------
    profiles
        By corpus name, with the feature's counts.
    mixtures
        By the name that they are to be called.
    feature
        One of FEATURES, or several joined with "+" (None: the metric's own).
    tokens
        Size each mixture and target is thinned to (None: as much as the scarcest allows).

    Raises
    ------
    SimtoolError
        When a name has no profile, tokenizers differ, or a corpus is too small.
    """
    question = Question(profiles, pretrain, mixtures, tuple(targets), tokens, resamples, seed)
    feature = feature or find_metric(metric).feature
    return summarise(question, metric, feature, measure(question, [metric], feature)[0])


def summarise(question: Question, metric: str, feature: str, measured: Measured) -> Advantage:
    """What resamples say of every mixture and target."""
    ours, placebo = (measured.sampling(values) for values in (measured.advantage, measured.placebo))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(measured.pretrain != 0, measured.advantage / np.abs(measured.pretrain), np.nan)
    relative = measured.sampling(share)
    low, high = interval_or_nan(ours)
    placebo_low, placebo_high = interval_or_nan(placebo)
    relative_low, relative_high = interval_or_nan(relative)
    mean = ours.mean(axis=0)
    is_best = ours == ours.max(axis=1, keepdims=True)
    return Advantage(
        pretrain=question.pretrain,
        mixtures=dict(question.mixtures),
        targets=question.targets,
        metric=metric,
        feature=feature,
        alike=measured.alike,
        proximity=measured.mixtures.mean(axis=0),
        pretrain_proximity=measured.pretrain.mean(axis=0)[0],
        value=mean,
        low=low,
        high=high,
        placebo=placebo.mean(axis=0),
        placebo_low=placebo_low,
        placebo_high=placebo_high,
        relative=relative.mean(axis=0),
        relative_low=relative_low,
        relative_high=relative_high,
        share_positive=((ours > 0) + (ours == 0) / 2).mean(axis=0),
        rank=1 + (mean[None] > mean[:, None]).sum(axis=1),
        share_best=(is_best / is_best.sum(axis=1, keepdims=True)).mean(axis=0),
        distinguishable=_distinguishable(measured),
        tokens=measured.tokens,
        resamples=len(ours),
        notes=leaks(question),
    )


def share_text(share: float, resamples: int) -> str:
    """A share of resamples as it may be printed: never as certain as 0 or 1."""
    if resamples < 2:
        return "–"
    if share < 1 / resamples:
        return f"<{1 / resamples:g}"
    if share > 1 - 1 / resamples:
        return f">{1 - 1 / resamples:g}"
    if share < 0.1:
        return f"{share:.2g}"
    return f"{share:.{max(2, -math.floor(math.log10(1 - share)))}f}"  # as many nines as there are


def interval_or_nan(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval over resamples (R, ...): two of (...), NaN where R is 1."""
    if len(samples) < 2:
        nothing = np.full(samples.shape[1:], np.nan)
        return nothing, nothing.copy()
    return interval(samples)


def _distinguishable(measured: Measured) -> np.ndarray:
    """Pairs of mixtures whose paired difference has an interval without 0, whatever the seed: bool (n, n, m)."""
    ours = measured.advantage
    n, m = ours.shape[1:]
    different = np.zeros((n, n, m), bool)
    for i in range(n - 1):
        difference = ours[:, i + 1 :] - ours[:, i, None]
        low, high = interval_or_nan(measured.sampling(difference))
        margin = SEED_ERRORS * measured.seed_error(difference)
        different[i, i + 1 :] = different[i + 1 :, i] = (low > margin) | (high < -margin)
    return different
