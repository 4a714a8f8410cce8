"""What a file holds, and how it is read: JSON lines, JSON, parquet, Arrow, CSV, plain text, a document a file.

The content decides; a name only hints, so JSON lines may be called part-00000, .jsonl.1 or .json. A file is read as
blocks of whole records, a few MB each. To read another format, write its `_blocks` function, name it in `FORMATS`
and, where its first bytes give it away, in `MAGIC`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, BinaryIO

from simtool.corpora.compression import suffix_of
from simtool.corpora.delimited import csv_blocks
from simtool.corpora.files import HEAD, File, head_of, line_blocks, whole_content
from simtool.corpora.json_rows import json_blocks, json_lines_blocks, parsed, rows_inside, same_rows
from simtool.corpora.limits import check_whole, longest_document, too_long
from simtool.corpora.parquet_pages import page_at, pages
from simtool.corpora.reading import Block, Columns, Reading, Row
from simtool.corpora.steps import Steps
from simtool.corpora.web import page_rows, warc_pages
from simtool.errors import SimtoolError

LONGEST_HEAD = 8 << 20  # bytes that are searched for the end of a first line
LONGEST_SOURCE_FILE = 1 << 20  # in a source tree: larger files are data or generated
ROWS = 2_000  # of a columnar file that are unpacked together
PAGE_TIMES = (
    20  # times as large as on disk a page of a large column is not, but where it holds one text again and again
)
DICTIONARY_BYTES = 128 << 20  # of them, where all hold the whole dictionary
STEP_BYTES, SPARING_BYTES = 32 << 20, 1 << 16  # of them, at their average size; of a reading that may end anywhere
PAGE_HEADER, FETCHED_ROWS = 1 << 14, 200  # bytes and rows of a remote one: a sample may end inside a row group
OTHER_ENCODING = '; say another encoding in the corpora file: encoding = "latin-1"'


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
    value = parsed(first)
    if type(value) is dict:
        return "json" if not rest.strip() and hint != "jsonl" and rows_inside(value) else "jsonl"
    if hint == "jsonl":
        return "jsonl"  # whatever is wrong with its lines is said of each
    if hint == "json" or value is not None:
        return "json"
    # braces and brackets begin programs and prose too
    return "json" if hint is None and len(head) < HEAD and parsed(start) is not None else None


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


# ---- columnar --------------------------------------------------------------------------------------------


@contextmanager
def parquet_file(file: File) -> Iterator[tuple[Any, BinaryIO]]:
    """An open parquet file, and its bytes; of a remote one only the ranges that are needed are fetched.

    Raises
    ------
    SimtoolError
        Where it is none, or cannot be read.
    """
    import pyarrow
    import pyarrow.parquet

    from simtool.corpora.parquet_footer import open_parquet  # here: it takes pyarrow

    try:
        footer = _footer(file.whole) if file.is_remote else None
        with file.open(ahead=0) as raw:
            if footer is None:
                yield open_parquet(raw), raw
            else:
                steps: Any = Steps(raw, _chunks(file, footer), file.whole, file.is_sparing)
                yield (
                    pyarrow.parquet.ParquetFile(steps, metadata=footer, buffer_size=PAGE_HEADER, pre_buffer=False),
                    steps,
                )
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:  # the last of a column's name
        raise SimtoolError(f"Cannot read {file.name} as parquet: {error}.") from error


@lru_cache(maxsize=64)
def _footer(file: File) -> Any:
    """What stands at the end of a remote parquet file: pieces of it are read in turn, and 64 kB more for each of them
    would be as much as a block of a sample."""
    from simtool.corpora.parquet_footer import open_parquet

    with file.open(ahead=0) as raw:
        return open_parquet(raw).metadata


def column_names(file: File) -> list[str]:
    """The fields of a parquet file."""
    with parquet_file(file) as (table, _):
        return table.schema_arrow.names


def _groups(file: File, metadata: Any) -> range:
    """The row groups that are read of it."""
    return range(file.span.start, file.span.stop) if file.span else range(metadata.num_row_groups)


def _chunks(file: File, metadata: Any) -> list[tuple[int, int]]:
    """(first byte, the one behind the last) of each column of each of them."""
    groups = (metadata.row_group(n) for n in _groups(file, metadata))
    chunks = (group.column(n) for group in groups for n in range(group.num_columns))
    return [(_first_byte(chunk), _first_byte(chunk) + chunk.total_compressed_size) for chunk in chunks]


def _first_byte(chunk: Any) -> int:
    return min(chunk.dictionary_page_offset or chunk.data_page_offset, chunk.data_page_offset)


def _parquet_blocks(file: File, columns: Columns) -> Iterator[Block]:
    with parquet_file(file) as (table, raw):
        needed = _present(columns, table.schema_arrow.names)
        groups = _groups(file, table.metadata)
        size = (file.n_bytes or 0) // max(len(groups), 1)
        for n, group in enumerate(groups, 1):
            n_rows = _rows_at_once(file, raw, table.metadata.row_group(group), needed)
            for batch in table.iter_batches(batch_size=n_rows, row_groups=[group], columns=needed):
                yield Block(partial(rows_of, batch), n * size)


def _rows_at_once(file: File, raw: BinaryIO, group: Any, columns: Sequence[str] | None) -> int:
    """Rows of a row group that are unpacked together: as many as have STEP_BYTES on average, and any of them may hold
    all of a dictionary (4,000 times 1 MB took 4.3 GB).

    Raises
    ------
    SimtoolError
        Where its cells are longer than documents may be.
    """
    largest = average = 1
    for chunk in (group.column(n) for n in range(group.num_columns)):
        if columns is None or chunk.path_in_schema.split(".")[0] in columns:
            average += _bytes_of_row(file, raw, chunk, group.num_rows)
            if chunk.physical_type == "BYTE_ARRAY" and (chunk.has_dictionary_page or not file.is_remote):
                page = page_at(raw, _first_byte(chunk))
                largest = max(largest, page.unpacked if page and not page.n_values else 1)
    if average > longest_document():
        raise too_long(f"A row of {file.name}", "Is it one document?")
    most = FETCHED_ROWS if file.is_remote else ROWS
    step = SPARING_BYTES if file.is_remote and file.is_sparing else STEP_BYTES
    return max(1, min(most, DICTIONARY_BYTES // largest, step // average))


def _bytes_of_row(file: File, raw: BinaryIO, chunk: Any, n_rows: int) -> int:
    """Bytes that a column of a row group has unpacked, on average: as its footer says, or its pages if they say more: a
    footer that said too little took 6.1 GB. Those of a remote file are not looked at, where each look costs a request.

    Raises
    ------
    SimtoolError
        Where a page, which is unpacked whole, is a small one that becomes large: a cell of 1.5 GB took 4.8 GB.
    """
    n_bytes = n_values = 0
    start = _first_byte(chunk)
    for page in () if file.is_remote else pages(raw, start, start + chunk.total_compressed_size):
        n_bytes, n_values = n_bytes + page.unpacked, n_values + page.n_values
        if page.unpacked > PAGE_TIMES * page.packed:
            check_whole(file.name, "page", page.unpacked)
    in_pages = n_bytes // max(min(n_rows, n_values or n_rows), 1)
    return max(chunk.total_uncompressed_size // max(n_rows, 1), in_pages)


def _arrow_blocks(file: File, columns: Columns) -> Iterator[Block]:
    """Feather and Arrow files, and the streams that `datasets` saves."""
    import pyarrow

    from simtool.corpora.record_batches import ArrowFile  # here: it takes pyarrow

    try:
        with file.open() as raw:
            for batch in ArrowFile(file.name, raw, partial(_present, columns), _rows_of_step).batches():
                needed = _present(columns, batch.schema.names)
                yield Block(partial(rows_of, batch if needed is None else batch.select(needed)), raw.tell())
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SimtoolError(f"Cannot read {file.name} as Arrow: {error}.") from error


def _rows_of_step(n_rows: int, n_bytes: int) -> int:
    """As many as have STEP_BYTES on average."""
    return max(1, min(ROWS, STEP_BYTES * n_rows // max(n_bytes, 1)))


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
    yield Block(partial(same_rows, [{"text": text}]), file.size or 0)


# ---- web archives ----------------------------------------------------------------------------------------


def _warc_blocks(file: File, columns: Columns) -> Iterator[Block]:
    for some, position in warc_pages(file):
        yield Block(partial(page_rows, some), position)


FORMATS: dict[str, Callable[[File, Columns], Iterator[Block]]] = {
    "jsonl": json_lines_blocks,
    "json": json_blocks,
    "parquet": _parquet_blocks,
    "arrow": _arrow_blocks,
    "csv": csv_blocks,
    "text": _text_blocks,
    "document": document_blocks,
    "warc": _warc_blocks,
}
