"""What a corpus is: a named, repeatable stream of documents.

The data's way, in one line: `Source.read` gives lists of rows, `Corpus.render` turns a row into a
`Document`, and everything after that sees text. Which corpora are known by name: `catalogue`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice, takewhile
from typing import Literal, NamedTuple, Protocol

from simtool.corpora.limits import longest_document, too_long
from simtool.corpora.reading import Reading, Row, Source
from simtool.errors import SimtoolError

Role = Literal["general", "specialised", "sft"]
SegmentRole = Literal["text", "system", "user", "assistant", "tool", "reasoning", "template", "markup"]
LONG = 1 << 20  # characters: what is shorter is never too long a document
VIEWS: tuple[SegmentRole, ...] = ("text", "system", "user", "assistant", "tool", "reasoning")


class Segment(NamedTuple):
    """A part of a document, in one role.

    role      "text" in plain corpora; "template" is what stands between the others, such as a line break; "markup" what
              a chat template writes around them, in which special tokens are read
    counted   whether SFT on responses learns it
    """

    role: SegmentRole
    text: str
    counted: bool = True


class MarkedText(str):
    """A text in which special tokens are read in some spans: those that a chat template wrote.

    spans   where they begin and end, in characters
    """

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, segments: "Sequence[Segment]") -> "MarkedText":
        ends = [*accumulate(len(segment.text) for segment in segments)]
        text = cls("".join([segment.text for segment in segments]))
        text.spans = tuple(
            (end - len(segment.text), end)
            for segment, end in zip(segments, ends, strict=True)
            if segment.role == "markup"
        )
        return text

    def until(self, end: int) -> "MarkedText":
        """Its first characters."""
        text = MarkedText(self[:end])
        text.spans = tuple((start, min(stop, end)) for start, stop in self.spans if start < end)
        return text


class Document(NamedTuple):
    """One text, as the parts that it is put together from."""

    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        segments = self.segments
        if len(segments) == 1:
            return segments[0].text
        if any(segment.role == "markup" for segment in segments):
            return MarkedText.of(segments)
        return "".join([segment.text for segment in segments])

    @property
    def prompt(self) -> str:
        """What comes before the first part that SFT on responses learns; "" in plain text."""
        return "".join(segment.text for segment in takewhile(lambda segment: not segment.counted, self.segments))

    @property
    def response(self) -> str:
        """All behind the prompt."""
        return self.text[len(self.prompt) :]

    def in_role(self, role: SegmentRole) -> "Document":
        """Its segments of one role alone, each on a line of its own."""
        return plain_text("\n".join(segment.text for segment in self.segments if segment.role == role))


def plain_text(text: str) -> Document:
    """A document without parts."""
    return Document((Segment("text", text),)) if text else Document(())


def prompt_and_response(prompt: str, response: str, between: str = "") -> Document:
    """What a model is asked, and what it must answer; SFT masks the former and what stands between."""
    if not (isinstance(prompt, str) and isinstance(response, str)):
        raise TypeError(f"prompt and response must be text, not {type(prompt).__name__} and {type(response).__name__}")
    parts = (Segment("user", prompt, False), Segment("template", between, False), Segment("assistant", response))
    return Document(tuple(part for part in parts if part.text))


class Template(Protocol):
    """How a row is written that a layout has read: a chat template."""

    name: str

    def __call__(self, row: Row, render: Callable[[Row], Document]) -> Document: ...

    def identity(self) -> str: ...


class RowTest(Protocol):
    """Whether a row is read, as its text says; `columns` are the fields that it looks at."""

    text: str

    @property
    def columns(self) -> tuple[str, ...]: ...

    def __call__(self, row: Row) -> bool: ...


@dataclass(frozen=True)
class Corpus:
    """A named stream of documents: `documents(limit)` gives the same texts in the same order, always."""

    name: str
    about: str
    role: Role
    licence: str
    render: Callable[[Row], Document] | None  # a layout, or an entry's own; None until it is read off the rows
    example: Row  # written by us: the entry's documentation and its offline test
    source: Source | None  # the hub for a catalogue entry; files once they are found
    # File stems that serve this corpus in a data folder, best first, each with None or, when the text is of
    # the same kind but not the named set, what it is: it is then shown as a stand-in everywhere.
    files: dict[str, str | None] = field(default_factory=dict)
    access: str | None = None  # how to get in, where the hub asks for an agreement
    train_on: Literal["response", "text"] = "text"  # what SFT counts in its loss
    stand_in: str | None = None
    layout: str = ""  # how rows are read, where that was read off them: "messages, 3 turns on average"
    view: SegmentRole | None = None  # only the segments of this role are read; None: all
    row_filter: RowTest | None = None  # which rows are read; None: all
    template: Template | None = None  # how chats and prompts are written; None: one turn a line
    same_domain: str | None = None  # of a target: what to mix in by its domain alone, the same-domain baseline
    n_examples: int | None = None  # for SFT: the paper's, or those of the set's training split
    has_reference: bool = False  # its profile ships with the package
    title: str = ""  # as people write the name; the name itself by default
    color: str | None = None
    marker: str | None = None

    def batches(self, shard: int = 0, n_shards: int = 1, reading: Reading | None = None) -> Iterator[list[Document]]:
        """Documents in lists of a few MB; empty ones are left out."""
        if self.source is None or self.render is None:
            raise SimtoolError(f"{self.name} has no source to read from.")
        reading = reading or Reading()
        reading.columns = self._needed_columns()
        for rows in self.source.read(shard, n_shards, reading):
            if self.row_filter is not None:
                rows = [row for row in rows if self.row_filter(row)]
            documents = []
            for row in rows:
                document = self._document(row, reading)
                if document is None:
                    continue
                if document.segments:
                    self._check_length(document)
                    documents.append(document)
                else:
                    reading.n_empty += 1
            if documents:
                yield documents

    def _needed_columns(self) -> tuple[str, ...] | None:
        columns = getattr(self.render, "columns", None)
        return columns and (*columns, *(self.row_filter.columns if self.row_filter else ()))

    def _document(self, row: Row, reading: Reading) -> Document | None:
        """A row as it is read; None where it cannot be."""
        assert self.render is not None
        try:
            document = self.render(row) if self.template is None else self.template(row, self.render)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            reading.bad(self._cannot_render(row, error))
            return None
        return document if self.view is None else document.in_role(self.view)

    def _check_length(self, document: Document) -> None:
        """No document is longer than allowed, whatever it was read from: tokens and symbols take many times that."""
        n_characters = sum(len(segment.text) for segment in document.segments)
        if n_characters > LONG and n_characters > longest_document():
            raise too_long(f"A document of {self.name}", "Is it one document?")

    def documents(self, limit: int | None = None) -> Iterator[Document]:
        return islice((document for batch in self.batches() for document in batch), limit)

    def describe(self) -> str:
        """Where the text comes from and how it is read, for the provenance column."""
        where = self.source.describe() if self.source else self.name
        view = f"{self.view} only" if self.view else ""
        rows = f"rows where {self.row_filter.text}" if self.row_filter else ""
        template = f"chat template {self.template.name}" if self.template else ""
        return ", ".join(filter(None, [where, self.layout, template, view, rows]))

    def reading_identity(self) -> str:
        """Changes when rows are read in another way: what profiles and stores are filed under, with the source's."""
        render = repr(self.render) if hasattr(self.render, "columns") else self.name
        template = self.template and f"template {self.template.identity()}"
        return " ".join(filter(None, [render, template, self.view, self.row_filter and self.row_filter.text]))

    def _cannot_render(self, row: Row, error: Exception) -> str:
        where = self.source.describe() if self.source else self.name
        has = f"It has: {', '.join(map(str, row))}."
        if isinstance(error, KeyError):
            return f"{where}: a row has no field {error.args[0]!r}. {has} Name the one that holds the text: PATH#FIELD."
        return f"{where}: a row cannot be read as {self.name} ({type(error).__name__}: {error}). {has}"


def why_empty(n_skipped: int, reasons: list[str], n_empty: int) -> str:
    """What is to be said of a corpus in which nothing was read: how many rows were empty or bad, and why."""
    if n_skipped:
        return f"\n{n_skipped:,} rows cannot be read. The first: {reasons[0]}"
    return f" Empty rows: {n_empty:,}." if n_empty else ""


def document_hash(utf8: bytes, seed: int = 0) -> int:
    """64-bit content hash (xxh3) of a document. Folds, samples and splits are read off it, so that they depend
    on the text alone, not on order, file or machine."""
    import xxhash  # here, so that the catalogue can be read where only torch and its kin are

    return xxhash.xxh3_64_intdigest(utf8, seed=seed)
