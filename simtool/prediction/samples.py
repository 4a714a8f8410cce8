"""Samples of one size of every source and target, drawn several times, and the half-splits they are measured on.

A seed must not decide: how a corpus is thinned moves an advantage by most of its standard error. So resamples are
spread over DRAWS draws, which together take every symbol of a corpus equally often: their mean hardly depends on the
seed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simtool.prediction.question import Part, Question, name_of
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import check_same_tokenizer
from simtool.similarity.matrix import common_size, feature_counts, symbols_of_mixtures
from simtool.similarity.resampling import half_splits, thin
from simtool.similarity.splits import FoldCounts, fast_order
from simtool.statistics import largest_remainder

DRAWS = 20
SYMBOL = np.float32(1)  # np.add.at is 50 times as fast with a number of its array's type
MOST_SHUFFLED = 50_000_000  # symbols of a corpus, 4 bytes each; how larger ones are thinned hardly matters


@dataclass(frozen=True)
class Draw:
    """Samples of one size, and half-splits of the folds.

    counts   of the sources and of the targets; the controls, which come last, have held-out parts
    halves   bool (R, N_FOLDS): half of the folds, on which sources are measured; held-out parts and targets are on the
             other half
    tokens   of every source and target, both halves together
    """

    counts: FoldCounts
    halves: np.ndarray
    tokens: int


@dataclass(frozen=True)
class CorpusSample:
    """A sample of a corpus: the symbols of each fold, or their counts, (n_folds, V), where the corpus is too large."""

    symbols: Sequence[np.ndarray] = ()
    thinned: np.ndarray | None = None

    @property
    def sizes(self) -> np.ndarray:
        """Symbols in each fold: (n_folds,)."""
        return np.array([len(of) for of in self.symbols]) if self.thinned is None else self.thinned.sum(axis=1)

    def mark(self, has: np.ndarray) -> None:
        """Set `has`, bool (V,), for the entries in the sample."""
        if self.thinned is not None:
            has |= self.thinned.any(axis=0)
        for of_fold in self.symbols:
            has[of_fold] = True

    def add_to(self, counts: np.ndarray, fold: int, order: np.ndarray, place: np.ndarray) -> None:
        """Count a fold into float32 (len(order),): the entries in `order`, `place` being where each stands."""
        if self.thinned is not None:
            counts += self.thinned[fold, order]
        else:
            np.add.at(counts, place.take(self.symbols[fold]), SYMBOL)


@dataclass(frozen=True)
class Shuffled:
    """A corpus whose symbols are shuffled within each fold: a sample of any size is a window.

    counts     int64 (n_folds, V)
    sizes      int64 (n_folds,)   symbols in each fold
    symbols    for each fold int32 (2 n,), its n symbols twice; none where there are more than MOST_SHUFFLED
    """

    counts: np.ndarray
    sizes: np.ndarray
    symbols: list[np.ndarray]

    @classmethod
    def of(cls, counts: np.ndarray, rng: np.random.Generator) -> "Shuffled":
        sizes = counts.sum(axis=1)
        if sizes.sum() > MOST_SHUFFLED:
            return cls(counts, sizes, [])
        entries = np.arange(counts.shape[1], dtype=np.int32)
        return cls(counts, sizes, [np.tile(rng.permutation(np.repeat(entries, fold)), 2) for fold in counts])

    def window(self, n: int, start: float, rng: np.random.Generator) -> CorpusSample:
        """n symbols, each fold giving its share, from `start` in 0 .. 1 of each."""
        if not self.symbols:
            return CorpusSample(thinned=thin(self.counts, n, rng))
        lengths = largest_remainder(self.sizes * (n / self.sizes.sum()), n)
        windows = zip(self.symbols, self.sizes, lengths, strict=True)
        return CorpusSample([of[int(start * size) :][:length] for of, size, length in windows])


def draws(question: Question, feature: str) -> Iterator[Draw]:
    """The resamples of a question in DRAWS parts, each with samples of its own, which the next overwrites.

    One seed, the same splits, whatever the feature; so predictors are paired with each other.
    """
    profiles = {corpus: question.profiles[corpus] for corpus in question.corpora}
    check_same_tokenizer(profiles.values())
    counts = feature_counts(profiles, feature)
    dimension = next(iter(counts.values())).shape[1]
    seen = np.flatnonzero(np.any([of_corpus.any(axis=0) for of_corpus in counts.values()], axis=0))
    shuffling, splitting = np.random.default_rng(question.seed).spawn(2)
    shuffled = {corpus: Shuffled.of(of_corpus[:, seen], shuffling) for corpus, of_corpus in counts.items()}
    tokens = _common_tokens(question)
    samples = _samples(question, {corpus: int(of.sizes.sum()) for corpus, of in shuffled.items()}, tokens)
    names = (*map(name_of, question.sources), *question.targets)
    # fresh memory for each draw took as long as counting into it
    memory = np.empty((sum(map(len, samples)), N_FOLDS, len(seen)), np.float32)
    n_draws = min(DRAWS, question.resamples)
    for k in range(n_draws):
        takes = dict.fromkeys(take for group in samples for sample in group for take in sample)
        windows = {take: shuffled[take.part.corpus].window(take.n, k / n_draws, shuffling) for take in takes}
        drawn = _count(samples, windows, dimension, memory)
        n_splits = question.resamples * (k + 1) // n_draws - question.resamples * k // n_draws
        by_fold = np.concatenate([drawn.sizes_of_sources, drawn.sizes[-1]])
        yield Draw(drawn, half_splits(by_fold, n_splits, splitting, names), tokens)


class Take(NamedTuple):
    """Symbols of a part that a sample takes."""

    part: Part
    n: int


Samples = tuple[list[list[Take]], list[list[Take]], list[list[Take]]]  # of sources, of held-out parts, of targets


def _samples(question: Question, n_symbols: Mapping[str, int], tokens: int) -> Samples:
    """What is taken for each source, for the held-out parts of those that have some, and for each target."""
    samples = [*question.sources, *({Part(target): 1.0} for target in question.targets)]
    parts = dict.fromkeys(part for sample in samples for part in sample)
    sizes = symbols_of_mixtures(
        {part: n_symbols[part.corpus] for part in parts},
        {part: question.profiles[part.corpus].size["tokens"] for part in parts},
        samples,
        tokens,
    )
    takes: list[list[Take]] = [[] for _ in samples]
    for part, of_samples in sizes.items():
        for n, i in of_samples:
            takes[i].append(Take(part, n))
    sources, targets = takes[: len(question.sources)], takes[len(question.sources) :]
    plain, held_out = ([[t for t in of if t.part.held_out == half] for of in sources] for half in (False, True))
    return plain, [of for of in held_out if of], targets


def _count(samples: Samples, windows: Mapping[Take, CorpusSample], dimension: int, memory: np.ndarray) -> FoldCounts:
    """The windows of each sample together, in `memory`: float32 (samples, N_FOLDS, entries)."""
    sources, held_out, targets = samples
    n_entries = memory.shape[2]
    in_source, in_target = np.zeros(n_entries, bool), np.zeros((len(targets), n_entries), bool)
    for take in {take for sample in (*sources, *held_out) for take in sample}:
        windows[take].mark(in_source)
    for sample, has in zip(targets, in_target, strict=True):
        for take in sample:
            windows[take].mark(has)
    order = fast_order(in_target, in_source)
    place = np.zeros(n_entries, np.int64)
    place[order] = np.arange(len(order))
    counts = memory.ravel()[: len(memory) * N_FOLDS * len(order)].reshape(len(memory), N_FOLDS, len(order))
    every_sample = (*sources, *held_out, *targets)
    for of_sample, sample in zip(counts, every_sample, strict=True):
        for fold, of_fold in enumerate(of_sample):
            of_fold[:] = 0
            for take in sample:
                windows[take].add_to(of_fold, fold, order, place)
    # of a control that is all held out, nothing is left of the other half
    sizes = np.array([sum((windows[take].sizes for take in sample), np.zeros(N_FOLDS)) for sample in every_sample])
    ends = len(sources), len(sources) + len(held_out)
    return FoldCounts(*np.split(counts, ends), in_target[:, order], tuple(np.split(sizes, ends)), dimension)


def _common_tokens(question: Question) -> int:
    """Tokens that the pretraining corpus, every mixture and every target can give."""
    corpora = {corpus: question.profiles[corpus].size["tokens"] for corpus in question.corpora}
    mixtures = {str(mixture): mixture.weights for mixture in (question.pretrain, *question.mixtures.values())}
    return common_size(corpora, mixtures | {target: {target: 1.0} for target in question.targets}, question.tokens)
