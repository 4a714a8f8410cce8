"""Record batches of Arrow files and streams, a few rows at a time.

pyarrow unpacks a batch whole, and 0.2 MB may become GBs. A large one is read here as so many streams, one per buffer,
that are unpacked side by side. Its buffers are those of its columns, one behind another, and of a column (Arrow
columnar format 1.5, "physical memory layout"):

    numbers, true and false    which are there, values
    texts                      which are there, where each begins, their bytes
    lists                      which are there, where each begins; then the buffers of what is in them
    structs, equal lists       which are there; then the buffers of what is in them

To read another type in steps, say in `_column` what takes its values.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.feather
from pyarrow import types as is_type

from simtool.corpora.arrow_messages import BATCH, DICTIONARY, Message, footer_blocks, message_at, unpacked_bytes
from simtool.corpora.limits import check_whole, largest_whole, too_long

WHOLE_BATCH = 128 << 20  # bytes: a batch that is larger is unpacked in steps
NOT_PACKED = struct.pack("<q", -1)  # in front of a buffer that lies there as it is, among compressed ones
Take = Callable[[int], Any]  # the next n values, as an array
RowsAtOnce = Callable[[int, int], int]  # of so many rows that have so many bytes


@dataclass(frozen=True)
class ArrowFile:
    """An open file, or stream.

    name      of the file, in messages
    needed    which of these columns are needed; None: all
    n_rows    how many rows are unpacked together
    """

    name: str
    raw: BinaryIO
    needed: Callable[[Sequence[str]], list[str] | None]
    n_rows: RowsAtOnce

    def batches(self) -> Iterator[Any]:
        """All rows, in batches of a few.

        Raises
        ------
        SimtoolError
            Where what can only be unpacked whole is too large for that.
        """
        start = self.raw.read(6)
        self.raw.seek(0)
        if start.startswith(b"FEA1"):  # never compressed
            for batch in pyarrow.feather.read_table(self.raw).to_batches():
                yield from self._slices(batch)
        elif start == b"ARROW1":
            yield from self._file_batches()
        else:
            yield from self._stream_batches()

    def _file_batches(self) -> Iterator[Any]:
        reader = pa.ipc.open_file(self.raw)
        dictionaries, batches = footer_blocks(self.raw)
        for place in dictionaries:
            self._check_dictionary(message_at(self.raw, place))
        for n in range(reader.num_record_batches):
            message = message_at(self.raw, batches[n]) if n < len(batches) else None
            yield from self._large(message, reader.schema) or self._slices(reader.get_batch(n))

    def _stream_batches(self) -> Iterator[Any]:
        reader = pa.ipc.open_stream(self.raw)
        while True:
            message = message_at(self.raw, self.raw.tell())
            while message is not None and message.kind == DICTIONARY:
                self._check_dictionary(message)
                message = message_at(self.raw, message.end)
            if large := self._large(message, reader.schema):
                yield from large
                self.raw.seek(message.end if message else 0)
            elif (batch := next(reader, None)) is not None:
                yield from self._slices(batch)
            elif self.raw.read(64).strip(b"\0"):  # a length that became 0 is how a stream ends
                raise pa.ArrowInvalid("a stream ends before the file does")
            else:
                return

    def _check_dictionary(self, message: Message | None) -> None:
        if message is not None and message.codec:
            check_whole(self.name, "batch", unpacked_bytes(self.raw, message))

    def _large(self, message: Message | None, schema: Any) -> Iterator[Any] | None:
        """A large batch in steps; None where it is small, or can only be unpacked whole and is not too large for it."""
        n_bytes = unpacked_bytes(self.raw, message) if message is not None and message.kind == BATCH else 0
        if message is None or n_bytes <= WHOLE_BATCH:
            return None
        try:
            columns = columns_of(self.name, self.raw, message, schema)
        except NotInSteps:
            if message.codec:
                check_whole(self.name, "batch", n_bytes)
            return None
        names = self.needed(schema.names) or schema.names
        return _steps(message.n_rows, {name: columns[name] for name in names}, self.n_rows(message.n_rows, n_bytes))

    def _slices(self, batch: Any) -> Iterator[Any]:
        batch.validate(full=True)  # pyarrow believes what a batch says, and reads beyond its end: a damaged one crashed
        n_rows = self.n_rows(len(batch), batch.nbytes)
        return (batch.slice(start, n_rows) for start in range(0, len(batch), n_rows))


def _steps(total: int, columns: dict[str, Take], n_rows: int) -> Iterator[Any]:
    for start in range(0, total, n_rows):
        n = min(n_rows, total - start)
        batch = pa.RecordBatch.from_arrays([take(n) for take in columns.values()], [*columns])
        batch.validate(full=True)
        yield batch


# ---- in steps -------------------------------------------------------------------------------------------------


class NotInSteps(Exception):
    """A column whose values do not lie as above: dictionaries, views, unions."""


class Buffer:
    """A buffer of a batch, unpacked from its beginning on. Opened when it is first read; name: of its file."""

    def __init__(self, name: str, file: pa.PythonFile, start: int, length: int, codec: str | None):
        self.name, self.file, self.start, self.length, self.codec = name, file, start, length, codec
        self.stream: Any = None

    def read(self, n_bytes: int) -> bytes:
        if n_bytes > largest_whole():
            raise too_long(f"A row of {self.name}", "Is it one document?")
        if self.stream is None:
            self.stream = self._open()
        data = self.stream.read(n_bytes)
        if len(data) < n_bytes:
            raise pa.ArrowInvalid("a buffer of a batch ends early")
        return data

    def _open(self) -> Any:
        if self.codec is None:
            return self.file.get_stream(self.start, self.length)
        packed = self.file.get_stream(self.start + 8, max(self.length - 8, 0))
        is_packed = self.file.read_at(8, self.start) != NOT_PACKED
        return pa.CompressedInputStream(packed, self.codec) if is_packed else packed


class Bits:
    """Which values are there, or true: a bit each. Nothing where all are there."""

    def __init__(self, buffer: Buffer, is_needed: bool):
        self.buffer, self.is_needed = buffer, is_needed and buffer.length > 0
        self.rest = np.zeros(0, np.uint8)

    def take(self, n: int) -> Any:
        if not self.is_needed:
            return None
        packed = self.buffer.read(-(-max(n - len(self.rest), 0) // 8))
        bits = np.concatenate([self.rest, np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")])
        self.rest = bits[n:]
        return pa.py_buffer(np.packbits(bits[:n], bitorder="little"))


class Offsets:
    """Where the values of texts and lists begin: one more than there are."""

    def __init__(self, buffer: Buffer, is_large: bool):
        self.buffer, self.dtype = buffer, np.dtype("<i8" if is_large else "<i4")
        self.last: np.ndarray = np.zeros(0, self.dtype)

    def take(self, n: int) -> tuple[Any, int, int]:
        """The next n, counted from the first of them; how many values are to be passed over, and to be taken."""
        is_first = not len(self.last)
        n_new = n + 1 - len(self.last)
        new = np.frombuffer(self.buffer.read(n_new * self.dtype.itemsize), self.dtype)
        offsets = np.concatenate([self.last, new])
        self.last = offsets[-1:]
        if offsets[0] < 0 or (np.diff(offsets) < 0).any():
            raise pa.ArrowInvalid("the places of a column's values are not in order")
        return pa.py_buffer(offsets - offsets[0]), int(offsets[0]) if is_first else 0, int(offsets[-1] - offsets[0])


TEXTS = (is_type.is_string, is_type.is_binary, is_type.is_large_string, is_type.is_large_binary)
LISTS = (is_type.is_list, is_type.is_large_list, is_type.is_map)
LARGE = (is_type.is_large_string, is_type.is_large_binary, is_type.is_large_list)
FIXED = (is_type.is_primitive, is_type.is_decimal, is_type.is_fixed_size_binary)


def _is_of(kind: Any, checks: Iterable[Callable[[Any], bool]]) -> bool:
    return any(check(kind) for check in checks)


def _column(kind: Any, nodes: Iterator[tuple[int, ...]], buffers: Iterator[Buffer]) -> Take:
    """What takes the values of a column, whose nodes and buffers come next."""
    kind = getattr(kind, "storage_type", kind)  # of an extension
    _, n_nulls = next(nodes)
    if is_type.is_null(kind):
        return pa.nulls
    if not (_is_of(kind, (*TEXTS, *LISTS, *FIXED)) or is_type.is_struct(kind) or is_type.is_fixed_size_list(kind)):
        raise NotInSteps
    validity = Bits(next(buffers), n_nulls > 0)
    if is_type.is_struct(kind):
        return _nested(kind, validity, [_column(kind.field(i).type, nodes, buffers) for i in range(kind.num_fields)], 1)
    if is_type.is_fixed_size_list(kind):
        return _nested(kind, validity, [_column(kind.value_type, nodes, buffers)], kind.list_size)
    if _is_of(kind, FIXED):
        return _numbers(kind, validity, next(buffers))
    offsets = Offsets(next(buffers), _is_of(kind, LARGE))
    if _is_of(kind, TEXTS):
        return _texts(kind, validity, offsets, next(buffers))
    return _lists(kind, validity, offsets, _column(_values_of(kind), nodes, buffers))


def _values_of(kind: Any) -> Any:
    """The type of what lies in a list; a map is a list of pairs."""
    return pa.struct([kind.key_field, kind.item_field]) if is_type.is_map(kind) else kind.value_type


def _nested(kind: Any, validity: Bits, fields: Sequence[Take], size: int) -> Take:
    """Structs, and lists of a fixed size: each value has so many of every field."""
    return lambda n: pa.Array.from_buffers(kind, n, [validity.take(n)], children=[take(n * size) for take in fields])


def _numbers(kind: Any, validity: Bits, data: Buffer) -> Take:
    size = kind.bit_width // 8
    bits = Bits(data, True)  # of true and false
    take = (lambda n: pa.py_buffer(data.read(n * size))) if size else bits.take
    return lambda n: pa.Array.from_buffers(kind, n, [validity.take(n), take(n)])


def _texts(kind: Any, validity: Bits, offsets: Offsets, data: Buffer) -> Take:
    def take(n: int) -> Any:
        places, n_before, n_bytes = offsets.take(n)
        data.read(n_before)
        return pa.Array.from_buffers(kind, n, [validity.take(n), places, pa.py_buffer(data.read(n_bytes))])

    return take


def _lists(kind: Any, validity: Bits, offsets: Offsets, values: Take) -> Take:
    def take(n: int) -> Any:
        places, n_before, n_values = offsets.take(n)
        if n_before:
            values(n_before)
        return pa.Array.from_buffers(kind, n, [validity.take(n), places], children=[values(n_values)])

    return take


def columns_of(name: str, raw: BinaryIO, message: Message, schema: Any) -> dict[str, Take]:
    """What takes the values of each column of a batch.

    Raises
    ------
    NotInSteps
        Where a column of it cannot be read so.
    """
    nodes = iter(message.nodes)
    file = pa.PythonFile(raw, "r")
    buffers = (Buffer(name, file, start, length, message.codec) for start, length in message.buffers)
    try:
        return {field.name: _column(field.type, nodes, buffers) for field in schema}
    except StopIteration as error:
        raise pa.ArrowInvalid("a batch has fewer buffers than its columns") from error
