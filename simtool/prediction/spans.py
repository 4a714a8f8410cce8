"""A mixture of n-gram models over spans: every few tokens of a target come from one of the mixed corpora.

A language model infers from what it has just read what kind of text it reads, so a mixture does not cost it the
average over sources token by token. Here that inference is as short as a few tokens: a span has the probability
sum of w_k P_k(span), P_k an n-gram model of corpus k, and a target costs the sum of its logarithms. Each corpus is
read once; after that, a mixture is one matrix product.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simtool.errors import SimtoolError
from simtool.prediction.kneser_ney import KneserNey
from simtool.profiles.features import N_FOLDS

if TYPE_CHECKING:
    from simtool.tokens.tokenizer import Tokenizer

# K corpora, T targets, S spans of a target, n mixtures

# Fitted on RegMix 1M-train (512 runs) on 2026-11-26, then frozen. Spans of 2 to 6 tokens ranked the runs within 0.004
# of each other, of 1 token 0.03 worse; n-grams of 2 to 4 tokens, or a quarter of the text, within 0.006.
SPAN = 3  # tokens
ORDER = 3  # of the n-gram models
TRAINING_TOKENS = 400_000  # of a corpus at most: a second to read
TARGET_TOKENS = 50_000
DOCUMENT_TOKENS = 4_000  # of a target's document at most, so that no few of them are all that is measured
# Every corpus has at least this weight: half of the 0.001 that published weights are rounded to. Without it a weight
# of 0 is final for what only that corpus shows, and ranks fall by 0.02.
WEIGHT_FLOOR = 5e-4


@dataclass(frozen=True)
class SpanTable:
    """What every span of every target costs under the model of every corpus.

    log_probabilities   float64 (K, S) a target, in nats
    folds               int64 (S,) a target
    tokens              int64 (T, n_folds)
    """

    corpora: tuple[str, ...]
    log_probabilities: tuple[np.ndarray, ...]
    folds: tuple[np.ndarray, ...]
    tokens: np.ndarray

    def first(self, n_corpora: int) -> "SpanTable":
        """The table of the first corpora alone."""
        tables = tuple(table[:n_corpora] for table in self.log_probabilities)
        return SpanTable(self.corpora[:n_corpora], tables, self.folds, self.tokens)

    def nats(self, weights: np.ndarray) -> np.ndarray:
        """Of each target's folds under every mixture: float64 (n, T, n_folds). weights: (n, K), rows sum to 1."""
        parts = zip(self.log_probabilities, self.folds, strict=True)
        return np.stack([span_nats(table, weights, folds) for table, folds in parts], axis=1)


def span_nats(log_probabilities: np.ndarray, weights: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """What each fold of one target costs under every mixture: float64 (n, n_folds)."""
    shares = weights + WEIGHT_FLOOR
    shares /= shares.sum(axis=1, keepdims=True)
    best = log_probabilities.max(axis=0)
    likelihoods = np.exp(log_probabilities - best)  # the largest is 1, so that no sum is 0
    in_fold = np.eye(N_FOLDS)[folds]
    nats = np.empty((len(weights), N_FOLDS))
    for start in range(0, len(weights), 64):  # 64 mixtures x 17,000 spans are 9 MB
        nats[start : start + 64] = -(best + np.log(shares[start : start + 64] @ likelihoods)) @ in_fold
    return nats


def span_table(
    corpora: Mapping[str, Sequence[tuple[int, str]]],
    targets: Mapping[str, Sequence[tuple[int, str]]],
    tokenizer: "Tokenizer",
) -> SpanTable:
    """Read every corpus's documents of even folds, and measure every target's of odd folds under each.

    Parameters
    ----------
    corpora, targets
        Fold and text of each document, by name.
    """
    held_out = {name: _held_out(name, documents, tokenizer) for name, documents in targets.items()}
    tables: dict[str, list[np.ndarray]] = {name: [] for name in targets}
    for name, documents in corpora.items():
        model = _model(name, documents, tokenizer)
        for target, text in held_out.items():
            logs = np.log(model.probabilities(text.ids, text.offsets))
            tables[target].append(np.add.reduceat(logs, text.starts))
    return SpanTable(
        tuple(corpora),
        tuple(np.stack(table) for table in tables.values()),
        tuple(text.folds for text in held_out.values()),
        np.stack([text.tokens for text in held_out.values()]),
    )


@dataclass(frozen=True)
class _HeldOut:
    """A target's tokens, documents end to end; where its spans start, the fold of each, and the tokens of each fold."""

    ids: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    folds: np.ndarray
    tokens: np.ndarray


def _held_out(name: str, documents: Sequence[tuple[int, str]], tokenizer: "Tokenizer") -> _HeldOut:
    odd = [(fold, text) for fold, text in documents if fold % 2 == 1]
    ids, offsets = _tokens(name, [text for _, text in odd], tokenizer, TARGET_TOKENS, DOCUMENT_TOKENS)
    lengths = np.diff(offsets)
    folds = np.array([fold for fold, _ in odd[: len(lengths)]])
    starts = span_starts(offsets)
    of_span = folds[np.searchsorted(offsets, starts, side="right") - 1]
    return _HeldOut(ids, offsets, starts, of_span, np.bincount(folds, lengths, N_FOLDS).astype(np.int64))


def span_starts(offsets: np.ndarray) -> np.ndarray:
    """Where each span begins: int64 (S,); none crosses from a document into the next.

    Parameters
    ----------
    offsets
        int64 (n_documents + 1,): where each document's tokens begin, and the end.
    """
    edges = np.unique(offsets)  # a document without tokens has no span
    return np.concatenate([np.arange(start, end, SPAN) for start, end in itertools.pairwise(edges)])


def _model(name: str, documents: Sequence[tuple[int, str]], tokenizer: "Tokenizer") -> KneserNey:
    even = [text for fold, text in documents if fold % 2 == 0]
    return KneserNey.train(*_tokens(name, even, tokenizer, TRAINING_TOKENS), tokenizer.vocabulary_size, ORDER)


def _tokens(
    name: str, texts: list[str], tokenizer: "Tokenizer", most: int, of_document: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The first documents' ids, `most` at most, and their offsets; `of_document` ids of each at most."""
    parts: list[np.ndarray] = []
    total = 0
    for start in range(0, len(texts), 64):
        ids, offsets = tokenizer.encode(texts[start : start + 64])
        for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            parts.append(np.asarray(ids[begin:end][:of_document])[: most - total])
            total += len(parts[-1])
            if total == most:
                return np.concatenate(parts), np.cumsum([0, *map(len, parts)])
    if total == 0:
        raise SimtoolError(f"{name} has too few documents to be read in halves. Give more of its text.")
    return np.concatenate(parts), np.cumsum([0, *map(len, parts)])
