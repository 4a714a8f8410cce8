"""Pages of parquet, as far as it takes to know how large they become before they are unpacked.

In front of each page stands its header, in Thrift's compact protocol (parquet.thrift, PageHeader): field 2 is its size
unpacked, 3 as it lies there.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

HEADS = (1 << 6, 1 << 13, 1 << 20)  # bytes that are read for a header: most have 30, and statistics may hold long texts
DEEPEST = 8
TRUE, FALSE, BYTE, I16, I32, I64, TEXT, STRUCT = 1, 2, 3, 4, 5, 6, 8, 12  # kinds of values of a header


class ParquetPage(NamedTuple):
    """Bytes of a page: of its header, as it lies there, and unpacked."""

    header: int
    packed: int
    unpacked: int


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
    values, number, at = {2: 0, 3: 0}, 0, 0
    while kind := data[at] & 15:
        number, at = _field(data, at, number)
        if kind == I32 and number in values:
            values[number] = _zigzag(_varint(data, at)[0])
        at = _behind(data, at, kind)
    return ParquetPage(at + 1, max(values[3], 0), max(values[2], 0))


def _field(data: bytes, at: int, number: int) -> tuple[int, int]:
    """A field's number, and where its value begins."""
    if step := data[at] >> 4:
        return number + step, at + 1
    number, at = _varint(data, at + 1)
    return _zigzag(number), at


def _behind(data: bytes, at: int, kind: int, depth: int = 0) -> int:
    """Where a value ends.

    Raises
    ------
    IndexError
        Where the data ends before, or no value of this kind is in a header.
    """
    if kind in (TRUE, FALSE):  # they stand in the field itself
        return at
    if kind == BYTE:
        return at + 1
    if kind in (I16, I32, I64):
        return _varint(data, at)[1]
    if kind == TEXT:
        size, at = _varint(data, at)
        return at + size
    if kind == STRUCT and depth < DEEPEST:
        while field := data[at] & 15:
            _, at = _field(data, at, 0)
            at = _behind(data, at, field, depth + 1)
        return at + 1
    raise IndexError


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits per byte, and the place behind it."""
    number = shift = 0
    while shift < 70:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return number, at
    raise IndexError


def _zigzag(number: int) -> int:
    return number >> 1 ^ -(number & 1)
