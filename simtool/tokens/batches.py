"""Batch i is a pure function of (stores, mixture, seed, i). There is no loader state: to resume is to start at i.

Text. The documents of a store, each led by an end-of-text token, are one stream; its n-th sequence is
stream[n * T : n * T + T + 1], inputs and targets overlapping by one, so every token is a target once an epoch.
Sequences are dealt in blocks. In a block every corpus has its exact share, by largest remainder, spread evenly;
so the n-th sequence of the run is the m-th of its corpus, and m says its epoch and, through a permutation that is
computed and not stored, which sequence it is.

Examples (fine-tuning). An epoch is a permutation of the documents; a batch takes the next so many of them, whole,
and packs them into rows. Each is preceded and followed by an end-of-text token, and sees itself alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.statistics import largest_remainder
from simtool.tokens.store import TokenStore

# B row, T position

IGNORED = -100  # a target that is not counted; torch's own sign for it
BLOCK = 1000  # sequences: shares are exact in every block, and so to a tenth of a per cent
MAX_EPOCHS = 4.0  # repeating up to so often is nearly as good as new text (arXiv:2305.16264)
ROUNDS = 6  # of the Feistel network; four make a permutation that looks random (Luby and Rackoff, 1988)
WORD = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True)
class Batch:
    """Rows of a step.

    ids         int64 (B, T)   what is read
    targets     int64 (B, T)   what is to be predicted at each position; IGNORED where no loss is taken
    documents   int64 (B, T)   which document of the row a position belongs to; padding has numbers of its own
    """

    ids: np.ndarray
    targets: np.ndarray
    documents: np.ndarray

    @property
    def n_tokens(self) -> int:
        return math.prod(self.ids.shape)

    @property
    def n_targets(self) -> int:
        return int((self.targets != IGNORED).sum())

    def rows(self, start: int, stop: int) -> "Batch":
        return Batch(*(getattr(self, name)[start:stop] for name in ("ids", "targets", "documents")))


@dataclass(frozen=True)
class Origin:
    """Where a row's text comes from: documents first .. last of a corpus (their numbers in its store)."""

    corpus: str
    documents: tuple[int, ...]


# ---- text ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TextBatches:
    """Batches of `batch_size` sequences of `sequence_length` tokens from a mixture of stores; batch(i) for any i.

    n_batches    how many will be asked for: what the stores must hold
    taken        {corpus: sequences} that earlier phases have used, so that a later one goes on behind them
    max_epochs   more passes over a corpus than that is an error, raised here, before anything runs
    """

    stores: Mapping[str, TokenStore]
    mixture: Mixture
    seed: int
    sequence_length: int
    batch_size: int
    n_batches: int
    taken: Mapping[str, int] = field(default_factory=dict)
    max_epochs: float = MAX_EPOCHS

    def __post_init__(self) -> None:
        check_stores(self.stores, self.mixture.weights)
        if rare := [name for name, quota in zip(self.mixture.weights, self.quotas, strict=True) if not quota]:
            raise SimtoolError(
                f"The share of {', '.join(rare)} in {self.mixture} is too small: at least {1 / BLOCK:g} is needed,"
                f" one sequence in {BLOCK:,}."
            )
        for name, n_used in self.used(self.n_batches).items():
            self._check_size(name, self.taken.get(name, 0) + n_used)

    def _check_size(self, corpus: str, n_needed: int) -> None:
        n_held, T = self._n_sequences[corpus], self.sequence_length
        if n_needed > n_held * self.max_epochs:
            passes = f"{_passes(n_needed, n_held)} passes, {self.max_epochs:g} allowed"
            missing = math.ceil(n_needed / self.max_epochs - n_held) * T
            raise SimtoolError(
                f"{corpus} is too small: {n_needed * T:,} tokens of it are asked for, and it holds {n_held * T:,}"
                f" ({passes}).\nAdd {missing:,} tokens of text, ask for less, or allow more: --max-epochs."
            )

    @cached_property
    def quotas(self) -> list[int]:
        """Sequences of each corpus in a block."""
        return largest_remainder([share * BLOCK for share in self.mixture.weights.values()], BLOCK).tolist()

    @cached_property
    def _streams(self) -> "dict[str, _Stream]":
        return {name: _Stream(self.stores[name]) for name in self.mixture.weights}

    @cached_property
    def _n_sequences(self) -> dict[str, int]:
        return {name: max(self._streams[name].n_tokens - 1, 0) // self.sequence_length for name in self.mixture.weights}

    def used(self, n_batches: int) -> dict[str, int]:
        """Sequences of each corpus in the first n batches."""
        n_blocks, rest = divmod(n_batches * self.batch_size, BLOCK)
        begun = np.bincount(self._deal(n_blocks)[:rest], minlength=len(self.quotas))
        return {
            name: n_blocks * quota + int(n)
            for name, quota, n in zip(self.mixture.weights, self.quotas, begun, strict=True)
        }

    def achieved(self, n_batches: int) -> dict[str, dict[str, float]]:
        """Tokens of each corpus in the first n batches, their share, and passes over the corpus so far."""
        used = self.used(n_batches)
        total = max(sum(used.values()), 1)
        return {
            name: {
                "tokens": n * self.sequence_length,
                "share": n / total,
                "epochs": (self.taken.get(name, 0) + n) / max(self._n_sequences[name], 1),
            }
            for name, n in used.items()
        }

    def taken_after(self, n_batches: int) -> dict[str, int]:
        """Sequences used so far, with those of earlier phases: `taken` of the next phase."""
        used = self.used(n_batches)
        return {name: self.taken.get(name, 0) + used.get(name, 0) for name in {**self.taken, **used}}

    def batch(self, i: int) -> Batch:
        rows = [
            self._streams[name].read(n * self.sequence_length, self.sequence_length) for name, n in self._sequences(i)
        ]
        ids, boundaries = (np.stack(part) for part in zip(*rows, strict=True))
        return Batch(ids[:, :-1], ids[:, 1:].copy(), np.cumsum(boundaries[:, :-1], axis=1))

    def origins(self, i: int) -> list[Origin]:
        """Which documents each row of batch i holds."""
        return [
            Origin(name, self._streams[name].documents(n * self.sequence_length, self.sequence_length))
            for name, n in self._sequences(i)
        ]

    def _sequences(self, i: int) -> list[tuple[str, int]]:
        """(corpus, sequence) of each row of batch i."""
        names = list(self.mixture.weights)
        blocks, places = np.divmod(np.arange(i * self.batch_size, (i + 1) * self.batch_size), BLOCK)
        owners, nth = np.empty((2, self.batch_size), np.int64)
        for block in np.unique(blocks):
            deal = self._deal(int(block))
            rank = np.empty(BLOCK, np.int64)  # which of its corpus, in this block
            for c, quota in enumerate(self.quotas):
                rank[deal == c] = np.arange(quota) + int(block) * quota
            here = blocks == block
            owners[here], nth[here] = deal[places[here]], rank[places[here]]
        sequences = np.empty(self.batch_size, np.int64)
        for c in np.unique(owners):
            n = self._n_sequences[names[c]]
            epochs, ks = np.divmod(nth + self.taken.get(names[c], 0), n)
            for epoch in np.unique(epochs[owners == c]):
                here = (owners == c) & (epochs == epoch)
                sequences[here] = permuted(ks[here], n, (self.seed, names[c], int(epoch)))
        return [(names[c], int(sequence)) for c, sequence in zip(owners, sequences, strict=True)]

    def _deal(self, block: int) -> np.ndarray:
        """Which corpus (by number) each place of a block belongs to: every corpus evenly spread, with a seeded
        start, so that batches too have nearly their shares."""
        starts = np.random.default_rng([self.seed & (2**64 - 1), block]).random(len(self.quotas))
        places = [(np.arange(quota) + start) / quota for quota, start in zip(self.quotas, starts, strict=True) if quota]
        owners = np.repeat(np.arange(len(self.quotas)), self.quotas)
        return owners[np.argsort(np.concatenate(places), kind="stable")]


class _Stream:
    """A store as one stream: an end-of-text token, then a document, and so on; one more end at the very end."""

    def __init__(self, store: TokenStore):
        assert store.end_of_text is not None
        self.store, self.end = store, store.end_of_text
        # document d begins, with its end-of-text token, here; the last entry is the token that closes the stream
        self.starts = store.offsets + np.arange(store.n_documents + 1)
        self.n_tokens = store.n_tokens + store.n_documents + 1

    def read(self, at: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """length + 1 ids from `at` on, int64, and where among them documents begin, bool."""
        first, last = np.searchsorted(self.starts, [at, at + length + 1])
        inside = self.starts[first:last] - at
        boundaries = np.zeros(length + 1, bool)
        boundaries[inside] = True
        ids = np.empty(length + 1, np.int64)
        ids[inside] = self.end
        begin = at - first  # of the stream's tokens before `at`, `first` are end-of-text
        ids[~boundaries] = self.store.ids[begin : begin + length + 1 - len(inside)]
        return ids, boundaries

    def documents(self, at: int, length: int) -> tuple[int, ...]:
        first, last = np.searchsorted(self.starts[:-1], [at, at + length], "right")
        return tuple(range(max(int(first) - 1, 0), int(last)))


# ---- examples --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExampleBatches:
    """Batches of `batch_size` examples, each once an epoch, packed whole into rows of at most `sequence_length` tokens.

    train_on   "response", "text", or None: as the store says

    Examples longer than a row are cut at its end (n_truncated of them); those that then have nothing left to
    learn are left out (n_left_out). Rows end with padding where no example fits any more.
    """

    store: TokenStore
    seed: int
    sequence_length: int
    batch_size: int
    train_on: str | None = None

    def __post_init__(self) -> None:
        check_stores({self.store.corpus: self.store}, [self.store.corpus])
        if self.train_on not in (None, "response", "text"):
            raise SimtoolError(f"SFT trains on the response or on the text. Got {self.train_on!r}.")
        if not len(self.examples):
            raise SimtoolError(
                f"{self.store.corpus} has no example with anything to learn in its first {self.sequence_length:,}"
                " tokens. Give a greater --sequence-length."
            )

    @cached_property
    def _lengths(self) -> np.ndarray:
        return np.diff(self.store.offsets)

    @cached_property
    def _learns_all(self) -> bool:
        return (self.train_on or self.store.train_on) == "text" or not self.store.has_masks

    @cached_property
    def _loss_from(self) -> np.ndarray:
        """The first token of each document that a loss is taken on; its length where there is none."""
        return np.zeros_like(self._lengths) if self._learns_all else self.store.n_leading_masked

    @cached_property
    def examples(self) -> np.ndarray:
        """The documents that are trained on."""
        return np.flatnonzero((self._lengths > 0) & (self._loss_from < np.minimum(self._lengths, self.sequence_length)))

    @property
    def n_left_out(self) -> int:
        return self.store.n_documents - len(self.examples)

    @property
    def n_truncated(self) -> int:
        return int((self._lengths[self.examples] + 1 > self.sequence_length).sum())

    @property
    def n_batches(self) -> int:
        """In an epoch; the last one may be smaller."""
        return -(-len(self.examples) // self.batch_size)

    def documents(self, i: int) -> np.ndarray:
        """The documents of batch i."""
        epoch, k = divmod(i, self.n_batches)
        n = len(self.examples)
        places = np.arange(k * self.batch_size, min((k + 1) * self.batch_size, n))
        return self.examples[permuted(places, n, (self.seed, self.store.corpus, epoch))]

    def batch(self, i: int) -> Batch:
        documents = self.documents(i)
        lengths = np.minimum(self._lengths[documents] + 1, self.sequence_length)
        bins = packed(lengths, self.sequence_length)
        width = max(int(lengths[items].sum()) for items in bins)
        ids = np.full((len(bins), width), self.store.end_of_text, np.int64)
        targets = np.full((len(bins), width), IGNORED, np.int64)
        boundaries = np.zeros((len(bins), width), bool)
        boundaries[:, 0] = True
        for b, items in enumerate(bins):
            at = 0
            for e in items:
                n = int(lengths[e])
                ids[b, at : at + n], targets[b, at : at + n] = self._example(int(documents[e]))
                boundaries[b, at] = True
                at += n
            if at < width:
                boundaries[b, at] = True  # the padding is a document of its own, without targets
        return Batch(ids, targets, np.cumsum(boundaries, axis=1))

    def origins(self, i: int) -> list[Origin]:
        return [Origin(self.store.corpus, tuple(int(d) for d in self.documents(i)))]

    def _example(self, document: int) -> tuple[np.ndarray, np.ndarray]:
        """What is read (end of text, document) and what is to be predicted (document, end of text)."""
        ids = self.store.document(document).astype(np.int64)
        read = np.concatenate([[self.store.end_of_text], ids])
        targets = np.concatenate([ids, [self.store.end_of_text]])
        if not self._learns_all:
            masked = self.store.is_masked(document)
            targets[:-1][masked] = IGNORED
            targets[-1:][masked[-1:]] = IGNORED  # a text that ends with the user's turn does not teach to end
        return read[: self.sequence_length], targets[: self.sequence_length]


def packed(lengths: np.ndarray, capacity: int) -> list[list[int]]:
    """Items into as few rows as first-fit decreasing finds, at most 11/9 of the best plus one (Johnson, 1973)."""
    bins: list[list[int]] = []
    room: list[int] = []
    for item in np.argsort(-lengths, kind="stable"):
        place = next((b for b, left in enumerate(room) if left >= lengths[item]), None)
        if place is None:
            place = len(bins)
            bins.append([])
            room.append(capacity)
        bins[place].append(int(item))
        room[place] -= int(lengths[item])
    return bins


# ---- what both need --------------------------------------------------------------------------------------


def check_stores(stores: Mapping[str, TokenStore], corpora: Sequence[str] | Mapping[str, float]) -> None:
    """Every corpus has its store, under one tokenizer that ends documents.

    Raises
    ------
    SimtoolError
        Where a store is missing, tokenizers differ, or theirs does not end documents.
    """
    if missing := [name for name in corpora if name not in stores]:
        raise SimtoolError(
            f"Not tokenized: {', '.join(missing)}. Make them: simtool tokenize {' '.join(missing)}\n"
            f"At hand: {', '.join(sorted(stores)) or 'none'}."
        )
    fingerprints = {stores[name].tokenizer_fingerprint: name for name in corpora}
    if len(fingerprints) > 1:
        listed = ", ".join(f"{name} under {fingerprint}" for fingerprint, name in fingerprints.items())
        raise SimtoolError(f"Stores of different tokenizers cannot be mixed: {listed}. Tokenize all under the same.")
    if ended := [name for name in corpora if stores[name].end_of_text is None]:
        raise SimtoolError(
            f"The tokenizer {stores[ended[0]].tokenizer!r} has no end-of-text token, so documents cannot be separated."
            " Choose one that has: simtool tokenizers."
        )


def permuted(places: np.ndarray, n: int, key: tuple[object, ...]) -> np.ndarray:
    """Where a permutation of 0 .. n - 1, fixed by the key, sends these places; computed without storing it.

    A Feistel network permutes a power of four >= n; a value that falls outside goes round again until it is inside.
    """
    half = np.uint64(max((n - 1).bit_length() + 1, 2) // 2)
    mask = (np.uint64(1) << half) - np.uint64(1)
    keys = np.random.default_rng([*repr(key).encode()]).integers(0, 2**32, ROUNDS, np.uint64)
    out = places.astype(np.uint64)
    todo = np.ones(len(out), bool)
    while todo.any():
        value = out[todo]
        left, right = value >> half, value & mask
        for k in keys:
            left, right = right, left ^ (_mixed(right ^ k) & mask)
        out[todo] = (left << half) | right
        todo = out >= n
    return out.astype(np.int64)


def _mixed(x: np.ndarray) -> np.ndarray:
    """A 32-bit finalizer with good avalanche (Ellis's lowbias32)."""
    x = ((x & WORD) ^ (x >> np.uint64(16))) * np.uint64(0x7FEB352D) & WORD
    x = (x ^ (x >> np.uint64(15))) * np.uint64(0x846CA68B) & WORD
    return x ^ (x >> np.uint64(16))


def _passes(n_needed: int, n_held: int) -> str:
    return f"{n_needed / n_held:.1f}" if n_held else "endless"
