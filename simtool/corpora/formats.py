"""What a file holds, and how it is read: JSON lines, JSON, parquet, Arrow, CSV, plain text, a document a file.

The content decides; a name only hints, so JSON lines may be called part-00000, .jsonl.1 or .json. A file is read as
blocks of whole records, a few MB each. To read another format, write its `_blocks` function, name it in `FORMATS`
and, where its first bytes give it away, in `MAGIC`.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from simtool.corpora.corpus import Reading, Row
from simtool.corpora.files import (
    BLOCK,
    BROKEN,
    BY_SUFFIX,
    HEAD,
    LARGEST_WHOLE,
    File,
    broken,
    decompressed,
    head_of,
    line_blocks,
    longest_document,
    too_long,
    whole_content,
)  # fmt: skip
from simtool.corpora.web import page_rows, warc_pages
from simtool.errors import SimtoolError

LONGEST_HEAD = 8 << 20  # bytes that are searched for the end of a first line
LONGEST_SOURCE_FILE = 1 << 20  # in a source tree: larger files are data or generated
DIALECT_HEAD = 1 << 15  # bytes from which the dialect of a table is read (32 kB: 0.05 s)
DELIMITERS = [",", "\t", ";", "|"]
ONE_COLUMN = "\x1f"  # a delimiter that no text holds
OTHER_ENCODING = '; say another encoding in the corpora file: encoding = "latin-1"'
SURROGATE = re.compile("[\ud800-\udfff]")


class Block(NamedTuple):
    """Records that have been read but not parsed, because most may belong to other shards."""

    parse: Callable[[Reading], list[Row]]
    position: int  # bytes of the file, as it lies on disk, read so far


Columns = tuple[str, ...] | None  # those that are needed; None: all


# ---- which format ----------------------------------------------------------------------------------------

MAGIC = {
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"\xff\xff\xff\xff": "arrow",
    b"FEA1": "arrow",
    b"WARC/": "warc",
}
BY_NAME = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".ldjson": "jsonl",
    ".jl": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".psv": "csv",
    ".warc": "warc",
    ".wet": "warc",
    ".txt": "text",
}


def suffix_of(location: str) -> str:
    """The ending of a file name in lower case, looking past a compression's."""
    suffixes = Path(location.split("?")[0]).suffixes
    if suffixes and suffixes[-1].lower() in BY_SUFFIX:
        suffixes = suffixes[:-1]
    return suffixes[-1].lower() if suffixes else ""


def named_format(location: str) -> str | None:
    """What a name hints at; None where it hints at nothing."""
    return BY_NAME.get(suffix_of(location))


def format_of(file: File) -> str | None:
    """The key of FORMATS that a file's content has; None where it is no text and no format that is known."""
    hint = named_format(file.name)
    if file.is_remote and hint not in (None, "json"):
        return hint  # its first bytes would cost another request
    head = head_of(file)
    for magic, name in MAGIC.items():
        if head.startswith(magic):
            return name
    if hint in ("parquet", "arrow", "warc"):
        return hint
    return _json_kind(file, head, hint) or hint or ("document" if is_text(head) else None)


def _json_kind(file: File, head: bytes, hint: str | None) -> str | None:
    """Whether this is JSON lines or one JSON value; None where it is neither."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith((b"{", b"[")):
        return None
    if b"\n" not in start and len(head) == HEAD:
        start = head_of(file, LONGEST_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    first, _, rest = start.partition(b"\n")
    value = _parsed(first)
    if type(value) is dict:
        return "json" if not rest.strip() and hint != "jsonl" and _rows_inside(value) else "jsonl"
    if hint == "jsonl":
        return "jsonl"  # whatever is wrong with its lines is said of each
    if hint == "json" or value is not None:
        return "json"
    # braces and brackets begin programs and prose too
    return "json" if hint is None and len(head) < HEAD and _parsed(start) is not None else None


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are text in UTF-8."""
    try:
        plain(head[: head.rfind(b"\n") + 1] or head)
    except ValueError:
        return False
    return True


def plain(data: bytes) -> str:
    """Bytes as text.

    Raises
    ------
    ValueError
        Where they are none.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    if b"\0" in data:
        raise ValueError("holds NUL bytes: it is not plain text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 ({error.reason} at byte {error.start}){OTHER_ENCODING}") from error


# ---- JSON ------------------------------------------------------------------------------------------------


def _parsed(line: bytes) -> Any:
    """The JSON value of a line, NaN and half surrogate pairs (as U+FFFD) included; None where it is none."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    try:
        return _without_surrogates(json.loads(line))
    except (ValueError, RecursionError):
        return None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return value


def _json_lines_blocks(file: File, columns: Columns) -> Iterator[Block]:
    for line, block, position in line_blocks(file):
        yield Block(partial(_parse_json_lines, _place_of(file), line, block), position)


def _place_of(file: File) -> str:
    """What lines are counted from."""
    return f"{file.name} from byte {file.span.start:,} on" if file.span and file.span.start else file.name


def _parse_json_lines(name: str, line: int, block: bytes, reading: Reading) -> list[Row]:
    lines = block.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    try:
        rows = [orjson.loads(record) for record in lines if record]
        if all(type(row) is dict for row in rows):
            return rows
    except orjson.JSONDecodeError:
        pass
    rows = []  # the slow way round, to say which line it was
    for n, record in enumerate(lines, line):
        if not record.strip():
            continue
        row = _parsed(record)
        if type(row) is dict:
            rows.append(row)
        else:
            reading.bad(f"Line {n} of {name} is not a JSON object ({_json_problem(record)}).")
    return rows


def _json_problem(record: bytes) -> str:
    try:
        return f"it is a {type(orjson.loads(record)).__name__}, not an object"
    except orjson.JSONDecodeError as error:
        return str(error).split(": line ")[0]


def _json_blocks(file: File, columns: Columns) -> Iterator[Block]:
    data = whole_content(file, LARGEST_WHOLE)
    value = _parsed(data.removeprefix(b"\xef\xbb\xbf"))
    if value is None:
        try:
            orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise SimtoolError(f"{file.name} is not JSON: {error}.") from error
    rows = value if isinstance(value, list) else _rows_inside(value)
    if rows and isinstance(rows, list) and all(type(row) is str for row in rows):
        rows = [{"text": text} for text in rows]
    if not isinstance(rows, list) or not all(type(row) is dict for row in rows):
        raise SimtoolError(
            f"{file.name} must hold a list of objects or of texts, or an object with one list of objects in it."
            f" It holds {_shape(value)}."
        )
    for start in range(0, len(rows), 1000):
        yield Block(partial(_same, rows[start : start + 1000]), file.size or 0)


def _rows_inside(value: Any) -> list[Row] | None:
    """The one list of objects in an object such as {"data": [...]}."""
    if not isinstance(value, dict):
        return None
    lists = [item for item in value.values() if isinstance(item, list) and item and type(item[0]) is dict]
    return lists[0] if len(lists) == 1 and not _is_row(value) else None


def _is_row(value: Row) -> bool:
    """Whether an object is a record of its own: it has a text beside its list, or its list holds messages."""
    nested = next(item for item in value.values() if isinstance(item, list) and item and type(item[0]) is dict)
    return bool({"role", "from"} & set(nested[0]))


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(map(str, list(value)[:8]))}"
    return f"a {type(value).__name__}"


# ---- columnar --------------------------------------------------------------------------------------------


@contextmanager
def parquet_file(file: File) -> Iterator[Any]:
    """An open parquet file; of a remote one only the ranges that are needed are fetched.

    Raises
    ------
    SimtoolError
        Where it is none, or cannot be read.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with file.open(by_ranges=True) as raw:
            yield pyarrow.parquet.ParquetFile(raw)
    except (pyarrow.ArrowException, OSError) as error:
        raise SimtoolError(f"Cannot read {file.name} as parquet: {error}.") from error


def _parquet_blocks(file: File, columns: Columns) -> Iterator[Block]:
    with parquet_file(file) as table:
        needed = _present(columns, table.schema_arrow.names)
        start, stop = (file.span.start, file.span.stop) if file.span else (0, table.num_row_groups)
        size = (file.n_bytes or 0) // max(stop - start, 1)
        for n, group in enumerate(range(start, stop), 1):
            for batch in table.iter_batches(batch_size=2_000, row_groups=[group], columns=needed):
                yield Block(partial(rows_of, batch), n * size)


def _arrow_blocks(file: File, columns: Columns) -> Iterator[Block]:
    """Feather and Arrow files, and the streams that `datasets` saves."""
    import pyarrow

    try:
        with file.open() as raw:
            for batch in _arrow_batches(raw):
                needed = _present(columns, batch.schema.names)
                for start in range(0, len(batch), 2_000):
                    part = batch.slice(start, 2_000)
                    yield Block(partial(rows_of, part if needed is None else part.select(needed)), raw.tell())
    except (pyarrow.ArrowException, OSError) as error:
        raise SimtoolError(f"Cannot read {file.name} as Arrow: {error}.") from error


def _arrow_batches(raw: BinaryIO) -> Iterator[Any]:
    import pyarrow
    import pyarrow.feather

    start = raw.read(6)
    raw.seek(0)
    if start.startswith(b"FEA1"):
        yield from pyarrow.feather.read_table(raw).to_batches()
    elif start == b"ARROW1":
        reader = pyarrow.ipc.open_file(raw)
        yield from (reader.get_batch(n) for n in range(reader.num_record_batches))
    else:
        yield from pyarrow.ipc.open_stream(raw)


def _present(columns: Columns, names: Iterable[str]) -> list[str] | None:
    """Those of the needed columns that are there; None, which is all, where none is: the error then lists them."""
    known = set(names)
    return [name for name in columns if name in known] or None if columns else None


def rows_of(batch: Any, reading: Reading) -> list[Row]:
    """The rows of an Arrow batch; a cell that is no Python object is None."""
    try:
        return batch.to_pylist()
    except (OverflowError, ValueError):  # a date beyond the year 9999, say: no other column suffers from it
        return _pylist_by_column(batch)


def _pylist_by_column(batch: Any) -> list[Row]:
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            columns[name] = column.to_pylist()
        except (OverflowError, ValueError):
            columns[name] = [None] * len(column)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


# ---- tables ----------------------------------------------------------------------------------------------


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


# ---- text ------------------------------------------------------------------------------------------------


def _text_blocks(file: File, columns: Columns) -> Iterator[Block]:
    """Documents end at a blank line; in a file that has none in its first block, at the end of a line."""
    gap, carried, first = None, b"", 1
    for line, block, position in line_blocks(file):
        block = block.replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf")
        if gap is None:
            gap = b"\n\n" if b"\n\n" in block.strip() else b"\n"
        whole, separator, rest = (carried + block).rpartition(gap)
        if separator:
            yield Block(partial(_parse_text, file.name, first, gap, whole), position)
            first = line + block.count(b"\n") - rest.count(b"\n")
        carried = rest
        if len(carried) > longest_document():
            raise too_long(f"The text from line {first} of {file.name} to the next blank line", "Is it one document?")
    if carried:
        yield Block(partial(_parse_text, file.name, first, gap or b"\n", carried), file.size or 0)


def _parse_text(name: str, line: int, gap: bytes, block: bytes, reading: Reading) -> list[Row]:
    rows = []
    for part in block.split(gap):
        if part.strip():
            try:
                rows.append({"text": plain(part)})
            except ValueError as error:
                reading.bad(f"{name}: the text that starts on line {line} {error}.")
        line += part.count(b"\n") + len(gap)
    return rows


def document_blocks(file: File, columns: Columns) -> Iterator[Block]:
    """A file is a document. In a tree, files that are not text (or huge) are passed over, as git would."""
    try:
        text = plain(whole_content(file))
    except ValueError:
        return
    yield Block(partial(_same, [{"text": text}]), file.size or 0)


def _same(rows: list[Row], reading: Reading) -> list[Row]:
    return rows


# ---- web archives ----------------------------------------------------------------------------------------


def _warc_blocks(file: File, columns: Columns) -> Iterator[Block]:
    for pages, position in warc_pages(file):
        yield Block(partial(page_rows, pages), position)


FORMATS: dict[str, Callable[[File, Columns], Iterator[Block]]] = {
    "jsonl": _json_lines_blocks,
    "json": _json_blocks,
    "parquet": _parquet_blocks,
    "arrow": _arrow_blocks,
    "csv": csv_blocks,
    "text": _text_blocks,
    "document": document_blocks,
    "warc": _warc_blocks,
}
