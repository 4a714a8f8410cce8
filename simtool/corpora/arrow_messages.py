"""Messages of Arrow files and streams, as far as it takes to know how large a batch becomes before it is unpacked.

A batch's head says where its buffers lie, and the first 8 bytes of a compressed one how long it is unpacked (Arrow
columnar format 1.5, "IPC"; the tables of FlatBuffers are those of Message.fbs and File.fbs).
"""

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

CODECS = {0: "lz4", 1: "zstd"}
MARK = b"\xff\xff\xff\xff"  # in front of the length of a message; files before Arrow 0.15 lack it
LARGEST_HEAD = 1 << 28  # bytes
DICTIONARY, BATCH = 2, 3  # kinds of messages


@dataclass(frozen=True)
class FlatTable:
    """A table of FlatBuffers: a value by its number in the schema, 0 or nothing where it has none."""

    data: bytes
    at: int

    @classmethod
    def root(cls, data: bytes) -> "FlatTable":
        return cls(data, *struct.unpack_from("<I", data))

    def _place(self, number: int) -> int | None:
        names = self.at - struct.unpack_from("<i", self.data, self.at)[0]
        if 4 + 2 * number >= struct.unpack_from("<H", self.data, names)[0]:
            return None
        offset = struct.unpack_from("<H", self.data, names + 4 + 2 * number)[0]
        return self.at + offset if offset else None

    def _target(self, number: int) -> int | None:
        place = self._place(number)
        return None if place is None else place + struct.unpack_from("<I", self.data, place)[0]

    def integer(self, number: int, form: str) -> int:
        place = self._place(number)
        return 0 if place is None else struct.unpack_from(form, self.data, place)[0]

    def table(self, number: int) -> "FlatTable | None":
        target = self._target(number)
        return None if target is None else FlatTable(self.data, target)

    def structs(self, number: int, form: str) -> list[tuple[int, ...]]:
        target = self._target(number)
        if target is None:
            return []
        size = struct.calcsize(form) * struct.unpack_from("<I", self.data, target)[0]
        return [*struct.iter_unpack(form, self.data[target + 4 : target + 4 + size])]


@dataclass(frozen=True)
class Message:
    """The head of a message.

    body, end   where its body begins and ends
    n_rows      of a batch, or of the values of a dictionary
    nodes       (values, nulls) of each column, and of what lies in it
    buffers     (where in the file, length) of each
    codec       what they are compressed with; None: they are not
    """

    kind: int
    end: int
    n_rows: int = 0
    nodes: tuple[tuple[int, ...], ...] = ()
    buffers: tuple[tuple[int, ...], ...] = ()
    codec: str | None = None

    @classmethod
    def of(cls, head: FlatTable, body: int) -> "Message | None":
        """The message with this head; None where it says of itself what cannot be."""
        kind, header, length = head.integer(1, "<B"), head.table(2), head.integer(3, "<q")
        batch = header and (header.table(1) if kind == DICTIONARY else header if kind == BATCH else None)
        if batch is None:
            return cls(kind, body + length) if header and length >= 0 else None
        buffers = [(body + start, size) for start, size in batch.structs(2, "<qq") if start >= 0 <= size]
        packing = batch.table(3)
        codec = CODECS.get(packing.integer(0, "<b")) if packing else None
        is_whole = length >= 0 and len(buffers) == len(batch.structs(2, "<qq")) and bool(codec) == bool(packing)
        n_rows, nodes = batch.integer(0, "<q"), tuple(batch.structs(1, "<qq"))
        return cls(kind, body + length, n_rows, nodes, tuple(buffers), codec) if is_whole else None


def message_at(raw: BinaryIO, place: int) -> Message | None:
    """The message that begins at a place; None where there is none: pyarrow says what is wrong with it. The position of
    `raw` stays as it is."""
    before = raw.tell()
    try:
        raw.seek(place)
        start = raw.read(4)
        mark, length = (8, raw.read(4)) if start == MARK else (4, start)
        size = struct.unpack("<i", length)[0]
        head = raw.read(size) if 0 < size <= LARGEST_HEAD else b""
        return Message.of(FlatTable.root(head), place + mark + size) if len(head) == size else None
    except struct.error:
        return None
    finally:
        raw.seek(before)


def footer_blocks(raw: BinaryIO) -> tuple[list[int], list[int]]:
    """Where the dictionaries and the batches of an Arrow file begin; none where its footer cannot be read."""
    before = raw.tell()
    try:
        end = raw.seek(-10, io.SEEK_END)
        size = struct.unpack("<i", raw.read(4))[0]
        raw.seek(end - size)
        footer = FlatTable.root(raw.read(size))
        dictionaries, batches = (footer.structs(number, "<qi4xq") for number in (2, 3))
        return [place for place, *_ in dictionaries], [place for place, *_ in batches]
    except (struct.error, OSError, ValueError):
        return [], []
    finally:
        raw.seek(before)


def unpacked_bytes(raw: BinaryIO, message: Message) -> int:
    """What the buffers of a batch take in memory, as they say it themselves."""
    if message.codec is None:
        return sum(length for _, length in message.buffers)
    before, n_bytes = raw.tell(), 0
    for start, length in message.buffers:
        if length >= 8:
            raw.seek(start)
            size = struct.unpack("<q", raw.read(8).ljust(8, b"\0"))[0]
            n_bytes += length - 8 if size < 0 else size  # -1: it lies there as it is
    raw.seek(before)
    return n_bytes
