"""Counts that grow, batch by batch of documents, and become a profile."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from simtool.corpora.corpus import LONG, Corpus, document_hash
from simtool.corpora.reading import Reading
from simtool.profiles.features import FEATURES, N_FOLDS, DocumentBatch, add_counts, empty_counts, frequent_ngrams
from simtool.profiles.parts import Run, runs_of
from simtool.profiles.profile import Profile
from simtool.tokens.tokenizer import Tokenizer

LABEL_CHARACTERS = 200_000  # of the first batch are searched for frequent n-grams
N_LABELS = 500


class CorpusTally:
    """Counts that grow, batch by batch, and become a Profile; and which batches of which pieces they are of."""

    def __init__(self, corpus: str, tokenizer: Tokenizer, features: tuple[str, ...]):
        self.corpus, self.tokenizer = corpus, tokenizer
        self.counts = empty_counts(features, tokenizer.vocabulary_size)
        self.n_documents, self.n_tokens, self.n_bytes = np.zeros((3, N_FOLDS), np.int64)
        self.labels: dict[str, dict[int, tuple[int, ...]]] = {}
        self.covers: dict[str, list[Run]] = {}
        self.skipped: dict[str, Any] = {"count": 0, "reasons": [], "empty": 0}

    def add(self, texts: list[str], label: bool = False) -> tuple[int, int]:
        """Count these documents; how many bytes and tokens they have. label: its n-grams give the buckets names."""
        folds, n_bytes = np.fromiter(map(_fold_and_bytes, texts), np.dtype((np.int64, 2)), len(texts)).T
        order = np.argsort(folds, kind="stable")  # counts of one fold lie together in memory
        folds, n_bytes, texts = folds[order], n_bytes[order], [texts[i] for i in order.tolist()]
        ids, offsets = self.tokenizer.encode(texts)
        batch = DocumentBatch(texts, ids, offsets, folds)
        if label:
            self.labels = self._label(batch)
        add_counts(self.counts, batch, self.tokenizer.vocabulary_size)
        self.n_documents += np.bincount(folds, minlength=N_FOLDS)
        self.n_tokens += np.bincount(folds, np.diff(offsets), N_FOLDS).astype(np.int64)
        self.n_bytes += np.bincount(folds, n_bytes, N_FOLDS).astype(np.int64)
        return int(n_bytes.sum()), len(ids)

    def cover(self, piece: str, batch: int, skipped: dict[str, Any]) -> None:
        """Batch so and so of a piece is counted; what was left out in it."""
        self._cover(piece, batch, batch + 1, skipped)

    def cover_rest(self, piece: str, batch: int, skipped: dict[str, Any]) -> None:
        """A piece ends before this batch."""
        self._cover(piece, batch, None, skipped)

    def _cover(self, piece: str, first: int, stop: int | None, skipped: dict[str, Any]) -> None:
        runs = self.covers.setdefault(piece, [])
        if runs and runs[-1][1] == first:
            first, _ = runs.pop()
        runs.append((first, stop))
        self.skipped = {
            "count": self.skipped["count"] + skipped["count"],
            "reasons": [*self.skipped["reasons"], *skipped["reasons"]][:5],
            "empty": self.skipped["empty"] + skipped["empty"],
        }

    def _label(self, batch: DocumentBatch) -> dict[str, dict[int, tuple[int, ...]]]:
        """Frequent n-grams of the first texts, by the bucket they are counted in: names for people to read."""
        lengths = np.cumsum([len(text) for text in batch.texts])
        n = min(int(np.searchsorted(lengths, LABEL_CHARACTERS)) + 1, len(lengths))
        batch = _beginnings(batch, n, LONG)
        labels: dict[str, dict[int, tuple[int, ...]]] = {}
        for name in self.counts:
            if FEATURES[name].order > 1:
                labels[name] = {}
                for ngram in frequent_ngrams(batch, name, N_LABELS, self.tokenizer.vocabulary_size):
                    labels[name].setdefault(ngram.bucket, ngram.symbols)  # the most frequent comes first
        return labels

    def profile(self) -> Profile:
        covers = [[piece, *run] for piece, runs in self.covers.items() for run in runs]
        return Profile(
            self.corpus,
            self.tokenizer.name,
            self.tokenizer.fingerprint,
            self.n_documents.copy(),
            self.n_tokens.copy(),
            self.n_bytes.copy(),
            {name: counts.view() for name, counts in self.counts.items()},
            self.labels,
            {"covers": covers, "skipped": self.skipped},
        )

    def resume(self, saved: Profile) -> None:
        """Take over the counts of a part."""
        for name, counts in self.counts.items():
            counts += saved.features[name]
        self.n_documents += saved.n_documents
        self.n_tokens += saved.n_tokens
        self.n_bytes += saved.n_bytes
        self.labels = {name: dict(labels) for name, labels in saved.labels.items() if labels}
        self.covers = {piece: list(runs) for piece, runs in runs_of([saved.facts]).items()}
        self.skipped = dict(saved.facts["skipped"])


def _beginnings(batch: DocumentBatch, n: int, most: int) -> DocumentBatch:
    """The first n texts of a batch, each up to so many characters and tokens: sorting the n-grams of a text of 60 MB
    took 5.9 GB."""
    spans = [(a, min(b, a + most)) for a, b in pairwise(batch.offsets[: n + 1].tolist())]
    ids = np.concatenate([batch.ids[:0], *(batch.ids[a:b] for a, b in spans)])
    offsets = np.cumsum([0, *(b - a for a, b in spans)])
    return DocumentBatch([text[:most] for text in batch.texts[:n]], ids, offsets, np.zeros(n, np.int64))


def _fold_and_bytes(text: str) -> tuple[int, int]:
    """A text's fold and its length in UTF-8, which is not held: of a batch it would be as much again."""
    utf8 = text.encode("utf-8", "replace")
    return document_hash(utf8) % N_FOLDS, len(utf8)


def text_batches(corpus: Corpus, reading: Reading, n_bytes: int | Callable[[], float]) -> Iterator[list[str]]:
    """Texts, about so many bytes at a time; a function is asked anew when a batch begins."""
    texts: list[str] = []
    size, enough = 0, n_bytes() if callable(n_bytes) else n_bytes
    for documents in corpus.batches(reading=reading):
        for document in documents:
            texts.append(document.text)
            size += len(texts[-1])
            if size >= enough:
                yield texts
                texts, size, enough = [], 0, n_bytes() if callable(n_bytes) else n_bytes
    if texts:
        yield texts


def skipped_since(reading: Reading) -> dict[str, Any]:
    """What was left out since this was last asked."""
    skipped = {"count": reading.n_skipped, "reasons": list(reading.reasons), "empty": reading.n_empty}
    reading.n_skipped, reading.n_empty = 0, 0
    reading.reasons.clear()
    return skipped
