"""What rows are read from: a source, in pieces and shards, and what one reading of it meets.

To add a source, subclass `Source`. Sources are files (`sources`), sets of the hub (`hub`), data in memory (`memory`),
and text that is made here (`generators`, `packages`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simtool.errors import SimtoolError

Row = dict[str, Any]
Columns = tuple[str, ...] | None  # those that are needed; None: all
N_SHARES = 16  # of a source whose size on disk says nothing: rows in memory, generated text


class Source(ABC):
    """Where rows come from. `read` may be called again and gives the same rows in the same order.

    A new source needs `read`, `describe` and `identity`; what comes after them is for those that know more of
    themselves, as files do.
    """

    @abstractmethod
    def read(self, shard: int, n_shards: int, reading: "Reading") -> Iterator[list[Row]]:
        """Rows in lists of a few MB. The shards 0 .. n_shards - 1 hold every row exactly once."""

    @abstractmethod
    def describe(self) -> str:
        """Where the text comes from, for the provenance column."""

    @abstractmethod
    def identity(self) -> str:
        """Changes when the rows may have changed: what a cached profile of this source is filed under."""

    def version(self) -> str:
        """Changes when the rows may have changed, known without reading them."""
        return self.identity()

    def content(self) -> str | None:
        """A hash of what is read, wherever it lies; None where it is not files."""
        return None

    @property
    def n_bytes(self) -> int | None:
        """Size on disk, compressed as it is; None where that is not known."""
        return None

    @property
    def is_remote(self) -> bool:
        """Whether a reading waits for a network."""
        return False

    @property
    def n_shares(self) -> int:
        """In how many shards it is best read at most."""
        return N_SHARES

    def pieces(self, size: int | None = None) -> "list[Piece]":
        """Parts that are read by themselves, in order; size: about how large they are on disk."""
        return shares_of(self, min(N_SHARES, self.n_shares))

    def sparing(self) -> "Source":
        """The same rows, for a reading that may end anywhere."""
        return self


@dataclass(frozen=True)
class Piece:
    """A part of a source, by a name that is the same wherever it is read; n_bytes on disk, 0 where that is unknown."""

    name: str
    source: Source
    n_bytes: int = 0


@dataclass(frozen=True)
class SourceShare(Source):
    """Shard `index` of `of` of a source."""

    source: Source
    index: int
    of: int

    def read(self, shard: int, n_shards: int, reading: "Reading") -> Iterator[list[Row]]:
        return self.source.read(self.index + self.of * shard, self.of * n_shards, reading)

    def describe(self) -> str:
        return self.source.describe()

    def identity(self) -> str:
        return f"{self.source.identity()} {self.index} of {self.of}"

    @property
    def is_remote(self) -> bool:
        return self.source.is_remote


def shares_of(source: Source, n: int = N_SHARES) -> list[Piece]:
    """A source in so many pieces, by its shards."""
    return [Piece(f"share {i} of {n}", SourceShare(source, i, n)) for i in range(n)]


@dataclass
class Reading:
    """One reading of a source: how far it is, and what to do with a bad row.

    skip_bad   leave bad rows out and count them; otherwise the first one ends the reading
    fraction   of the source read so far, as it lies on disk; None where that is not known
    columns    the fields that are needed, where the source can leave out others; None: all
    n_empty    rows that hold no text
    """

    skip_bad: bool = False
    n_skipped: int = 0
    reasons: list[str] = field(default_factory=list)
    fraction: float | None = None
    columns: tuple[str, ...] | None = None
    n_empty: int = 0

    def bad(self, reason: str) -> None:
        """A row cannot be read: raises SimtoolError, or notes the reason (the first five are kept)."""
        if not self.skip_bad:
            raise SimtoolError(f"{reason}\nFix it, or leave such rows out and count them with --skip-bad.")
        self.n_skipped += 1
        if len(self.reasons) < 5:
            self.reasons.append(reason)


class Block(NamedTuple):
    """Records that have been read but not parsed, because most may belong to other shards."""

    parse: Callable[[Reading], list[Row]]
    position: int  # bytes of the file, as it lies on disk, read so far
