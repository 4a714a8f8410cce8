"""Tables of text: CSV, TSV and the like, in the dialect that is read off them or declared."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, BinaryIO

from simtool.corpora.compression import BLOCK, BROKEN, suffix_of
from simtool.corpora.files import File, broken, decompressed, head_of
from simtool.corpora.limits import longest_document, too_long
from simtool.corpora.reading import Block, Columns, Reading, Row
from simtool.errors import SimtoolError

DIALECT_HEAD = 1 << 15  # bytes from which the dialect of a table is read (32 kB: 0.05 s)
DELIMITERS = [",", "\t", ";", "|"]
ONE_COLUMN = "\x1f"  # a delimiter that no text holds


@dataclass(frozen=True)
class Dialect:
    """How a table of text is written. quote: "" where quotes are characters like any other."""

    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8-sig"

    def __str__(self) -> str:
        names = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars", ONE_COLUMN: "one column"}
        shown = names.get(self.delimiter, repr(self.delimiter))
        return f"{shown}, {f'quotes {self.quote}' if self.quote else 'no quoting'}"


@cache
def dialect_of(file: File) -> Dialect:
    """The dialect of a table, from its first lines (CleverCSV: van den Burg et al., arXiv:1811.11242)."""
    import clevercsv

    head = head_of(file, DIALECT_HEAD)
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    if len(head) == DIALECT_HEAD:
        head = head[: head.rfind(b"\n") + 1] or head
    text = head.decode(encoding, "replace")
    default = "\t" if suffix_of(file.name) in (".tsv", ".tab") else "|" if suffix_of(file.name) == ".psv" else ","
    header = text.split("\n", 1)[0]
    if not any(delimiter in header for delimiter in DELIMITERS):  # a single column
        return Dialect(ONE_COLUMN, '"' if '"' in text else "", encoding)
    try:
        sniffed = clevercsv.Sniffer().sniff(text, delimiters=DELIMITERS)
    except clevercsv.Error:
        sniffed = None
    if sniffed is None or sniffed.delimiter not in DELIMITERS:
        return Dialect(default, '"', encoding)
    # without a quote in what was looked at, tables of commas may still quote later; those of tabs rarely do
    quote = sniffed.quotechar or ('"' if '"' not in text and sniffed.delimiter != "\t" else "")
    return Dialect(sniffed.delimiter, quote, encoding)


def csv_blocks(file: File, columns: Columns, dialect: Dialect | None = None) -> Iterator[Block]:
    """The rows of a table of text, in its dialect or the one given."""
    csv.field_size_limit(longest_document())
    dialect = dialect or dialect_of(file)
    quoting: dict[str, Any] = (
        {"quotechar": dialect.quote, "strict": True} if dialect.quote else {"quoting": csv.QUOTE_NONE}
    )
    try:
        encoding = "utf-8-sig" if file.encoding else dialect.encoding  # declared, it is UTF-8 by now
        with file.open() as raw, _text(decompressed(file, raw), encoding) as stream:
            lines = _Lines(stream, file.name)
            table = csv.DictReader(lines, delimiter=dialect.delimiter, **quoting)
            rows: list[tuple[int, Row]] = []
            for row in table:
                rows.append((table.line_num, row))
                if lines.end_record() > BLOCK or len(rows) == 2_000:
                    yield Block(partial(_whole_rows, file.name, rows), raw.tell())
                    rows = []
                    lines.n_characters = 0
            yield Block(partial(_whole_rows, file.name, rows), file.size or 0)
    except UnicodeDecodeError as error:
        raise SimtoolError(
            f"{file.name} is not {dialect.encoding.removesuffix('-sig').upper()} ({error.reason}).\n"
            'Convert it, or say its encoding in the corpora file: encoding = "latin-1".'
        ) from error
    except csv.Error as error:
        raise SimtoolError(f"{file.name}: {error} (line {table.line_num}; read with {dialect}).") from error
    except BROKEN as error:
        raise broken(file, error) from error


class _Lines:
    """The lines of a table, none and no record of several longer than a document may be."""

    def __init__(self, stream: io.TextIOWrapper, name: str):
        self.stream, self.name, self.longest = stream, name, longest_document()
        self.n = self.n_characters = self.of_record = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self.stream.readline(self.longest + 1)
        if not line:
            raise StopIteration
        self.n += 1
        self.of_record += len(line)
        if self.of_record > self.longest:
            raise too_long(f"The record on line {self.n} of {self.name}", "Is a quote open, or is this no table?")
        return line

    def end_record(self) -> int:
        """Characters of the records since the count was set to 0, this one included."""
        self.n_characters += self.of_record
        self.of_record = 0
        return self.n_characters


def _whole_rows(name: str, rows: list[tuple[int, Row]], reading: Reading) -> list[Row]:
    complete = []
    for line, row in rows:
        # the reader files surplus cells under None, and fills missing ones with None
        if None in row or None in row.values():
            n_cells = len(row) - (None in row)
            reading.bad(f"Line {line} of {name} does not have the {n_cells} cells of the header.")
        else:
            complete.append(row)
    return complete


def _text(stream: BinaryIO, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(stream), encoding=encoding, newline="")  # type: ignore[arg-type]
