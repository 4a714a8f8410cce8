"""Every corpus against every corpus: values, intervals and ceilings at one sample size."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.profiles.features import N_FOLDS, coarsen
from simtool.profiles.profile import Profile, check_same_tokenizer
from simtool.results import Tabular, html_table, read_only, text_table
from simtool.similarity.metrics import Metric, find_metric
from simtool.similarity.permutations import p_of_exchange
from simtool.similarity.resampling import half_splits, thin
from simtool.similarity.splits import on_splits
from simtool.statistics import CONFIDENCE, sized_jackknife_interval
from simtool.wording import INDISTINGUISHABLE

if TYPE_CHECKING:
    import polars as pl

RESAMPLES = 200
JACKKNIFE_SPLITS = 8  # and their mirror images, for each fold left out; 4 and 16 gave the same widths within 3%
BIAS_SPLITS = 40  # of half of the documents
TILE_CORPORA = 128  # rows and columns compared at once: 400 splits of them are 50 MB, and of 1,000 corpora 3 GB
LINE = 90  # characters: a wider square is not printed
EQUAL_DOCUMENTS = 0.1  # document counts that differ by less are taken as equal
Name = TypeVar("Name")


@dataclass(frozen=True, repr=False)
class SimilarityMatrix(Tabular):
    """Similarities of every corpus (row, p) with every corpus (column, q), at equal sample sizes.

    values, low, high   float64 (n, n)   mean over half-splits, and its 95% interval (delete-one-fold jackknife); the
                                         diagonal is the noise ceiling (split-half): a corpus against itself
    at_ceiling          bool (n, n)      the cell is not distinguishable from its two ceilings
    is_tested           bool (n, n)      whether that could be tested: where samples have unequal numbers of documents
                                         only for a metric that is corrected by the ceilings (`size_free`)
    tokens              tokens each corpus was thinned to; a cell compares half of them with the other half

    Names are unique; symmetric when the metric is.
    """

    table = "similarity_matrix"
    columns_printed = ("row", "column", "value", "low", "high", "at_ceiling")

    corpora: tuple[str, ...]
    metric: Metric
    feature: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at_ceiling: np.ndarray
    is_tested: np.ndarray
    tokens: int
    resamples: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        read_only(self)

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

    def __str__(self) -> str:
        """The means as a square; where it is too wide for a line, the first rows of the table."""
        n = len(self.corpora)
        marks = np.where(self.at_ceiling, INDISTINGUISHABLE, "")
        cells = [[f"{marks[i, j]}{self.values[i, j]:.3f}" for j in range(n)] for i in range(n)]
        rows = [[name, *row] for name, row in zip(self.corpora, cells, strict=True)]
        square = text_table(["", *self.corpora], rows, 1)
        if len(square.partition("\n")[0]) >= LINE:
            return super().__str__()
        basis = f"{self.metric.name} on {self.feature}, {self.tokens:,} tokens of each; 95% intervals: to_polars()"
        return f"{type(self).__name__}, {n * n:,} rows\n{square}\n{basis}"

    @cached_property
    def is_above_ceiling(self) -> np.ndarray:
        """bool (n, n): two corpora are more alike than two samples of either are, beyond both intervals, as the cell
        above the diagonal says."""
        worst, best = (self.low, self.high) if self.metric.alike == "high" else (-self.high, -self.low)
        own = np.diagonal(best)
        above = np.triu(worst > np.maximum.outer(own, own), 1)
        return above | above.T

    def above_ceiling(self) -> list[tuple[int, int]]:
        """The pairs i < j of which `is_above_ceiling` holds."""
        columns, rows = np.nonzero(np.tril(self.is_above_ceiling))
        return [*zip(rows.tolist(), columns.tolist(), strict=True)]

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
                "is_tested": self.is_tested.ravel(),
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

    What a cell estimates: the expected score of two disjoint samples, one of each corpus, of half the tokens from half
    of the documents. So it depends on both sizes; only a metric that is corrected by the ceilings (`size_free`) does
    not, and estimates the similarity of the texts that the samples were drawn from.

    Parameters
    ----------
    profiles
        By corpus name, with the feature's counts.
    mixtures
        What to compare, by name: shares of those corpora (None: every corpus by itself).
    feature
        One of FEATURES, or several joined with "+" (None: the metric's own).
    tokens
        Size of each sample pair (None: as much as the smallest corpus allows).

    Raises
    ------
    SimtoolError
        When tokenizers differ, or a corpus holds fewer tokens than asked for.
    """
    measure = find_metric(metric)
    feature = feature or measure.feature
    mixtures = mixtures or {name: Mixture({name: 1.0}) for name in profiles}
    rng = np.random.default_rng(seed)
    samples, tokens = equal_samples(profiles, mixtures, feature, tokens, rng)
    splits = half_splits(samples.sum(axis=2), resamples, rng, tuple(mixtures))
    values = cells_of(measure, samples, splits)
    left_out = leave_out_folds(measure, samples, splits)
    sizes = samples.sum(axis=2, dtype=np.float64)
    low, high = cell_intervals(values, left_out, sizes)
    if measure.by_ceilings:
        low, high = reach_for_bias(measure, samples, values, low, high, rng)
    documents = [sum(profiles[corpus].size["documents"] for corpus in mixture.weights) for mixture in mixtures.values()]
    at_ceiling, is_tested = compare_with_ceilings(measure, samples, high, np.array(documents), rng)
    bound = lambda array: np.clip(array, measure.low, measure.high)  # noqa: E731
    return SimilarityMatrix(
        tuple(mixtures), measure, feature, bound(values), bound(low), bound(high), at_ceiling, is_tested, tokens,
        resamples,
    )  # fmt: skip


def cells_of(
    metric: Metric, samples: np.ndarray, first: np.ndarray, second: np.ndarray | None = None, groups: int = 1
) -> np.ndarray:
    """The mean over half-splits of every pair: float64 (n, n); or (groups, n, n) over consecutive splits."""
    n, second = len(samples), ~first if second is None else second
    means = np.empty((groups, n, n))
    tiles = [slice(start, min(start + TILE_CORPORA, n)) for start in range(0, n, TILE_CORPORA)]
    for rows, columns in itertools.product(tiles, tiles):
        if metric.symmetric and columns.start < rows.start:
            means[:, rows, columns] = means[:, columns, rows].mT
            continue
        (measured,) = on_splits([metric], samples[rows], samples[columns], first, second)
        if metric.symmetric:  # both ways to pair the halves
            back = measured
            if rows != columns:
                (back,) = on_splits([metric], samples[columns], samples[rows], first, second)
            measured = (measured + back.mT) / 2
        means[:, rows, columns] = measured.reshape(groups, -1, *measured.shape[1:]).mean(axis=1)
    if metric.by_ceilings:
        ceilings = np.diagonal(means, axis1=1, axis2=2)
        norms = np.sqrt(ceilings[:, :, None] * ceilings[:, None, :])
        unknown = np.full_like(means, np.nan)  # two halves of so few symbols may share none
        means = np.divide(means, norms, out=unknown, where=norms > 0)
    return means if groups > 1 else means[0]


def leave_out_folds(metric: Metric, samples: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Every cell with each fold of the documents left out: float64 (n_folds, n, n).

    A few splits serve for all folds, each with its mirror image: a fold is then on either side equally often, and what
    the choice of splits adds to the differences between folds drops out to first order.
    """
    n_folds = samples.shape[1]
    halves = splits[:JACKKNIFE_SPLITS]
    if not metric.symmetric:  # `cells_of` pairs the halves of a symmetric one both ways
        halves = np.concatenate([halves, ~halves])
    rest = ~np.eye(n_folds, dtype=bool)
    first, second = ((side[None] & rest[:, None]).reshape(-1, n_folds) for side in (halves, ~halves))
    return cells_of(metric, samples, first, second, n_folds)


def cell_intervals(values: np.ndarray, left_out: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95% interval of every cell, (n, n) each, from values without each fold and sizes (n, n_folds)."""
    low, high = np.empty_like(values), np.empty_like(values)
    for i, row in enumerate(values):
        low[i], high[i] = sized_jackknife_interval(row, left_out[:, i], (sizes[i][:, None], sizes.T))
    return low, high


def reach_for_bias(
    metric: Metric, samples: np.ndarray, values: np.ndarray, low: np.ndarray, high: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of intervals, moved out by what sample size still does to a metric that is corrected for it.

    Seen by what half of the documents change. Bias that falls with the square root of the documents is that change
    over sqrt(2) - 1; with documents themselves it would be the change, and the interval is too wide. Draws of real
    documents of PyCode and GSM8K (100, 300, 1,000) held the truth in 57, 47 and 67% without, in 97 to 100% with it;
    other pairs, whose bias is small, in 97 to 100% either way.
    """
    places = np.argsort(rng.random((8 * BIAS_SPLITS, samples.shape[1])), axis=1)
    quarter = samples.shape[1] // 4
    sides = places < quarter, (places >= quarter) & (places < 2 * quarter)
    filled = samples.sum(axis=2) > 0
    usable = np.all([side @ filled.T for side in sides], axis=(0, 2))  # every corpus has something on both sides
    first, second = (side[usable][:BIAS_SPLITS] for side in sides)
    bias = (cells_of(metric, samples, first, second) - values) / (math.sqrt(2) - 1)
    return low - np.maximum(bias, 0), high + np.maximum(-bias, 0)


def compare_with_ceilings(
    metric: Metric, samples: np.ndarray, high: np.ndarray, documents: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Which cells are not distinguishable from their noise ceilings, and which could be tested: bool (n, n) each.

    At equal document counts the folds of two samples of one text are exchangeable, and the test is exact: folds change
    sides at random, and the two sides differ as much as the two corpora in more than 5% of the permutations. At
    unequal counts nothing but a metric corrected by its ceilings is tested: whether its interval holds 1. No other has
    a reference there: the ceiling of many documents is not that of few, and two samples of one text (100 and 2,000
    documents) were called different in 20% by the paper's score and in 10% by `js`.

    Parameters
    ----------
    high
        float64 (n, n): upper ends of the cells' intervals.
    documents
        int (n,): how many documents each sample was counted from.
    """
    larger = np.maximum(documents[:, None], documents)
    equal = np.abs(documents[:, None] - documents) <= EQUAL_DOCUMENTS * larger
    np.fill_diagonal(equal, False)
    is_tested = equal | metric.by_ceilings
    at_ceiling = is_tested & (high >= 1)
    pairs = [(i, j) for i, j in zip(*np.nonzero(equal), strict=True) if i < j or not metric.symmetric]
    if pairs:
        at_ceiling[*zip(*pairs, strict=True)] = p_of_exchange(metric, samples, pairs, rng) > 1 - CONFIDENCE
    if metric.symmetric:
        at_ceiling = np.where(equal & np.tri(len(samples), dtype=bool), at_ceiling.T, at_ceiling)
    np.fill_diagonal(is_tested, False)
    return at_ceiling & is_tested, is_tested


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
    samples = np.zeros((len(mixtures), N_FOLDS, counts.dimension), np.float32)
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


@dataclass(frozen=True)
class FeatureCounts(Mapping[str, np.ndarray]):
    """Counts of one feature, or of several joined with "+" side by side, at the fewest buckets among the profiles.

    A corpus's are put together when they are used: those of many corpora need not fit into memory.
    """

    profiles: Mapping[str, Profile]
    dimensions: Mapping[str, int]

    def __getitem__(self, corpus: str) -> np.ndarray:
        profile = self.profiles[corpus]
        parts = [
            profile.features[name] if profile.dimension(name) == n else coarsen(profile.features[name], n)
            for name, n in self.dimensions.items()
        ]
        return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self.profiles)

    def __len__(self) -> int:
        return len(self.profiles)

    @property
    def dimension(self) -> int:
        """Columns in all."""
        return sum(self.dimensions.values())


def feature_counts(profiles: Mapping[str, Profile], feature: str) -> FeatureCounts:
    """The counts of a feature of every corpus: int64 (n_folds, dimension)."""
    names = feature.split("+")
    return FeatureCounts(
        profiles, {name: min(profile.dimension(name) for profile in profiles.values()) for name in names}
    )
