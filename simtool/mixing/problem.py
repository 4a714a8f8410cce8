"""What `recommend` and `frontier` solve, counted from profiles, and the spread of its values over half-samples.

K corpora that may be mixed, the pretraining corpus first; T targets, the pretraining corpus last; V entries.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simtool.errors import SimtoolError, unknown
from simtool.mixing.constraints import Constraints
from simtool.mixing.solver import ConvexProblem, mix_rows
from simtool.profiles.features import find_feature
from simtool.profiles.profile import Profile, check_counted, check_same_tokenizer
from simtool.similarity.matrix import feature_counts
from simtool.similarity.resampling import half_splits, interval, thin
from simtool.threads import array_threads

RESAMPLES = 100
HALVES_BYTES = 64 << 20  # half-samples are counted in chunks of this size, one a thread


@dataclass(frozen=True)
class Counts:
    """What was counted, at the entries that some source has, and one column more that stands for all others.

    sources    float32 (n_folds, K, V)   every corpus thinned to the same number of symbols
    targets    float32 (n_folds, T, V)
    entries_V  float64                   how many entries of the feature each column stands for
    """

    sources: np.ndarray
    targets: np.ndarray
    entries_V: np.ndarray
    per_token_K: np.ndarray
    lower_K: np.ndarray
    upper_K: np.ndarray

    def whole(self) -> ConvexProblem:
        return self.problem(self.sources.sum(axis=0), self.targets.sum(axis=0))

    def halves(self, splits: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each split (n_splits, n_folds): the sources in one half of the documents, the targets in the other."""
        n_folds, K, V = self.sources.shape
        first = splits.astype(np.float32)
        sources = mix_rows(first, self.sources.reshape(n_folds, -1)).reshape(-1, K, V)
        targets = mix_rows(1 - first, self.targets.reshape(n_folds, -1)).reshape(len(splits), -1, V)
        return zip(sources, targets, strict=True)

    def problem(self, sources: np.ndarray, targets: np.ndarray) -> ConvexProblem:
        """From counts (K, V), (T, V). Targets are as counted, the pretraining corpus is smoothed as sources are."""
        dimension = self.entries_V.sum()
        uniform_K = unseen_share(sources)
        counted_K = (1 - uniform_K) / sources.sum(axis=1, dtype=np.float64)
        sources_KV = np.multiply(sources, (self.per_token_K * counted_K)[:, None], dtype=np.float64)
        sources_KV += (self.per_token_K * uniform_K / dimension)[:, None]  # in place: 20 MB for 50 x 50,000
        target_TV = targets / targets.sum(axis=1, keepdims=True, dtype=np.float64)
        uniform = unseen_share(targets[-1:])
        target_TV[-1] += uniform * (self.entries_V / dimension - target_TV[-1])
        return ConvexProblem(sources_KV, self.per_token_K, target_TV, self.lower_K, self.upper_K)

    def placebo(self, problem: ConvexProblem) -> np.ndarray:
        """The pretraining corpus, read as a target is, as if it were a source: float64 (V,), times its per_token_K."""
        placebo_V = self.per_token_K[0] * problem.target_TV[-1] / np.maximum(self.entries_V, 1)
        if self.entries_V[-1] == 0:
            placebo_V[-1] = problem.sources_KV[0, -1]  # of no entry, but its logarithm is taken
        return placebo_V

    def sizes(self) -> np.ndarray:
        """Symbols of every source and target in each fold: (K + T, n_folds)."""
        return np.concatenate([part.sum(axis=2, dtype=np.float64).T for part in (self.sources, self.targets)])


def unseen_share(counts: np.ndarray) -> np.ndarray:
    """What each row of counts (n, V) leaves to unseen entries: T / (N + T) after N symbols of T kinds: float64 (n,).

    Witten and Bell 1991, doi:10.1109/18.87000, method C; spread over all entries, seen or not. The last column stands
    for what no source has. A constant 1% took small samples for complete: documents of three pairs of real corpora,
    200 of each, put the best share .07, .13 and .03 away from that of all documents; this .05, .12 and .01 (800 of
    each: .03, .08, .02 and .02, .07, .01).
    """
    n_kinds = (counts[:, :-1] > 0).sum(axis=1)
    return n_kinds / (counts.sum(axis=1, dtype=np.float64) + n_kinds)


@dataclass(frozen=True)
class Problem:
    """The question, counted: the corpora that may be mixed, the weight of each target, and the half-samples.

    target_weights   float64 (T - 1,), sum 1
    splits           bool (R, n_folds)
    """

    corpora: tuple[str, ...]
    target_weights: np.ndarray
    counts: Counts
    splits: np.ndarray

    def without(self, corpora: Iterable[str]) -> "Problem":
        """The same, where these corpora get no share."""
        upper_K = np.where(np.isin(self.corpora, list(corpora)), 0.0, self.counts.upper_K)
        return replace(self, counts=replace(self.counts, upper_K=upper_K))


def build_problem(
    profiles: Mapping[str, Profile],
    pretrain: str,
    candidates: Sequence[str],
    targets: Mapping[str, float],
    constraints: Constraints,
    feature: str,
    resamples: int,
    seed: int,
) -> Problem:
    """The problem of a pretraining corpus, candidates and weighted targets.

    Raises
    ------
    SimtoolError
        Where there is none.
    """
    corpora, target_weights = _mixable_corpora(pretrain, candidates), _normalized(targets)
    rng = np.random.default_rng(seed)
    counts = _count(profiles, corpora, list(targets), constraints, feature, rng)
    return Problem(corpora, target_weights, counts, half_splits(counts.sizes(), resamples, rng, (*corpora, *targets)))


def _mixable_corpora(pretrain: str, candidates: Sequence[str]) -> tuple[str, ...]:
    """All that may be mixed, the pretraining corpus first, each once."""
    if pretrain in candidates:
        raise SimtoolError(
            f"{pretrain} is the pretraining corpus, which every mixture may hold. Leave it out of the candidates."
        )
    if not candidates:
        raise SimtoolError("Nothing to mix in. Name one candidate or more.")
    return (pretrain, *dict.fromkeys(candidates))


def _normalized(targets: Mapping[str, float]) -> np.ndarray:
    """The weights of the targets, brought to sum 1."""
    weights = np.array(list(targets.values()), float)
    if not len(weights) or not (weights > 0).all() or not np.isfinite(weights).all():
        raise SimtoolError(f"Name one target or more, each with a weight above 0. Got {dict(targets)}.")
    return weights / weights.sum()


def _count(
    profiles: Mapping[str, Profile],
    corpora: Sequence[str],
    targets: Sequence[str],
    constraints: Constraints,
    feature: str,
    rng: np.random.Generator,
) -> Counts:
    """The counts that a recommendation is made from. corpora: the pretraining corpus first.

    Sources are thinned to equal numbers of symbols: a larger sample covers more of any target, and to train on a
    corpus is not to train on our sample of it. A target is the same for all, and stays whole.
    """
    for name in feature.split("+"):
        find_feature(name)
    lower, upper = constraints.bounds(corpora)
    names = list(dict.fromkeys((*corpora, *targets)))
    for name in names:
        if name not in profiles:
            raise unknown("corpus", name, profiles)
    check_same_tokenizer([profiles[name] for name in names])
    for name in names:
        check_counted(profiles[name], name, feature.split("+"))
    counts = feature_counts({name: profiles[name] for name in names}, feature)
    fewest = min(int(counts[name].sum()) for name in corpora)
    sources = [thin(counts[name], fewest, rng) for name in corpora]
    seen = np.any([counted.any(axis=0) for counted in sources], axis=0)

    def gathered(tables: list[np.ndarray]) -> np.ndarray:
        table = np.empty((len(tables[0]), len(tables), int(seen.sum()) + 1), np.float32)
        for i, counted in enumerate(tables):
            table[:, i, :-1], table[:, i, -1] = counted[:, seen], counted[:, ~seen].sum(axis=1)
        return table

    return Counts(
        gathered(sources),
        gathered([*(counts[name] for name in targets), sources[0]]),
        np.append(np.ones(seen.sum()), float((~seen).sum())),
        np.array([counts[name].sum() / profiles[name].size["tokens"] for name in corpora]),
        lower,
        upper,
    )


def effects(problem: ConvexProblem, weights: np.ndarray) -> np.ndarray:
    """What mixtures (..., K) change against the pretraining corpus alone: the gain in bits of each target, and last
    the bits that are forgotten: (..., T).
    """
    change = problem.bits(np.eye(len(problem.per_token_K))[0]) - problem.bits(weights)
    change[..., -1] *= -1
    return change


def on_half_samples(of_half: Callable[[ConvexProblem], tuple[np.ndarray, ...]], problem: Problem) -> list[np.ndarray]:
    """Each of the values of a half-sample, over all half-samples: (n_splits, ...)."""
    counts, splits = problem.counts, problem.splits
    at_once = max(1, min(HALVES_BYTES // counts.sources[0].nbytes, len(splits) // (2 * (os.cpu_count() or 1))))
    chunks = [splits[start : start + at_once] for start in range(0, len(splits), at_once)]

    def of_chunk(chunk: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        return [of_half(counts.problem(*half)) for half in counts.halves(chunk)]

    with array_threads() as threads:
        solved = [values for some in threads.map(of_chunk, chunks) for values in some]
    return [np.stack(values) for values in zip(*solved, strict=True)]


def interval_around(value: np.ndarray, halves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval about a value, from the spread of half-samples (n_splits, ...) about their mean."""
    low, high = interval(halves - halves.mean(axis=0))
    return value + low, value + high
