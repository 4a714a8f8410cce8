"""Near-duplicates: how much of the documents of one store stands in another."""

from dataclasses import dataclass

import numpy as np

from simtool.tokens.store import TokenStore

NGRAM = 13  # tokens, as in GPT-3's contamination check (arXiv:2005.14165, appendix C)
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying loses nothing
KEPT_HASHES = 8_000_000  # of the larger store: beyond, a fixed part of all hashes is compared


@dataclass(frozen=True)
class Overlap:
    """How much of one store's documents is in another: the shares of each document's 13-grams found there."""

    n_documents: int
    shares: np.ndarray  # float64 (n_documents,); a shorter document counts as a whole, found or not

    @property
    def n_near_duplicates(self) -> int:
        """Documents of which at least half is there."""
        return int((self.shares >= 0.5).sum())

    def __str__(self) -> str:
        share = self.n_near_duplicates / max(self.n_documents, 1)
        return f"{self.n_near_duplicates:,} of {self.n_documents:,} documents ({share:.1%}) are at least half there"


def overlap(store: TokenStore, other: TokenStore) -> Overlap:
    """How much of the documents of `store` (say, validation) also stands in `other` (say, train)."""
    step = max(1, -(-other.n_tokens // KEPT_HASHES))
    known = np.unique(_ngram_hashes(other, step)[0])
    hashes, document_of = _ngram_hashes(store, step)
    is_shared = known[np.minimum(np.searchsorted(known, hashes), max(len(known) - 1, 0))] == hashes if len(known) else 0
    n = np.bincount(document_of, minlength=store.n_documents)
    n_found = np.bincount(document_of, np.broadcast_to(is_shared, hashes.shape), minlength=store.n_documents)
    return Overlap(store.n_documents, n_found / np.maximum(n, 1))


def _ngram_hashes(store: TokenStore, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the 13-grams inside documents, and the document of each; one hash in `every` of them, by value."""
    lengths = np.diff(store.offsets)
    with np.errstate(over="ignore"):
        mixed = (store.ids.astype(np.uint64) + np.uint64(1)) * MULTIPLIER
        n = max(len(mixed) - NGRAM + 1, 0)
        rolled = np.zeros(n, np.uint64)
        for k in range(NGRAM):
            rolled = (rolled ^ (rolled >> np.uint64(29))) * MULTIPLIER + mixed[k : k + n]
    document_of = np.repeat(np.arange(store.n_documents), lengths)[:n]
    inside = np.arange(n) + NGRAM <= store.offsets[document_of + 1]
    selected = inside & (rolled % np.uint64(step) == 0)
    short = np.flatnonzero((lengths > 0) & (lengths < NGRAM))
    return np.concatenate([rolled[selected], store.hashes[short]]), np.concatenate([document_of[selected], short])
