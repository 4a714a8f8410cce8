"""A source in pieces: parts that are read by themselves and hold every record exactly once, whoever reads them.

Pieces depend on the text alone, not on how many read it, so that what is counted of them adds up on any number of
machines. JSON lines are cut at bytes, zstd between frames, parquet between row groups; only that part of the file is
read. What leads in from its beginning alone (gzip, one zstd frame, CSV, plain text) is one piece. Small files are read
together.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import zstandard

from simtool.corpora.compression import BROKEN
from simtool.corpora.files import File, Span, broken, compression_of

LARGEST, SMALLEST = 256 << 20, 8 << 20  # bytes on disk
N_PIECES = 64  # of what lies between: enough for the workers of one machine to end together


def piece_bytes(n_bytes: int | None) -> int:
    """How large the pieces of a source of that size are."""
    return min(max((n_bytes or 0) // N_PIECES, SMALLEST), LARGEST)


def spans_of(file: File, form: str, size: int) -> list[File]:
    """The file as parts of about `size` bytes that can be read by themselves; itself where there are none.

    Parameters
    ----------
    form
        A key of `formats.FORMATS`.
    """
    if form == "parquet":
        spans = _in_runs("row groups", _row_groups(file), size)
    elif form != "jsonl" or file.encoding:  # lines are looked for in UTF-8
        return [file]
    elif (compression := compression_of(file)) is None and file.size is not None:
        spans = [
            Span("bytes", start, min(start + size, file.size), min(size, file.size - start))
            for start in range(0, file.size, size)
        ]
    elif compression == "zstd" and not file.is_remote:  # at a distance each frame would cost a request
        spans = _in_runs("frames", list(_zstd_frames(file)), size)
    else:
        return [file]
    return [replace(file, span=span) for span in spans] if len(spans) > 1 else [file]


def _in_runs(unit: Any, sizes: list[int], size: int) -> list[Span]:
    """Neighbours together, until a run has `size` bytes. Frames are counted in bytes, row groups by number."""
    spans: list[Span] = []
    start = place = n_bytes = 0
    for i, part in enumerate(sizes, 1):
        place, n_bytes = (i if unit == "row groups" else place + part), n_bytes + part
        if n_bytes >= size or i == len(sizes):
            spans.append(Span(unit, start, place, n_bytes))
            start, n_bytes = place, 0
    return spans


def _row_groups(file: File) -> list[int]:
    """Bytes of each row group of a parquet file."""
    from simtool.corpora.formats import parquet_file

    with parquet_file(file) as (table, _):
        groups = (table.metadata.row_group(n) for n in range(table.num_row_groups))
        return [sum(group.column(c).total_compressed_size for c in range(group.num_columns)) for group in groups]


def _zstd_frames(file: File) -> Iterator[int]:
    """Bytes of each frame, from the headers of its blocks (RFC 8878, 3.1): nothing is decompressed."""
    try:
        with file.open() as raw:
            start = 0
            while head := raw.read(18):  # of a frame's header: 18 bytes at most
                raw.seek(_frame_end(raw, start, head))
                yield raw.tell() - start
                start = raw.tell()
    except BROKEN as error:
        raise broken(file, error) from error


def _frame_end(raw: Any, start: int, head: bytes) -> int:
    """Where the frame that begins at `start` ends."""
    if int.from_bytes(head[:4], "little") & 0xFFFFFFF0 == 0x184D2A50:  # skippable
        return start + 8 + int.from_bytes(head[4:8], "little")
    place, last = start + zstandard.frame_header_size(head), False
    while not last:
        raw.seek(place)
        header = raw.read(3)
        if len(header) < 3:
            raise EOFError("it ends in the middle of a zstd frame")
        block = int.from_bytes(header, "little")
        last, kind, n_bytes = bool(block & 1), block >> 1 & 3, block >> 3
        place += 3 + (1 if kind == 1 else n_bytes)  # kind 1: one byte, repeated
    return place + 4 * zstandard.get_frame_parameters(head).has_checksum


def in_groups(files: Iterable[File], size: int) -> Iterator[list[File]]:
    """Neighbours together, as long as they have `size` bytes at most."""
    group: list[File] = []
    n_bytes = 0
    for file in files:
        if group and (file.n_bytes is None or n_bytes + file.n_bytes > size):
            yield group
            group, n_bytes = [], 0
        group.append(file)
        n_bytes += size if file.n_bytes is None else file.n_bytes
    if group:
        yield group
