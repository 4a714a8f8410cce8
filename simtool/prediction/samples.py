"""Samples of one size of every source and target, drawn several times, and the half-splits they are measured on.

A seed must not decide: how a corpus is thinned moves an advantage by most of its standard error. So resamples are
spread over DRAWS draws, which together take every symbol of a corpus equally often: their mean hardly depends on the
seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simtool.prediction.question import Part, Question, name_of
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import check_same_tokenizer
from simtool.similarity.matrix import common_size, feature_counts, symbols_of_mixtures
from simtool.similarity.resampling import half_splits, thin
from simtool.statistics import largest_remainder

DRAWS = 20
MOST_SHUFFLED = 50_000_000  # symbols of a corpus, 4 bytes each; how larger ones are thinned hardly matters


@dataclass(frozen=True)
class Draw:
    """Counts of one size, and half-splits of the folds.

    sources     float32 (S, 2 * N_FOLDS, V)   the second N_FOLDS are the folds of held-out parts
    targets     float32 (m, N_FOLDS, V)
    halves      bool (R, N_FOLDS)             half of the folds, on which sources are measured; held-out parts and
                                              targets are measured on the other half
    tokens      of every source and target, both halves together
    dimension   entries of the feature in all: V are those that some corpus has
    """

    sources: np.ndarray
    targets: np.ndarray
    halves: np.ndarray
    tokens: int
    dimension: int

    @property
    def folds(self) -> tuple[np.ndarray, np.ndarray]:
        """The folds that sources, and targets, are measured on: bool (R, 2 * N_FOLDS) and (R, N_FOLDS)."""
        return np.hstack([self.halves, ~self.halves]), ~self.halves


@dataclass(frozen=True)
class Shuffled:
    """A corpus whose symbols are shuffled within each fold: a sample of any size is a window.

    counts     int64 (n_folds, V)
    symbols    for each fold int32 (2 n,), its n symbols twice; none where there are more than MOST_SHUFFLED
    """

    counts: np.ndarray
    symbols: list[np.ndarray]

    @classmethod
    def of(cls, counts: np.ndarray, rng: np.random.Generator) -> "Shuffled":
        if counts.sum() > MOST_SHUFFLED:
            return cls(counts, [])
        entries = np.arange(counts.shape[1], dtype=np.int32)
        return cls(counts, [np.tile(rng.permutation(np.repeat(entries, fold)), 2) for fold in counts])

    def window(self, n: int, start: float, rng: np.random.Generator) -> np.ndarray:
        """Counts of n symbols, each fold giving its share, from `start` in 0 .. 1 of each: integers (n_folds, V)."""
        if not self.symbols:
            return thin(self.counts, n, rng)
        sizes = self.counts.sum(axis=1)
        windows = zip(self.symbols, sizes, largest_remainder(sizes * (n / sizes.sum()), n), strict=True)
        starts = ((int(start * size), symbols, length) for symbols, size, length in windows)
        V = self.counts.shape[1]
        return np.stack([np.bincount(symbols[at : at + length], minlength=V) for at, symbols, length in starts])


def draws(question: Question, feature: str) -> Iterator[Draw]:
    """The resamples of a question in DRAWS parts, each with samples of its own.

    One seed, the same splits, whatever the feature; so predictors are paired with each other.
    """
    profiles = {corpus: question.profiles[corpus] for corpus in question.corpora}
    check_same_tokenizer(profiles.values())
    counts = feature_counts(profiles, feature)
    dimension = next(iter(counts.values())).shape[1]
    seen = np.flatnonzero(np.any([of_corpus.any(axis=0) for of_corpus in counts.values()], axis=0))
    shuffling, splitting = np.random.default_rng(question.seed).spawn(2)
    shuffled = {corpus: Shuffled.of(of_corpus[:, seen], shuffling) for corpus, of_corpus in counts.items()}
    sources = [*question.sources, *({Part(target): 1.0} for target in question.targets)]
    parts = list(dict.fromkeys(part for source in sources for part in source))
    tokens = _common_tokens(question)
    sizes = symbols_of_mixtures(
        {part: int(counts[part.corpus].sum()) for part in parts},
        {part: profiles[part.corpus].size["tokens"] for part in parts},
        sources,
        tokens,
    )
    n, names = len(question.sources), (*map(name_of, question.sources), *question.targets)
    n_draws = min(DRAWS, question.resamples)
    for k in range(n_draws):
        samples = np.zeros((len(sources), 2 * N_FOLDS, len(seen)), np.float32)
        for part, of_sources in sizes.items():
            folds = slice(N_FOLDS, None) if part.held_out else slice(N_FOLDS)
            for size, i in of_sources:
                samples[i, folds] += shuffled[part.corpus].window(size, k / n_draws, shuffling)
        by_fold = samples.sum(axis=2)
        n_splits = question.resamples * (k + 1) // n_draws - question.resamples * k // n_draws
        halves = half_splits(by_fold[:, :N_FOLDS] + by_fold[:, N_FOLDS:], n_splits, splitting, names)
        yield Draw(samples[:n], samples[n:, :N_FOLDS], halves, tokens, dimension)


def _common_tokens(question: Question) -> int:
    """Tokens that the pretraining corpus, every mixture and every target can give."""
    corpora = {corpus: question.profiles[corpus].size["tokens"] for corpus in question.corpora}
    mixtures = {str(mixture): mixture.weights for mixture in (question.pretrain, *question.mixtures.values())}
    return common_size(corpora, mixtures | {target: {target: 1.0} for target in question.targets}, question.tokens)
