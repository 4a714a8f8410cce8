"""Parquet files of several writers with damaged footers, for `fuzz.py`: bytes are changed, or values of the Thrift that
a footer is (compact protocol: Apache Thrift, thrift-compact-protocol.md), so that it can still be read as one.

A struct is {number of a field: [kind, value]}, a list [kind of its items, items].
"""

import copy
import io
from collections.abc import Callable, Iterator
from functools import lru_cache
from random import Random
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

TRUE, FALSE, BYTE, DOUBLE, TEXT, LIST, SET, STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
INTEGERS = (4, 5, 6)
ROW_GROUPS, COLUMNS, META_DATA, UNPACKED = 4, 1, 3, 6  # fields, of parquet.thrift
NUMBERS = (0, 1, 2, 3, 4, 5, 8, 100, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
ROWS = [
    {
        "text": "über ab " * (n % 9) + str(n),
        "n": n,
        "messages": [{"role": "user", "content": f"a b {n}"}] * (n % 3),
        "meta": {"x": n / 2, "tags": ["a", "b"][: n % 3] or None},
    }
    for n in range(60)
]


def _by_pyarrow(**options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), stream, row_group_size=25, **options)
    return stream.getvalue()


def _by_polars(**options: Any) -> bytes:
    stream = io.BytesIO()
    pl.DataFrame(ROWS).write_parquet(stream, row_group_size=25, **options)
    return stream.getvalue()


WRITERS: dict[str, Callable[[], bytes]] = {
    "pyarrow": lambda: _by_pyarrow(compression="none"),
    "pyarrow, zstd, page index": lambda: _by_pyarrow(compression="zstd", write_page_index=True),
    "pyarrow, no statistics": lambda: _by_pyarrow(write_statistics=False),
    "pyarrow, no dictionaries": lambda: _by_pyarrow(use_dictionary=False),
    "pyarrow, pages of version 2": lambda: _by_pyarrow(data_page_version="2.0", write_page_checksum=True),
    "pyarrow, no schema of Arrow": lambda: _by_pyarrow(store_schema=False),
    "polars": lambda: _by_polars(statistics="full"),
    "polars, no statistics": lambda: _by_polars(statistics=False),
}


@lru_cache(maxsize=len(WRITERS))
def parquet_of(writer: str) -> bytes:
    """ROWS as one of WRITERS writes them."""
    return WRITERS[writer]()


def with_damaged_footer(data: bytes, rng: Random) -> bytes:
    """A parquet file of which one to three bytes, or one or two values, of the footer are others."""
    change = _other_bytes if rng.random() < 0.5 else _other_values
    return _with_footer(data, lambda footer: change(footer, rng))


def with_columns_changed(data: bytes, change: Callable[[list[Any]], Any]) -> bytes:
    """A parquet file with the columns of its first row group, as Thrift, changed."""

    def changed(footer: bytes) -> bytes:
        content, _ = value_at(footer, 0, STRUCT)
        change(content[ROW_GROUPS][1][1][0][COLUMNS][1][1])
        return bytes_of(STRUCT, content)

    return _with_footer(data, changed)


def _with_footer(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = change(data[start:-8])
    return data[:start] + footer + len(footer).to_bytes(4, "little") + data[-4:]


def says_little(columns: list[Any]) -> None:
    """Columns that say they unpack to 1 kB each."""
    for column in columns:
        column[META_DATA][1][UNPACKED][1] = 2 << 10  # zigzag


def _other_bytes(footer: bytes, rng: Random) -> bytes:
    changed = bytearray(footer)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(changed))
        changed[place] = changed[place] ^ 1 << rng.randrange(8) if rng.random() < 0.5 else rng.randrange(256)
    return bytes(changed)


def _other_values(footer: bytes, rng: Random) -> bytes:
    content, _ = value_at(footer, 0, STRUCT)
    for _ in range(rng.randint(1, 2)):
        holder, key = rng.choice([*_places(STRUCT, content)])
        if rng.random() < 0.3:
            del holder[key]
        elif isinstance(holder, dict):
            holder[key][1] = _other_value(*holder[key], rng)
        elif rng.random() < 0.5:
            holder.insert(key, copy.deepcopy(rng.choice(holder)))
        elif isinstance(holder[key], int):
            holder[key] = rng.choice(NUMBERS)
    return bytes_of(STRUCT, content)


def _places(kind: int, value: Any) -> Iterator[tuple[Any, int]]:
    """All values inside of one, as what holds each and its key there."""
    if kind == STRUCT:
        for number, field in value.items():
            yield value, number
            yield from _places(*field)
    elif kind in (LIST, SET):
        for n, item in enumerate(value[1]):
            yield value[1], n
            yield from _places(value[0], item)


def _other_value(kind: int, value: Any, rng: Random) -> Any:
    if kind in INTEGERS:
        return rng.choice([*NUMBERS, value ^ 1, value + 2, 2 * value])
    if kind == TEXT:
        return rng.choice([b"", 2 * value, value[:-1], b"\xff\0", b"a" * 300, rng.randbytes(len(value))])
    if kind in (LIST, SET):
        items = value[1]
        return [value[0], copy.deepcopy(rng.choice([[], 2 * items, items[:-1], items[1:], items[::-1], items[:1]]))]
    return {} if kind == STRUCT else value


# ---- Thrift -----------------------------------------------------------------------------------------------------


def value_at(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    """A value, and the place behind it; true and false are their kinds."""
    if kind in (TRUE, FALSE):
        return kind, at
    if kind in INTEGERS:
        return _varint_at(data, at)
    if kind == STRUCT:
        return _struct_at(data, at)
    if kind in (LIST, SET):
        return _list_at(data, at)
    size, at = (1, at) if kind == BYTE else (8, at) if kind == DOUBLE else _varint_at(data, at)
    return data[at : at + size], at + size


def _varint_at(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while data[at] >= 0x80:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return number | data[at] << shift, at + 1


def _struct_at(data: bytes, at: int) -> tuple[dict[int, list[Any]], int]:
    fields: dict[int, list[Any]] = {}
    number = 0
    while head := data[at]:
        kind, step, at = head & 15, head >> 4, at + 1
        if not step:
            raise ValueError("no footer has fields so far apart")
        number += step
        value, at = value_at(data, at, kind)
        fields[number] = [kind, value]
    return fields, at + 1


def _list_at(data: bytes, at: int) -> tuple[list[Any], int]:
    kind, size, at = data[at] & 15, data[at] >> 4, at + 1
    if size == 15:
        size, at = _varint_at(data, at)
    items = []
    for _ in range(size):
        item, at = (data[at], at + 1) if kind in (TRUE, FALSE) else value_at(data, at, kind)
        items.append(item)
    return [kind, items], at


def bytes_of(kind: int, value: Any) -> bytes:
    """What `value_at` reads as this value."""
    if kind in (TRUE, FALSE):
        return b""
    if kind in INTEGERS:
        return _varint(value)
    if kind == STRUCT:
        return _struct(value)
    if kind in (LIST, SET):
        return _list(*value)
    return (_varint(len(value)) if kind == TEXT else b"") + value


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(parts) + bytes([number])


def _struct(fields: dict[int, list[Any]]) -> bytes:
    parts, last = bytearray(), 0
    for number, (kind, value) in sorted(fields.items()):
        step = number - last
        parts += bytes([step << 4 | kind]) if step < 16 else bytes([kind]) + _varint(2 * number)
        parts += bytes_of(kind, value)
        last = number
    return bytes(parts) + b"\0"


def _list(kind: int, items: list[Any]) -> bytes:
    head = bytes([len(items) << 4 | kind]) if len(items) < 15 else bytes([15 << 4 | kind]) + _varint(len(items))
    return head + b"".join(bytes([x & 255]) if kind in (TRUE, FALSE) else bytes_of(kind, x) for x in items)
