"""Proximity advantage: is the target closer to the mixture than to the pretraining corpus, and is that certain?

    PA(M -> T) = prox(M, T) - prox(P, T)    M mixture that is trained on, T target, P pretraining corpus

For divergences the sign is turned, so that PA > 0 always means closer. Everything is *paired*: all mixtures and
P are thinned to one size, nested in each other, and measured on one half of the folds, the targets on the other
half, the same halves for all; so what P and M share, and what a half happens to hold, drops out of the difference.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simtool.errors import SimtoolError, unknown
from simtool.mixture import Mixture
from simtool.profiles.profile import Profile
from simtool.results import Tabular, read_only
from simtool.similarity.kernels import on_splits
from simtool.similarity.matrix import equal_samples
from simtool.similarity.metrics import find_metric
from simtool.similarity.resampling import half_splits, interval

if TYPE_CHECKING:
    import polars as pl

    from simtool.tokens.tokenizer import Tokenizer

# R resamples, n mixtures, m targets

RESAMPLES = 1000


# --- The question, and what is measured ---


@dataclass(frozen=True)
class Question:
    """Which mixture brings the pretraining corpus closer to which target? All that a predictor reads.

    profiles    by corpus name, with the features that are compared
    tokens      size each mixture and target is thinned to (None: as much as the scarcest allows)
    texts       documents by corpus name, and a tokenizer, for predictors that need text

    Every name has a profile; there is a mixture and a target, and none twice.
    """

    profiles: Mapping[str, Profile]
    pretrain: Mixture
    mixtures: Mapping[str, Mixture]
    targets: tuple[str, ...]
    tokens: int | None = None
    resamples: int = RESAMPLES
    seed: int = 0
    texts: Mapping[str, Sequence[str]] | None = None
    tokenizer: "Tokenizer | None" = None
    _halves: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)  # of `halves`
    _embedded: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)  # by corpus

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        if not self.mixtures or not self.targets:
            raise SimtoolError("Name at least one mixture (--mid) and one target (--target).")
        if repeated := sorted({name for name in self.targets if self.targets.count(name) > 1}):
            raise SimtoolError(f"Named twice: {', '.join(repeated)}. Name every target once.")
        for name in self.corpora:
            if name not in self.profiles:
                raise unknown("corpus", name, self.profiles)

    @property
    def sources(self) -> list[Mixture]:
        """The pretraining corpus, then the mixtures."""
        return [self.pretrain, *self.mixtures.values()]

    @property
    def corpora(self) -> list[str]:
        """Every corpus that is used, in order of appearance."""
        of_sources = (corpus for mixture in self.sources for corpus in mixture.weights)
        return list(dict.fromkeys((*of_sources, *self.targets)))


@dataclass(frozen=True)
class Measured:
    """A similarity or divergence of every source with every target, many times.

    values   float64 (R, 1 + n, m)   the first source is the pretraining corpus; R = 1: no interval is known
    alike    the end of its range that means alike
    tokens   what each side was thinned to; a value compares half of them with the other half
    """

    values: np.ndarray
    alike: Literal["high", "low"]
    tokens: int

    @property
    def advantage(self) -> np.ndarray:
        """float64 (R, n, m): how much closer than the pretraining corpus."""
        closer = self.values[:, 1:] - self.values[:, :1]
        return closer if self.alike == "high" else -closer


def halves(question: Question, feature: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Sources (1 + n, n_folds, V) and targets (m, n_folds, V) as counts of one size, the splits, and the tokens.

    One seed, one set of splits, whatever the feature; so predictors are paired with each other as well. Those of the
    last feature are kept: they can be hundreds of megabytes.
    """
    if feature not in question._halves:
        question._halves.clear()
        question._halves[feature] = _thinned_halves(question, feature)
    return question._halves[feature]


def _thinned_halves(question: Question, feature: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    sampling, splitting = np.random.default_rng(question.seed).spawn(2)
    # keys of their own, since a mixture may be called what a corpus is
    mixtures = {("source", i): mixture for i, mixture in enumerate(question.sources)}
    mixtures |= {("target", name): Mixture({name: 1.0}) for name in question.targets}
    samples, tokens = equal_samples(question.profiles, mixtures, feature, question.tokens, sampling)
    names = (*map(str, question.sources), *question.targets)
    splits = half_splits(samples.sum(axis=2), question.resamples, splitting, names)
    samples.flags.writeable = False
    n = len(question.sources)
    return samples[:n], samples[n:], splits, tokens


def measure(question: Question, metrics: Sequence[str], feature: str) -> list[Measured]:
    """Each of several metrics on one feature; together they take little longer than the slowest."""
    to_measure = [find_metric(name) for name in metrics]
    sources, targets, splits, tokens = halves(question, feature)
    values = on_splits(to_measure, sources, targets, splits)
    return [Measured(value, metric.alike, tokens) for metric, value in zip(to_measure, values, strict=True)]


# --- What follows from it ---


@dataclass(frozen=True)
class Advantage(Tabular):
    """How much closer each mixture is to each target than the pretraining corpus is.

    proximity, pretrain_proximity   float64 (n, m), (m,)   means over half-splits, in the metric's unit and sense
    value, low, high                float64 (n, m)         PA > 0: closer; 95% interval over half-splits
    relative, _low, _high           float64 (n, m)         PA as a share of the pretraining corpus's own value
    share_positive                  float64 (n, m)         share of half-splits with PA > 0 (a tie counts half)
    rank                            int64   (n, m)         1 is closest to the target; ties share the better rank
    share_best                      float64 (n, m)         share of half-splits in which it is the closest
    distinguishable                 bool    (n, n, m)      the interval of the paired difference excludes 0

    A share over R half-splits is known to 1/R. Where R is 1 there is no interval: low and high are NaN, and nothing is
    distinguishable.
    """

    table = "advantage"

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

    profiles   by corpus name, with the feature's counts
    mixtures   by the name that they are to be called
    feature    one of FEATURES, or several joined with "+" (None: the metric's own)
    tokens     size each mixture and target is thinned to (None: as much as the scarcest allows)

    Raises SimtoolError when a name has no profile, tokenizers differ, or a corpus is too small.
    """
    question = Question(profiles, pretrain, mixtures, tuple(targets), tokens, resamples, seed)
    feature = feature or find_metric(metric).feature
    return summarise(question, metric, feature, measure(question, [metric], feature)[0])


def summarise(question: Question, metric: str, feature: str, measured: Measured) -> Advantage:
    """What resamples say of every mixture and target."""
    ours = measured.advantage
    values = measured.values.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(measured.values[:, :1] != 0, ours / np.abs(measured.values[:, :1]), np.nan)
    low, high = interval_or_nan(ours)
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
        proximity=values[1:],
        pretrain_proximity=values[0],
        value=mean,
        low=low,
        high=high,
        relative=relative.mean(axis=0),
        relative_low=relative_low,
        relative_high=relative_high,
        share_positive=((ours > 0) + (ours == 0) / 2).mean(axis=0),
        rank=1 + (mean[None] > mean[:, None]).sum(axis=1),
        share_best=(is_best / is_best.sum(axis=1, keepdims=True)).mean(axis=0),
        distinguishable=_distinguishable(ours),
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


def leaks(question: Question) -> tuple[str, ...]:
    """A sentence for each target whose text a mixture, or the pretraining corpus, holds."""
    sources = {f"the pretraining corpus {question.pretrain}": question.pretrain}
    sources |= {f"the mixture {name}": mixture for name, mixture in question.mixtures.items()}
    notes = []
    for target in question.targets:
        for name, mixture in sources.items():
            for corpus in mixture.weights:
                if corpus == target:
                    notes.append(f"Leak: the target {target} is a part of {name}.")
                elif _same_counts(question.profiles[corpus], question.profiles[target]):
                    notes.append(f"Leak: the target {target} has the very counts of {corpus}, a part of {name}.")
    return tuple(notes)


def _same_counts(a: Profile, b: Profile) -> bool:
    same_size = all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("n_documents", "n_tokens", "n_bytes"))
    shared = set(a.features) & set(b.features)
    return same_size and all(np.array_equal(a.features[name], b.features[name]) for name in shared)


def interval_or_nan(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval over resamples (R, ...): two of (...), NaN where R is 1."""
    if len(samples) < 2:
        nothing = np.full(samples.shape[1:], np.nan)
        return nothing, nothing.copy()
    return interval(samples)


def _distinguishable(ours: np.ndarray) -> np.ndarray:
    """Pairs of mixtures whose paired difference has an interval without 0: bool (n, n, m)."""
    n, m = ours.shape[1:]
    different = np.zeros((n, n, m), bool)
    for i in range(n - 1):
        low, high = interval_or_nan(ours[:, i + 1 :] - ours[:, i, None])
        different[i, i + 1 :] = different[i + 1 :, i] = (low > 0) | (high < 0)
    return different
