"""Pages of parquet, as far as it takes to know how large they become before they are unpacked.

In front of each page stands its header, in Thrift's compact protocol (parquet.thrift, PageHeader): field 2 is its size
unpacked, 3 as it lies there, and 1 of field 5, or 8, how many values a page of data holds.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

HEADS = (1 << 6, 1 << 13, 1 << 20)  # bytes that are read for a header: most have 30, and statistics may hold long texts
DEEPEST = 8
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, TEXT, LIST, SET, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12  # of Thrift


class ParquetPage(NamedTuple):
    """Bytes of a page: of its header, as it lies there, and unpacked; and its values, 0 where it is a dictionary."""

    header: int
    packed: int
    unpacked: int
    n_values: int


def page_at(raw: BinaryIO, place: int) -> ParquetPage | None:
    """The page that begins at a place; None where no header can be read."""
    for size in HEADS:
        raw.seek(place)
        try:
            return _page(raw.read(size))
        except IndexError:
            pass
    return None


def pages(raw: BinaryIO, start: int, stop: int) -> Iterator[ParquetPage]:
    """The pages of a column, from its first byte to the one behind its last, as far as they can be read."""
    while start < stop and (page := page_at(raw, start)) is not None:
        yield page
        start += page.header + page.packed


def _page(data: bytes) -> ParquetPage:
    fields, end = _struct(data, 0)
    data_page = fields.get(5) or fields.get(8)
    n_values = _number(data_page, 1) if isinstance(data_page, dict) else 0
    return ParquetPage(end, _number(fields, 3), _number(fields, 2), n_values)


def _number(fields: dict[int, Any], number: int) -> int:
    value = fields.get(number)
    return max(value, 0) if isinstance(value, int) else 0


def _struct(data: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Its fields by their numbers, and where it ends.

    Raises
    ------
    IndexError
        Where the data ends before, or holds a value of no kind that there is.
    """
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        if step := head >> 4:
            number, at = number + step, at + 1
        else:
            number, at = _integer(data, at + 1)
        fields[number], at = _value(data, at, head & 15, depth)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    """A number or a struct, or None for what no size stands in; and the place behind it."""
    if kind in (I16, I32, I64):
        return _integer(data, at)
    if kind == STRUCT and depth < DEEPEST:
        return _struct(data, at, depth + 1)
    if kind in (LIST, SET) and depth < DEEPEST:
        return None, _behind_list(data, at, depth + 1)
    if kind == TEXT:
        size, at = _varint(data, at)
        return None, at + size
    if kind in (TRUE, FALSE, BYTE, DOUBLE):  # true and false stand in the field itself
        return None, at + {BYTE: 1, DOUBLE: 8}.get(kind, 0)
    raise IndexError


def _behind_list(data: bytes, at: int, depth: int) -> int:
    kind, size, at = data[at] & 15, data[at] >> 4, at + 1
    if size == 15:
        size, at = _varint(data, at)
    if kind in (TRUE, FALSE):
        return at + size
    for _ in range(size):
        if at >= len(data):
            raise IndexError
        _, at = _value(data, at, kind, depth)
    return at


def _integer(data: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(data, at)
    return number >> 1 ^ -(number & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits per byte, and the place behind it."""
    number = shift = 0
    while shift < 70:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return number, at
    raise IndexError
