"""Everything that is counted. To add a feature, write its entry in FEATURES; for a new kind of sequence, also
write the function that reads it from a batch, and its entry in VIEWS.

A *view* turns each document into a sequence of symbols (token ids, code points, skeleton symbols ...). A
*feature* is the n-grams of one order over one view. Its counts are an int64 table: a row per fold of
documents, a column per n-gram, or per bucket of n-grams where there are too many to keep apart.

**The hash.** An n-gram s1 .. sn of symbols below 2^32 is folded into 32 bits, all arithmetic modulo 2^32:

    h = s1;  h = h * 0x9E3779B1 + s2;  ...;  h ^= h >> 15;  h *= 0x85EBCA77

and its bucket among 2^b is the top b bits of h. Half as many buckets is one bit less, so a profile counted
finely is coarsened exactly, without the text (`coarsen`). The multipliers are those of xxHash32.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from simtool.errors import unknown
from simtool.profiles.skeleton import SKELETON, lengths_of, points_of, ranges, read_skeletons

N_FOLDS = 16
PART = 1 << 16  # n-grams that are counted at once
SYMBOL_MULTIPLIER = np.uint32(0x9E3779B1)  # xxHash32, PRIME32_1
FINAL_MULTIPLIER = np.uint32(0x85EBCA77)  # xxHash32, PRIME32_2


@dataclass(frozen=True)
class DocumentBatch:
    """Documents to be counted, in any order; documents that lie in fold order are counted without a copy.

    texts    list of str (n_documents,)
    ids      uint16 or uint32 (n_tokens,)  token ids, documents end to end
    offsets  int64 (n_documents + 1,)      where each document's ids begin, and the end
    folds    integers (n_documents,)       in 0 .. N_FOLDS - 1
    """

    texts: list[str]
    ids: np.ndarray
    offsets: np.ndarray
    folds: np.ndarray

    def __post_init__(self) -> None:
        n_documents = len(self.texts)
        if len(self.offsets) != n_documents + 1 or len(self.folds) != n_documents:
            raise ValueError(f"{n_documents} texts, {len(self.offsets)} offsets, {len(self.folds)} folds")
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.ids):
            raise ValueError(f"Offsets run {self.offsets[0]} .. {self.offsets[-1]}, ids 0 .. {len(self.ids)}")
        if n_documents and not 0 <= self.folds.min() <= self.folds.max() < N_FOLDS:
            raise ValueError(f"Folds run {self.folds.min()} .. {self.folds.max()}, not 0 .. {N_FOLDS - 1}")

    @cached_property
    def points(self) -> np.ndarray:
        """Unicode code points of all the texts end to end: uint32 (n_characters,)."""
        return points_of("".join(self.texts))

    def fold(self, fold: int) -> "DocumentBatch":
        """The documents of one fold, in the order that they have here."""
        members = np.flatnonzero(self.folds == fold)
        n = len(members)
        first = int(members[0]) if n else 0
        offsets = self.offsets
        if n == 0 or members[-1] == first + n - 1:
            ids = self.ids[offsets[first] : offsets[first + n]]
            return DocumentBatch(
                self.texts[first : first + n],
                ids,
                offsets[first : first + n + 1] - offsets[first],
                self.folds[members],
            )
        ids = np.concatenate(
            [self.ids[a:b] for a, b in zip(offsets[members].tolist(), offsets[members + 1].tolist(), strict=True)]
        )
        lengths = np.diff(offsets)[members]
        return DocumentBatch([self.texts[d] for d in members.tolist()], ids, _offsets(lengths), self.folds[members])


# --- Views: what the n-grams are n-grams of ---


def token_sequence(batch: DocumentBatch) -> tuple[np.ndarray, np.ndarray]:
    """The token ids, as they come in the batch."""
    return batch.ids, batch.offsets


def code_points(batch: DocumentBatch) -> tuple[np.ndarray, np.ndarray]:
    """Unicode code points, line breaks and all; nothing is normalised."""
    return batch.points, _offsets(lengths_of(batch.texts))


def skeletons(batch: DocumentBatch) -> tuple[np.ndarray, np.ndarray]:
    """Syntax without topics; see `skeleton`."""
    return read_skeletons(batch.texts)


def document_lengths(batch: DocumentBatch) -> tuple[np.ndarray, np.ndarray]:
    """One symbol a document: the class of its length in tokens."""
    return length_class(np.diff(batch.offsets)), np.arange(len(batch.texts) + 1)


def line_lengths(batch: DocumentBatch) -> tuple[np.ndarray, np.ndarray]:
    r"""One symbol a line: the class of its length in characters, without its line break (\n or \r\n).

    A line break that ends a document begins no other line; an empty document has no line.
    """
    points, offsets = code_points(batch)
    newline = points == ord("\n")
    is_end = np.concatenate([[False], newline])
    is_end[offsets[1:]] = True
    is_end[0] = False  # documents that are empty
    ends = np.flatnonzero(is_end)  # one past each line and its break
    starts = np.concatenate([[0], ends])[:-1]
    lengths = ends - starts - newline[ends - 1]
    crlf = newline[ends - 1] & (lengths > 0)
    crlf[crlf] = points[ends[crlf] - 2] == ord("\r")
    return length_class(lengths - crlf), np.searchsorted(ends, offsets, side="right")


# Half an octave each: 0, 1, 2, 3, 4-5, 6-7, 8-11, 12-15, 16-22 ... 2^31 and more.
LENGTH_EDGES = np.unique(np.ceil(2.0 ** (np.arange(63) / 2)).astype(np.int64))


def length_class(lengths: np.ndarray) -> np.ndarray:
    return np.searchsorted(LENGTH_EDGES, lengths, side="right").astype(np.uint32)


@cache
def length_symbols() -> list[str]:
    """What each class of length holds, by its id: "0", "1", "2", "3", "4-5" ..."""
    return ranges([0, *LENGTH_EDGES.tolist()])


def spell_length(symbol: int) -> str:
    """The readable form of a class of length: "4-5"."""
    return length_symbols()[symbol]


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


# --- The catalogue ---


@dataclass(frozen=True)
class View:
    """A way to read each document as a sequence of symbols.

    read             batch -> (symbols, unsigned integers below 2^32, end to end; offsets, int64 (n_documents + 1,))
    alphabet         symbols are below it; None: below the size of the tokenizer's vocabulary
    spell            a symbol's readable form; None: only the tokenizer knows it
    joined_by        what stands between the symbols of an n-gram that people read
    needs_tokenizer  whether its symbols depend on the tokenizer
    noun             what one symbol is called: "bits per token"
    """

    about: str
    read: Callable[[DocumentBatch], tuple[np.ndarray, np.ndarray]]
    alphabet: int | None
    spell: Callable[[int], str] | None
    joined_by: str = " "
    needs_tokenizer: bool = False
    noun: str = "symbol"


VIEWS = {
    "token": View("Token ids.", token_sequence, None, None, "", needs_tokenizer=True, noun="token"),
    "char": View("Unicode code points.", code_points, 0x110000, chr, "", noun="character"),
    "skeleton": View(
        "Closed-class words, word shapes, punctuation, line structure.",
        skeletons,
        len(SKELETON),
        SKELETON.__getitem__,
        noun="skeleton symbol",
    ),
    "document_length": View(
        "One symbol per document: its length in tokens, by half octaves.",
        document_lengths,
        len(LENGTH_EDGES) + 1,
        spell_length,
        needs_tokenizer=True,
        noun="document",
    ),
    "line_length": View(
        "One symbol per line: its length in characters, by half octaves.",
        line_lengths,
        len(LENGTH_EDGES) + 1,
        spell_length,
        noun="line",
    ),
}


@dataclass(frozen=True)
class Feature:
    """The n-grams of one order over one view; none crosses from a document into the next.

    n_buckets  how many buckets they are hashed to, a power of two; None: each n-gram has its own column, the
               number whose digits are its symbols in base `alphabet`
    """

    name: str
    about: str
    view: str
    order: int
    n_buckets: int | None = None

    @property
    def symbol(self) -> str:
        """What is counted, as people say it: "token", "token bigram", "character 4-gram"."""
        noun = VIEWS[self.view].noun
        name = {1: "", 2: "bigram", 3: "trigram"}.get(self.order, f"{self.order}-gram")
        return f"{noun.removesuffix(' symbol')} {name}" if name else noun

    def dimension(self, vocabulary_size: int) -> int:
        """How many columns its counts have."""
        return self.n_buckets or self._alphabet(vocabulary_size) ** self.order

    def buckets(self, symbols: np.ndarray, offsets: np.ndarray, vocabulary_size: int) -> np.ndarray:
        """The column of each n-gram, in the order of the text: int64 (n_ngrams,)."""
        n = max(len(symbols) - self.order + 1, 0)
        columns = self._columns([symbols[k : k + n] for k in range(self.order)], vocabulary_size)
        return np.delete(columns, _crossing(offsets, self.order, n)).astype(np.int64)

    def count(self, row: np.ndarray, symbols: np.ndarray, offsets: np.ndarray, vocabulary_size: int) -> None:
        """Add the n-grams to a row of counts, int64 (dimension,), in place.

        Parts and counts that stay in the processor's cache take half the time: so the n-grams come a part after the
        other, and many of them are counted in 32 bits first. Windows that cross from a document into the next are
        few: they are counted too, and taken away again.
        """
        n = max(len(symbols) - self.order + 1, 0)
        counts = np.zeros(len(row), np.uint32) if n > len(row) // 4 else row
        for i in range(0, n, PART):
            m = min(PART, n - i)
            columns = self._columns([symbols[i + k : i + k + m] for k in range(self.order)], vocabulary_size)
            np.add.at(counts, columns.astype(np.intp, copy=False), counts.dtype.type(1))
        if counts is not row:
            row += counts
        crossing = _crossing(offsets, self.order, n)
        columns = self._columns([symbols[crossing + k] for k in range(self.order)], vocabulary_size)
        np.subtract.at(row, columns.astype(np.intp, copy=False), 1)

    def _columns(self, symbols: list[np.ndarray], vocabulary_size: int) -> np.ndarray:
        """The column of each n-gram, from its first symbol, its second ...: unsigned integers (n_ngrams,)."""
        if self.order == 1 and not self.n_buckets:
            return symbols[0]
        base = SYMBOL_MULTIPLIER if self.n_buckets else np.uint32(self._alphabet(vocabulary_size))
        columns = symbols[0].astype(np.uint32)
        for symbol in symbols[1:]:
            columns *= base
            columns += symbol
        if self.n_buckets:
            columns ^= columns >> np.uint32(15)
            columns *= FINAL_MULTIPLIER
            columns >>= np.uint32(33 - self.n_buckets.bit_length())
        return columns

    def _alphabet(self, vocabulary_size: int) -> int:
        return VIEWS[self.view].alphabet or vocabulary_size


def _crossing(offsets: np.ndarray, order: int, n: int) -> np.ndarray:
    """Which of the first n windows of `order` symbols cross from a document into another."""
    starts = (offsets[1:, None] - np.arange(1, order)).ravel()
    return np.unique(starts[(starts >= 0) & (starts < n)])  # one may cross several borders


FEATURES = {
    feature.name: feature
    for feature in (
        Feature("token", "Tokens.", "token", 1),
        Feature("token2", "Pairs of tokens.", "token", 2, 1 << 18),
        Feature("token3", "Triples of tokens.", "token", 3, 1 << 18),
        Feature("token4", "Runs of four tokens.", "token", 4, 1 << 18),
        Feature("char1", "Characters.", "char", 1, 1 << 16),
        Feature("char2", "Pairs of characters.", "char", 2, 1 << 18),
        Feature("char3", "Triples of characters.", "char", 3, 1 << 18),
        Feature("char4", "Runs of four characters.", "char", 4, 1 << 18),
        Feature("char5", "Runs of five characters.", "char", 5, 1 << 18),
        Feature("skeleton1", "Syntax: function words, word shapes, punctuation, line breaks.", "skeleton", 1),
        Feature("skeleton2", "Syntax: pairs of skeleton symbols.", "skeleton", 2),
        Feature("skeleton3", "Syntax: triples of skeleton symbols.", "skeleton", 3, 1 << 18),
        Feature("skeleton4", "Syntax: runs of four skeleton symbols.", "skeleton", 4, 1 << 18),
        Feature("document_length", "Tokens per document, by half octaves.", "document_length", 1),
        Feature("line_length", "Characters per line, by half octaves.", "line_length", 1),
    )
}


def split_by_tokenizer(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names of features that are the same under every tokenizer, and of those that are not."""
    of_text: list[str] = []
    of_tokens: list[str] = []
    for name in names:
        (of_tokens if VIEWS[find_feature(name).view].needs_tokenizer else of_text).append(name)
    return of_text, of_tokens


def find_feature(name: str) -> Feature:
    """The feature of that name.

    Raises
    ------
    SimtoolError
        When there is none; the message lists the names that there are.
    """
    if name not in FEATURES:
        raise unknown("feature", name, FEATURES)
    return FEATURES[name]


def hashed_of(names: str) -> list[str]:
    """Those of a feature's parts whose n-grams share buckets."""
    return [name for name in names.split("+") if find_feature(name).n_buckets]


def symbol_of(names: str) -> str:
    """What a feature, or several joined with "+", counts: "token bigram", "n-gram"."""
    return find_feature(names).symbol if "+" not in names else "n-gram"


# --- Counting ---


def empty_counts(names: Iterable[str], vocabulary_size: int) -> dict[str, np.ndarray]:
    """Zeros to be added to: int64 (N_FOLDS, dimension) a feature; 330 MB for all of them."""
    return {name: np.zeros((N_FOLDS, find_feature(name).dimension(vocabulary_size)), np.int64) for name in names}


def counts_bytes(names: Iterable[str], vocabulary_size: int) -> int:
    """What these counts take in memory."""
    return 8 * N_FOLDS * sum(find_feature(name).dimension(vocabulary_size) for name in names)


def add_counts(counts: dict[str, np.ndarray], batch: DocumentBatch, vocabulary_size: int) -> None:
    """Add a batch to `counts`, in place; the names in it say what is counted.

    Goes fold by fold, so that the symbols and the row that they are counted into stay in the processor's
    cache, and no temporary is larger than a fold's part of the batch. Where rows are long and batches small,
    `np.add.at` also saves the row of zeros that `bincount` would make; on long parts the two are as fast.
    """
    features = [find_feature(name) for name in counts]
    for fold in range(N_FOLDS):
        part = batch.fold(fold)
        for view in dict.fromkeys(feature.view for feature in features):
            symbols, offsets = VIEWS[view].read(part)
            for feature in features:
                if feature.view == view:
                    feature.count(counts[feature.name][fold], symbols, offsets, vocabulary_size)


def count_features(batch: DocumentBatch, names: Iterable[str], vocabulary_size: int) -> dict[str, np.ndarray]:
    """The counts of a batch: int64 (N_FOLDS, dimension) a feature."""
    counts = empty_counts(names, vocabulary_size)
    add_counts(counts, batch, vocabulary_size)
    return counts


def coarsen(counts: np.ndarray, n_buckets: int) -> np.ndarray:
    """Counts of a hashed feature in fewer buckets: what hashing to so few would have given, exactly.

    Parameters
    ----------
    counts
        Integers (..., a power of two).
    n_buckets
        A power of two, at most that.
    """
    n_fine = counts.shape[-1]
    if n_fine.bit_count() != 1 or n_buckets.bit_count() != 1 or n_buckets > n_fine:
        raise ValueError(f"Cannot coarsen {n_fine} buckets to {n_buckets}: powers of two, and not more")
    return counts.reshape(*counts.shape[:-1], n_buckets, n_fine // n_buckets).sum(axis=-1)


class Ngram(NamedTuple):
    """An n-gram that occurs, the column of its feature that it is counted in, and how often it occurs."""

    bucket: int
    symbols: tuple[int, ...]
    count: int


def frequent_ngrams(batch: DocumentBatch, name: str, k: int, vocabulary_size: int) -> list[Ngram]:
    """The k most frequent n-grams of a batch, exactly, most frequent first; they tell what a bucket holds.

    Of equally frequent n-grams the one with smaller symbols comes first, so documents may come in any order.
    It sorts: a thousand n-grams of 16 M characters took 15 s on a busy core, so give it a sample.
    """
    feature = find_feature(name)
    symbols, offsets = VIEWS[feature.view].read(batch)
    n = max(len(symbols) - feature.order + 1, 0)
    starts = np.delete(np.arange(n), _crossing(offsets, feature.order, n))
    if not len(starts) or k < 1:
        return []
    # No n-gram is more frequent than its bucket, so only those of full buckets need to be sorted: first
    # of the k fullest, then of all that are at least as full as the kth n-gram found there is frequent.
    buckets = feature.buckets(symbols, offsets, vocabulary_size)
    fullness = np.bincount(buckets)
    least = _kth_largest(fullness, k)
    where, n_times = _distinct(symbols, starts[fullness[buckets] >= least], feature.order)
    least = min(least, _kth_largest(n_times, k))
    where, n_times = _distinct(symbols, starts[fullness[buckets] >= least], feature.order)
    top = np.argsort(-n_times, kind="stable")[:k]
    ngrams = symbols[where[top, None] + np.arange(feature.order)]
    buckets = feature.buckets(ngrams.ravel(), np.arange(len(top) + 1) * feature.order, vocabulary_size)
    return [
        Ngram(bucket, tuple(ngram), count)
        for bucket, ngram, count in zip(buckets.tolist(), ngrams.tolist(), n_times[top].tolist(), strict=True)
    ]


def _kth_largest(numbers: np.ndarray, k: int) -> int:
    """Or the smallest, if there are fewer."""
    return int(np.sort(numbers)[-min(k, len(numbers))])


def _distinct(symbols: np.ndarray, starts: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct n-gram first begins, in the order of their symbols, and how often it occurs."""
    keys = symbols[starts].astype(np.uint64)
    for i in range(1, order):
        # Rank and symbol are below 2^32: they share 64 bits, and sort as the n-grams do.
        rank = np.unique(keys, return_inverse=True)[1].astype(np.uint64)
        keys = (rank << np.uint64(32)) | symbols[starts + i]
    _, first, n_times = np.unique(keys, return_index=True, return_counts=True)
    return starts[first], n_times
