"""So much of a corpus and no more: its first documents, or a random sample of it.

A random sample takes blocks (runs of lines, row groups, small files) in an order that the seed gives, until it has what
was asked for: it reads little more than the sample, and blocks are counted by many workers. What depends on no order
of the documents is the exact sample (`exact`), for which everything is read.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from simtool import executor
from simtool.corpora.corpus import Corpus, document_hash
from simtool.corpora.files import File
from simtool.corpora.reading import Piece, Reading, Row, Source, shares_of
from simtool.corpora.sources import Files
from simtool.errors import SimtoolError
from simtool.profiles.profile import Profile
from simtool.profiles.tally import CorpusTally, skipped_since, text_batches
from simtool.progress import Counted
from simtool.tokens.tokenizer import Tokenizer

N_BLOCKS = 64  # of a sample, at least: documents that lie together are alike
SMALLEST_BLOCK, LARGEST_BLOCK = 1 << 19, 8 << 20  # bytes on disk; up to 64 kB more are read for the last line of each
TEXT_PER_TOKEN, TEXT_PER_DOCUMENT = 4, 4_000  # bytes, about: they only say how large blocks are
TIMES_THE_SAMPLE = 16  # so much of a set of many remote files is divided
MOST_BLOCKS = 1 << 17  # of a corpus: more would take too long to list
SMALLEST_BATCH, BATCH_BYTES = 1 << 16, 1 << 20  # of text that is tokenized together, until the budget is full
SURE = 0.8  # of the budget is counted in blocks that many read at once, as the first block says how much they hold

Sized = tuple[list[str], np.ndarray]  # texts, and how many tokens each has


@dataclass(frozen=True)
class Budget:
    """How much of a corpus to count: up to so many tokens or documents, whole documents only (None: all).

    seed      None: the first documents; a number: a random sample of the whole corpus, of its blocks
    exact     a random sample of documents, by a hash of their text, whatever order they lie in; all is read for it
    at_most   a corpus that holds less is counted whole; otherwise it is an error
    """

    tokens: int | None = None
    documents: int | None = None
    seed: int | None = None
    at_most: bool = False
    exact: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("tokens", "documents"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SimtoolError(f"--{name} must be at least 1. Got {value}.")
        if self.exact and self.seed is None:
            raise SimtoolError("--exact is a way to draw a random sample. Give it a seed: --seed 1.")

    @property
    def unlimited(self) -> bool:
        return self.tokens is None and self.documents is None

    @property
    def most_tokens(self) -> float:
        return self.tokens or math.inf

    @property
    def most_documents(self) -> float:
        return self.documents or math.inf

    def holds(self, n_documents: int, n_tokens: int) -> bool:
        """Whether so much is not more than it."""
        return n_documents <= self.most_documents and n_tokens <= self.most_tokens

    @property
    def in_blocks(self) -> bool:
        """Whether it is a random sample of blocks."""
        return self.seed is not None and not self.exact

    @property
    def facts(self) -> dict[str, Any]:
        """What a profile says of it."""
        facts = {"tokens": self.tokens, "documents": self.documents, "seed": self.seed}
        return facts | {"sample": "blocks"} if self.in_blocks else facts


@dataclass(frozen=True)
class InTurn(Source):
    """Pieces of a source, one after the other."""

    source: Source
    parts: tuple[Piece, ...]

    def read(self, shard: int, n_shards: int, reading: Reading) -> Iterator[list[Row]]:
        for piece in self.parts[shard::n_shards]:
            yield from piece.source.read(0, 1, reading)

    def sparing(self) -> "InTurn":
        return replace(self, parts=tuple(replace(piece, source=piece.source.sparing()) for piece in self.parts))

    @property
    def is_remote(self) -> bool:
        return self.source.is_remote

    def describe(self) -> str:
        return self.source.describe()

    def identity(self) -> str:
        return f"{self.source.identity()} {len(self.parts)} pieces"


def blocks_of(source: Source, budget: Budget) -> list[Piece]:
    """All blocks of a source, in the order in which a sample takes them: the seed's, or without one their own."""
    if not isinstance(source, Files):
        return sorted(shares_of(source), key=lambda piece: _place(piece.name, budget))
    size = int(min(max(text_bytes(budget) / N_BLOCKS, SMALLEST_BLOCK), LARGEST_BLOCK))
    size = max(size, (source.n_bytes or 0) // MOST_BLOCKS)
    divided = _looked_into(source.files, size, budget) if source.is_remote else None
    blocks = source.pieces(size, divided)
    if budget.seed is None:
        return blocks
    return sorted(
        blocks,
        key=lambda piece: (
            divided is not None and piece.source.files[0].whole not in divided,
            _place(piece.name, budget),
        ),
    )


def text_bytes(budget: Budget) -> float:
    """How much text it may hold, about."""
    return min(budget.most_tokens * TEXT_PER_TOKEN, budget.most_documents * TEXT_PER_DOCUMENT)


def _place(name: str, budget: Budget) -> int:
    """Where in the order of a sample something stands."""
    return document_hash(name.encode(), budget.seed or 0)


def _looked_into(files: Sequence[File], size: int, budget: Budget) -> set[File]:
    """Of many remote files, those that the sample's blocks are of: each costs a request or two to divide. They hold
    several times the sample, of which other columns may be the larger part, and are as many as blocks, if a seed
    orders them."""
    if budget.seed is not None:
        files = sorted(files, key=lambda file: _place(file.location, budget))
    n_bytes = np.cumsum([file.size or 0 for file in files])
    enough = int(np.searchsorted(n_bytes, TIMES_THE_SAMPLE * N_BLOCKS * size)) + 1
    return set(files[: enough if budget.seed is None else max(N_BLOCKS, enough)])


def n_sure_blocks(corpus: Corpus, blocks: Sequence[Piece], tokenizer: Tokenizer, budget: Budget, skip_bad: bool) -> int:
    """How many of the first blocks will hardly fill the budget, as the first of them says: 0 where one nearly does, or
    is so large (a row group of 100 MB) that to read it twice would cost as much as the sample."""
    if not blocks or not all(block.n_bytes for block in blocks) or blocks[0].n_bytes > text_bytes(budget) / 2:
        return 0
    n_documents = n_tokens = 0
    for texts in text_batches(replace(corpus, source=blocks[0].source.sparing()), Reading(skip_bad), 1 << 20):
        n_documents += len(texts)
        n_tokens += len(tokenizer.encode(texts)[0])
    room = min(budget.most_documents / max(n_documents, 1), budget.most_tokens / max(n_tokens, 1))
    ends = np.cumsum([block.n_bytes for block in blocks])
    return int(np.searchsorted(ends, SURE * room * blocks[0].n_bytes, side="right"))


def overfull(profile: Profile, budget: Budget) -> bool:
    """Whether a sample holds more than it may."""
    return not budget.holds(profile.size["documents"], profile.size["tokens"])


@dataclass
class Filling:
    """How much of a budget is counted, and how much text is needed next."""

    budget: Budget
    documents: int = 0
    tokens: int = 0
    bytes: int = 0

    @property
    def share(self) -> float:
        return max(self.documents / self.budget.most_documents, self.tokens / self.budget.most_tokens)

    def n_fitting(self, sizes: np.ndarray) -> int:
        """How many of documents with so many tokens fit."""
        n_documents, n_tokens = self.documents + np.arange(1, len(sizes) + 1), self.tokens + np.cumsum(sizes)
        is_within = (n_documents <= self.budget.most_documents) & (n_tokens <= self.budget.most_tokens)
        return int(is_within.sum())

    def add(self, sizes: np.ndarray, n_bytes: int) -> None:
        self.documents, self.tokens = self.documents + len(sizes), self.tokens + int(sizes.sum())
        self.bytes += n_bytes

    def batch_bytes(self) -> float:
        """Of the next batch: not much more than is needed, as a reading goes on until it has them."""
        whole = self.bytes / self.share if self.share else text_bytes(self.budget)
        return min(max(1.1 * (1 - self.share) * whole, SMALLEST_BATCH), BATCH_BYTES)


def count_sample(
    corpus: Corpus,
    tokenizer: Tokenizer,
    features: tuple[str, ...],
    budget: Budget,
    skip_bad: bool,
    report: executor.Report,
    before: Mapping[str, int] | None = None,
) -> Profile:
    """The profile of as many whole documents as the budget holds. A corpus that cannot fill it is an error.

    Parameters
    ----------
    before
        Documents, tokens and bytes of the sample that are counted already.
    """
    reading = Reading(skip_bad)
    tally, filling = CorpusTally(corpus.name, tokenizer, features), Filling(budget, **(before or {}))
    size = filling.batch_bytes if corpus.source.is_remote else BATCH_BYTES
    batches = text_batches(replace(corpus, source=corpus.source.sparing()), reading, size)
    fill(tally, filling, ((texts, np.diff(tokenizer.encode(texts)[1])) for texts in batches), report)
    tally.skipped = skipped_since(reading)
    return tally.profile()


def fill(tally: CorpusTally, filling: Filling, batches: Iterable[Sized], report: executor.Report) -> None:
    """Count documents until the budget is full.

    Raises
    ------
    SimtoolError
        Where they cannot fill it.
    """
    next_size = None
    for texts, sizes in batches:
        n_fitting = filling.n_fitting(sizes)
        n_bytes, n_tokens = tally.add(texts[:n_fitting], label=not tally.labels)
        filling.add(sizes[:n_fitting], n_bytes)
        report(Counted(0, n_bytes, n_tokens, filling.share))
        if n_fitting < len(texts):
            next_size = int(sizes[0])
            break
    _check_filled(tally.corpus, filling.budget, filling.documents, filling.tokens, next_size)


def _check_filled(name: str, budget: Budget, n_documents: int, n_tokens: int, next_size: int | None) -> None:
    """next_size: tokens of a document that did not fit, where there was one."""
    short = n_documents != budget.documents and n_tokens != budget.tokens and next_size is None
    if short and n_documents and not budget.at_most:
        budgets = " and ".join(
            f"--{kind} {getattr(budget, kind):,}" for kind in ("tokens", "documents") if getattr(budget, kind)
        )
        raise SimtoolError(
            f"{name} holds {n_tokens:,} tokens in {n_documents:,} documents, too few for {budgets}.\n"
            "Ask for less, or leave the budget out to count all of it."
        )
    if next_size is not None and not n_documents:
        raise SimtoolError(
            f"The first document of {name} holds {next_size:,} tokens,"
            f" more than --tokens {budget.tokens:,}. Whole documents are counted: ask for more."
        )
