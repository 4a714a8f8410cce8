"""Every corpus against every corpus: values, intervals and ceilings at one sample size."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.profiles.features import coarsen
from simtool.profiles.profile import Profile, check_same_tokenizer
from simtool.results import Tabular, html_table
from simtool.similarity.kernels import on_splits
from simtool.similarity.metrics import Metric, find_metric
from simtool.similarity.resampling import half_splits, interval, thin

if TYPE_CHECKING:
    import polars as pl

RESAMPLES = 200
Name = TypeVar("Name")


@dataclass(frozen=True)
class SimilarityMatrix(Tabular):
    """Similarities of every corpus (row, p) with every corpus (column, q), at equal sample sizes.

    values, low, high   float64 (n, n)   mean over half-samples, and its 95% interval; the diagonal is the
                                         split-half ceiling: a corpus against another half of itself
    at_ceiling          bool (n, n)      not distinguishable from the mean of its two ceilings
    tokens              tokens each corpus was thinned to; a cell compares half of them with the other half

    Names are unique; symmetric when the metric is.
    """

    table = "similarity_matrix"

    corpora: tuple[str, ...]
    metric: Metric
    feature: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at_ceiling: np.ndarray
    tokens: int
    resamples: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for array in (self.values, self.low, self.high, self.at_ceiling):
            array.flags.writeable = False

    @property
    def ceiling(self) -> np.ndarray:
        """float64 (n,): what two disjoint samples of each corpus score at this size."""
        return np.diagonal(self.values)

    def _repr_html_(self) -> str:
        """The matrix as people read it: mean and interval in each cell, the ceilings on the diagonal."""
        cell = lambda i, j: (  # noqa: E731
            f"{'≈' if self.at_ceiling[i, j] else ''}{self.values[i, j]:.3f}"
            f" ({self.low[i, j]:.3f}–{self.high[i, j]:.3f})"
        )
        n = len(self.corpora)
        marked = [f"{name} *" if name in self.facts.get("stand_ins", ()) else name for name in self.corpora]
        rows = [[marked[i], *(cell(i, j) for j in range(n))] for i in range(n)]
        caption = f"{self.metric.name} on {self.feature}, {self.tokens:,} tokens per corpus; diagonal: ceiling"
        return html_table(["", *marked], rows, caption)

    def above_ceiling(self) -> list[tuple[int, int]]:
        """The pairs i < j that are more alike than two samples of either corpus are, beyond both intervals."""
        worst, best = (self.low, self.high) if self.metric.alike == "high" else (-self.high, -self.low)
        pairs = ((i, j) for j in range(len(self.corpora)) for i in range(j))
        return [(i, j) for i, j in pairs if worst[i, j] > max(best[i, i], best[j, j])]

    def to_polars(self) -> "pl.DataFrame":
        """One row per cell: row, column, value, low, high, the ceilings of both, at_ceiling, metric, feature, tokens,
        and whether text of the same kind stands in for the row's or the column's corpus."""
        import polars as pl

        n = len(self.corpora)
        stand_ins = set(self.facts.get("stand_ins", ()))
        rows, columns = np.divmod(np.arange(n * n), n)
        return pl.DataFrame(
            {
                "row": [self.corpora[i] for i in rows],
                "column": [self.corpora[j] for j in columns],
                "value": self.values.ravel(),
                "low": self.low.ravel(),
                "high": self.high.ravel(),
                "ceiling_row": self.ceiling[rows],
                "ceiling_column": self.ceiling[columns],
                "at_ceiling": self.at_ceiling.ravel(),
                "metric": self.metric.name,
                "feature": self.feature,
                "tokens": self.tokens,
                "row_is_proxy": [self.corpora[i] in stand_ins for i in rows],
                "column_is_proxy": [self.corpora[j] in stand_ins for j in columns],
            }
        )


def similarity_matrix(
    profiles: Mapping[str, Profile],
    mixtures: Mapping[str, Mixture] | None = None,
    metric: str = "token",
    feature: str | None = None,
    tokens: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> SimilarityMatrix:
    """Compare corpora and mixtures of them, each thinned to the same number of tokens.

    profiles   by corpus name, with the feature's counts
    mixtures   what to compare, by name: shares of those corpora (None: every corpus by itself)
    feature    one of FEATURES, or several joined with "+" (None: the metric's own)
    tokens     size of each sample pair (None: as much as the smallest corpus allows)

    Raises SimtoolError when tokenizers differ, or a corpus holds fewer tokens than asked for.
    """
    definition = find_metric(metric)
    feature = feature or definition.feature
    mixtures = mixtures or {name: Mixture({name: 1.0}) for name in profiles}
    rng = np.random.default_rng(seed)
    samples, tokens = equal_samples(profiles, mixtures, feature, tokens, rng)
    splits = half_splits(samples.sum(axis=2), resamples, rng, tuple(mixtures))
    measured = _measure(definition, samples, splits)
    low, high = interval(measured)
    values = measured.mean(axis=0)
    diagonal = np.diagonal(measured, axis1=1, axis2=2)
    below = (diagonal[:, :, None] + diagonal[:, None, :]) / 2 - measured
    at_ceiling = interval(below if definition.alike == "high" else -below)[0] <= 0
    np.fill_diagonal(at_ceiling, False)
    bound = lambda array: np.clip(array, definition.low, definition.high)  # noqa: E731
    return SimilarityMatrix(
        tuple(mixtures), definition, feature, values, bound(low), bound(high), at_ceiling, tokens, resamples
    )


def equal_samples(
    profiles: Mapping[str, Profile],
    mixtures: Mapping[str, Mixture],
    feature: str,
    tokens: int | None,
    rng: np.random.Generator,
) -> tuple[np.ndarray, int]:
    """Every mixture as counts of one size: float32 (n_mixtures, n_folds, dimension), and its tokens.

    A mixture of w tokens of A to 1 - w of B holds exactly those shares; what two mixtures take of one corpus is
    nested, so that comparisons between them are paired. Features that are not tokens (characters, skeletons)
    keep the shares in tokens, and are then brought to one number of their own symbols.
    """
    used = sorted({corpus for mixture in mixtures.values() for corpus in mixture.weights})
    check_same_tokenizer([profiles[corpus] for corpus in used])
    counts = feature_counts({corpus: profiles[corpus] for corpus in used}, feature)
    n_tokens = {corpus: profiles[corpus].size["tokens"] for corpus in used}
    tokens = common_size(n_tokens, {name: mixture.weights for name, mixture in mixtures.items()}, tokens)
    samples = np.zeros((len(mixtures), *next(iter(counts.values())).shape), np.float32)
    for i, _, part in thin_equally(counts, n_tokens, [mixture.weights for mixture in mixtures.values()], tokens, rng):
        samples[i] += part
    return samples, tokens


def thin_equally(
    counts: Mapping[Name, np.ndarray],
    n_tokens: Mapping[Name, int],
    mixtures: Sequence[Mapping[Name, float]],
    tokens: int,
    rng: np.random.Generator,
) -> Iterator[tuple[int, Name, np.ndarray]]:
    """What `tokens` tokens of each mixture hold of each corpus: (mixture, corpus, int64 (n_folds, dimension)).

    Parameters
    ----------
    counts
        int64 (n_folds, dimension) of each corpus, or of whatever the mixtures name.
    n_tokens
        Tokens that these counts come from.
    """
    n_symbols = {name: int(counts[name].sum()) for name in counts}
    for name, of_mixtures in symbols_of_mixtures(n_symbols, n_tokens, mixtures, tokens).items():
        left = counts[name]
        for n, i in sorted(of_mixtures, reverse=True):  # nested: the smaller sample is a part of the larger one
            left = thin(left, n, rng)
            yield i, name, left


def symbols_of_mixtures(
    n_symbols: Mapping[Name, int],
    n_tokens: Mapping[Name, int],
    mixtures: Sequence[Mapping[Name, float]],
    tokens: int,
) -> dict[Name, list[tuple[int, int]]]:
    """By corpus, how many of its symbols each mixture takes: (symbols, mixture). All mixtures have equally many."""
    per_token = {name: n / n_tokens[name] for name, n in n_symbols.items()}
    per_mixture = [sum(share * per_token[name] for name, share in mixture.items()) for mixture in mixtures]
    sizes: dict[Name, list[tuple[int, int]]] = {name: [] for name in n_symbols}
    for i, mixture in enumerate(mixtures):
        for name, share in mixture.items():
            sizes[name].append((int(tokens * share * per_token[name] * min(per_mixture) / per_mixture[i]), i))
    return sizes


def common_size(n_tokens: Mapping[str, int], mixtures: Mapping[str, Mapping[str, float]], tokens: int | None) -> int:
    """Tokens that every mixture can give; checks the number asked for."""
    room = {
        (corpus, name): int(n_tokens[corpus] / share)
        for name, mixture in mixtures.items()
        for corpus, share in mixture.items()
    }
    (scarcest, name), most = min(room.items(), key=lambda item: item[1])
    if tokens is None:
        return most
    if tokens > most:
        within = "" if mixtures[name][scarcest] == 1 else f" (its share of {name})"
        raise SimtoolError(
            f"{scarcest} holds {n_tokens[scarcest]:,} tokens, too few for --tokens {tokens:,}{within}.\n"
            f"Ask for at most {most:,}, or leave it out."
        )
    return tokens


def feature_counts(profiles: Mapping[str, Profile], feature: str) -> dict[str, np.ndarray]:
    """Counts of one feature, or of several joined with "+" side by side, at the fewest buckets among the profiles."""
    joined: dict[str, list[np.ndarray]] = {corpus: [] for corpus in profiles}
    for name in feature.split("+"):
        dimension = min(profile.features[name].shape[1] for profile in profiles.values())
        for corpus, profile in profiles.items():
            counts = profile.features[name]
            joined[corpus].append(counts if counts.shape[1] == dimension else coarsen(counts, dimension))
    return {corpus: np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0] for corpus, parts in joined.items()}


def _measure(metric: Metric, samples: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """The metric of every pair on every split: float64 (n_resamples, n, n)."""
    (values,) = on_splits([metric], samples, samples, splits)
    if metric.symmetric:  # one of the two ways to pair the halves: their mean would hide half of the spread
        values = np.triu(values) + np.triu(values, 1).mT
    return values
