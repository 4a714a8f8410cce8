"""Rows of JSON: one object a line, or one value that holds a list of them."""

import json
import re
from collections.abc import Iterator
from functools import cache, partial
from itertools import chain, pairwise, starmap
from typing import Any, TypedDict

import msgspec
import orjson

from simtool.corpora.compression import BLOCK
from simtool.corpora.files import File, line_blocks, whole_content
from simtool.corpora.limits import LARGEST_WHOLE, longest_document
from simtool.corpora.reading import Block, Columns, Reading, Row
from simtool.errors import SimtoolError

CHECKED = 2 * BLOCK  # bytes: what is shorter fits into memory, whatever it holds
# bytes of memory that each of these makes of JSON, at most and beside its text: an object, a list, what follows another
VALUE_BYTES = {b"{": 190, b"[": 60, b",": 60}
QUOTE = re.compile(rb'(?<!\\)"')  # the beginning or end of a text
WIDE = re.compile(rb"[\xf0-\xf4]|\\u[dD][89abAB]")  # the beginning of a character above U+FFFF
CONTINUED = bytes(range(0x80, 0xC0))  # bytes of UTF-8 that begin no character
SURROGATE = re.compile("[\ud800-\udfff]")


def check_size(name: str, data: bytes) -> None:
    """See that JSON does not become many times as large in memory: 60 MB of "[]," took 2.2 GB, 240 MB of "{}," 8 GB.

    Raises
    ------
    SimtoolError
        Where it may take more than twice what the largest file of it may have. Commas and brackets in its text count as
        values, too.
    """
    if len(data) <= CHECKED:
        return
    n_bytes = _text_bytes(data) + sum(size * data.count(sign) for sign, size in VALUE_BYTES.items())
    most = 2 * LARGEST_WHOLE * longest_document()
    if n_bytes > most:
        raise SimtoolError(
            f"{name} may take {n_bytes >> 20:,} MB of memory once it is parsed; {most >> 20:,} MB are allowed.\n"
            "Write a record per line (JSON lines). Where there is memory for it:"
            f" simtool --longest-document {-(-n_bytes // (2 * LARGEST_WHOLE) >> 20) + 1} ..."
        )


def _text_bytes(data: bytes) -> int:
    """What the texts of JSON take in memory."""
    if data.isascii() and b"\\u" not in data:
        return len(data)
    quotes = (match.start() for match in QUOTE.finditer(data))
    return sum(_bytes_of_text(data[start:stop]) for start, stop in pairwise(chain([0], quotes, [len(data)])))


def _bytes_of_text(text: bytes) -> int:
    """Python has 4 bytes for each character of a text with a character above U+FFFF, and 2 where there is one above
    U+00FF; which of those above U+007F are below that is not looked into."""
    n_escapes = text.count(b"\\u")
    if text.isascii() and not n_escapes:
        return len(text)
    n_bytes = sum(len(text[i : i + BLOCK].translate(None, CONTINUED)) for i in range(0, len(text), BLOCK))
    return (4 if WIDE.search(text) else 2) * (n_bytes - 5 * n_escapes)


def parsed(line: bytes) -> Any:
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


def json_lines_blocks(file: File, columns: Columns) -> Iterator[Block]:
    yield from starmap(partial(_json_lines_block, _place_of(file), columns), line_blocks(file))


def _json_lines_block(place: str, columns: Columns, line: int, block: bytes, position: int) -> Block:
    return Block(partial(_parse_json_lines, place, line, block, columns), position)


def _place_of(file: File) -> str:
    """What lines are counted from."""
    return f"{file.name} from byte {file.span.start:,} on" if file.span and file.span.start else file.name


def _parse_json_lines(name: str, line: int, block: bytes, columns: Columns, reading: Reading) -> list[Row]:
    check_size(f"Line {line} of {name}", block)
    if columns and (rows := _needed_fields(block, columns)) is not None:
        return rows
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
        row = parsed(record)
        if type(row) is dict:
            rows.append(row)
        else:
            reading.bad(f"Line {n} of {name} is not a JSON object ({_json_problem(record)}).")
    return rows


def _needed_fields(block: bytes, columns: tuple[str, ...]) -> list[Row] | None:
    """Rows with these fields alone: 0.07 s for 90 MB of text, where whole objects take 0.13 s (0.21 s beside metadata).

    None where a row lacks one, or a line is not one object: the slow way round says what is wrong with it.
    """
    try:
        rows = _decoder_of(columns).decode_lines(block)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    n_lines = block.count(b"\n") + (not block.endswith(b"\n"))
    return rows if len(rows) == n_lines else None


@cache
def _decoder_of(columns: tuple[str, ...]) -> msgspec.json.Decoder:
    """Builds these fields of an object and passes over all others."""
    return msgspec.json.Decoder(TypedDict("Fields", dict.fromkeys(columns, Any)))


def _json_problem(record: bytes) -> str:
    try:
        return f"it is a {type(orjson.loads(record)).__name__}, not an object"
    except orjson.JSONDecodeError as error:
        return str(error).split(": line ")[0]


def json_blocks(file: File, columns: Columns) -> Iterator[Block]:
    data = whole_content(file, LARGEST_WHOLE)
    check_size(file.name, data)
    value = parsed(data.removeprefix(b"\xef\xbb\xbf"))
    if value is None:
        try:
            orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise SimtoolError(f"{file.name} is not JSON: {error}.") from error
    rows = value if isinstance(value, list) else rows_inside(value)
    if rows and isinstance(rows, list) and all(type(row) is str for row in rows):
        rows = [{"text": text} for text in rows]
    if not isinstance(rows, list) or not all(type(row) is dict for row in rows):
        raise SimtoolError(
            f"{file.name} must hold a list of objects or of texts, or an object with one list of objects in it."
            f" It holds {_shape(value)}."
        )
    for start in range(0, len(rows), 1000):
        yield Block(partial(same_rows, rows[start : start + 1000]), file.size or 0)


def rows_inside(value: Any) -> list[Row] | None:
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


def same_rows(rows: list[Row], reading: Reading) -> list[Row]:
    """The parse of a block whose rows are there already."""
    return rows
