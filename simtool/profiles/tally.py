"""Counts that grow, batch by batch of documents, and become a profile."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from simtool.corpora.corpus import Corpus, Reading, document_hash
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
        data = [text.encode("utf-8", "replace") for text in texts]
        folds = np.array([document_hash(utf8) % N_FOLDS for utf8 in data], np.int64)
        order = np.argsort(folds, kind="stable")  # counts of one fold lie together in memory
        folds, texts = folds[order], [texts[i] for i in order]
        n_bytes = np.array([len(data[i]) for i in order], np.int64)
        ids, offsets = self.tokenizer.encode(texts)
        batch = DocumentBatch(texts, ids, offsets, folds)
        if label:
            self.labels = self._label(texts)
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

    def _label(self, texts: list[str]) -> dict[str, dict[int, tuple[int, ...]]]:
        """Frequent n-grams of the first texts, by the bucket they are counted in: names for people to read."""
        lengths = np.cumsum([len(text) for text in texts])
        texts = texts[: int(np.searchsorted(lengths, LABEL_CHARACTERS)) + 1]
        batch = DocumentBatch(texts, *self.tokenizer.encode(texts), np.zeros(len(texts), np.int64))
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
