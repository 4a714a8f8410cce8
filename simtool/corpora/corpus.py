"""What a corpus is: a named, repeatable stream of documents.

The data's way, in one line: `Source.read` gives lists of rows, `Corpus.render` turns a row into a
`Document`, and everything after that sees text. Which corpora are known by name: `catalogue.py`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, NamedTuple, Protocol

from simtool.errors import SimtoolError

Row = dict[str, Any]
Role = Literal["general", "specialised", "sft"]


class Document(NamedTuple):
    """One text. What a model is asked stands apart from what it must answer, because SFT masks prompts."""

    prompt: str  # "" in plain corpora
    response: str

    @property
    def text(self) -> str:
        return self.prompt + self.response


class Source(Protocol):
    """Where rows come from. `read` may be called again and gives the same rows in the same order."""

    def read(self, shard: int, n_shards: int, reading: "Reading") -> Iterator[list[Row]]:
        """Rows in lists of a few MB. The shards 0 .. n_shards - 1 hold every row exactly once."""
        ...

    def describe(self) -> str:
        """Where the text comes from, for the provenance column."""
        ...

    def identity(self) -> str:
        """Changes when the rows may have changed: what a cached profile of this source is filed under."""
        ...


@dataclass
class Reading:
    """One reading of a source: how far it is, and what to do with a bad row.

    skip_bad   leave bad rows out and count them; otherwise the first one ends the reading
    fraction   of the source read so far, as it lies on disk; None where that is not known
    """

    skip_bad: bool = False
    n_skipped: int = 0
    reasons: list[str] = field(default_factory=list)
    fraction: float | None = None

    def bad(self, reason: str) -> None:
        """A row cannot be read: raises SimtoolError, or notes the reason (the first five are kept)."""
        if not self.skip_bad:
            raise SimtoolError(f"{reason}\nMend it, or leave such rows out and count them with --skip-bad.")
        self.n_skipped += 1
        if len(self.reasons) < 5:
            self.reasons.append(reason)


@dataclass(frozen=True)
class Corpus:
    """A named stream of documents: `documents(limit)` gives the same texts in the same order, always."""

    name: str
    about: str
    role: Role
    licence: str
    render: Callable[[Row], Document]
    example: Row  # written by us: the entry's documentation and its offline test
    source: Source | None  # the hub for a catalogue entry; files once they are found
    # File stems that serve this corpus in a data folder, best first, each with None or, when the text is of
    # the same kind but not the named set, what it is: it is then shown as a stand-in everywhere.
    files: dict[str, str | None] = field(default_factory=dict)
    access: str | None = None  # how to get in, where the hub asks for an agreement
    train_on: Literal["response", "text"] = "text"  # what SFT counts in its loss
    stand_in: str | None = None
    same_domain: str | None = None  # of a target: what to mix in by its domain alone, the same-domain baseline
    n_examples: int | None = None  # for SFT: the paper's, or those of the set's training split
    has_reference: bool = False  # its profile ships with the package
    title: str = ""  # as people write the name; the name itself by default
    color: str | None = None
    marker: str | None = None

    def batches(self, shard: int = 0, n_shards: int = 1, reading: Reading | None = None) -> Iterator[list[Document]]:
        """Documents in lists of a few MB; empty ones are left out."""
        if self.source is None:
            raise SimtoolError(f"{self.name} has no source to read from.")
        reading = reading or Reading()
        for rows in self.source.read(shard, n_shards, reading):
            documents = []
            for row in rows:
                try:
                    document = self.render(row)
                except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                    reading.bad(self._cannot_render(row, error))
                    continue
                if document.prompt or document.response:
                    documents.append(document)
            if documents:
                yield documents

    def documents(self, limit: int | None = None) -> Iterator[Document]:
        return islice((document for batch in self.batches() for document in batch), limit)

    def _cannot_render(self, row: Row, error: Exception) -> str:
        where = self.source.describe() if self.source else self.name
        has = f"It has: {', '.join(map(str, row))}."
        if isinstance(error, KeyError):
            return (
                f"{where}: a row has no field {error.args[0]!r}. {has} Name the one that holds the text: --text-field."
            )
        return f"{where}: a row cannot be read as {self.name} ({type(error).__name__}: {error}). {has}"


def document_hash(utf8: bytes, seed: int = 0) -> int:
    """64-bit content hash (xxh3) of a document. Folds, samples and splits are read off it, so that they depend
    on the text alone, not on order, file or machine."""
    import xxhash  # here, so that the catalogue can be read where only torch and its kin are

    return xxhash.xxh3_64_intdigest(utf8, seed=seed)


@dataclass(frozen=True)
class TextFields:
    """A render for rows whose text is in one field, or in several ("question,answer"), one a line."""

    names: str = "text"

    def __call__(self, row: Row) -> Document:
        parts = []
        for name in self.names.split(","):
            part = row[name.strip()]
            if not isinstance(part, str):
                raise TypeError(f"field {name.strip()!r} holds {type(part).__name__}, not text")
            parts.append(part)
        return Document("", parts[0] if len(parts) == 1 else "\n".join(parts))
