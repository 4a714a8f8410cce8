"""Ranges of a remote parquet file, fetched as pyarrow asks for them: column by column, each from its beginning on.

pyarrow reads the header of a page and then the page. What is fetched for a header reaches further: by STEP bytes where
all will be read, so that there are few requests, and by a part of what was fetched of the column before where the
reading may end anywhere, so that hardly more comes than pages that are read. No range reaches into another column. What
such a reading fetched is remembered for a while: a sample follows the look at its first rows.
"""

import io
from bisect import bisect_right
from collections.abc import Hashable, Iterable
from typing import Any

STEP = 2 << 20  # bytes
FIRST_STEP = 1 << 17
SHARE = 0.25  # of what was fetched of a column before
MOST_REMEMBERED = 32 << 20

_remembered: dict[tuple[Hashable, int], bytes] = {}  # by file and first byte, the oldest first


class Steps(io.RawIOBase):
    """A file that is opened without readahead, for pyarrow.

    Parameters
    ----------
    raw
        Open, with `read` and `seek`.
    chunks
        (first byte, the one behind the last) of each column of each row group.
    file
        What its bytes are remembered under.
    is_sparing
        Whether the reading may end anywhere.
    """

    def __init__(self, raw: Any, chunks: Iterable[tuple[int, int]], file: Hashable, is_sparing: bool):
        self.raw, self.file, self.is_sparing = raw, file, is_sparing
        self.chunks = sorted(chunks)
        self.windows: dict[int, tuple[int, memoryview]] = {}  # by chunk: what was fetched last, and where it begins
        self.place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = self.raw.seek(offset, whence)
        return self.place

    def read(self, size: int = -1) -> bytes:
        n = bisect_right(self.chunks, (self.place, float("inf"))) - 1
        is_inside = n >= 0 and 0 <= size <= self.chunks[n][1] - self.place
        data = self._read_of_chunk(n, size) if is_inside else self._fetch(self.place, size)
        self.place += len(data)
        return data

    def _read_of_chunk(self, n: int, size: int) -> bytes:
        first, stop = self.chunks[n]
        start, data = self.windows.get(n, (self.place, memoryview(b"")))
        if not start <= self.place <= start + len(data):
            start, data = self.place, memoryview(b"")
        end, least = start + len(data), self.place + size - start - len(data)
        if least > 0:
            new = self._fetched(end, self._step(end - first, least, stop - end), least)
            start, data = self.place, memoryview(b"".join((data[self.place - start :], new)))
            self.windows[n] = start, data
        return bytes(data[self.place - start :][:size])

    def _step(self, n_before: int, least: int, most: int) -> int:
        """How much is fetched; what would remain of a column comes along where it is little."""
        share = int(SHARE * n_before) if self.is_sparing else STEP
        size = max(least, FIRST_STEP, min(share, STEP))
        return most if most - size <= FIRST_STEP else size

    def _fetched(self, start: int, n_bytes: int, least: int) -> bytes:
        """So many bytes, or what is remembered from there on, if that is enough."""
        data = _remembered.get((self.file, start), b"")
        if len(data) >= least and data:
            return data
        data = self._fetch(start, n_bytes)
        if self.is_sparing:
            _remember((self.file, start), data)
        return data

    def _fetch(self, start: int, n_bytes: int) -> bytes:
        self.raw.seek(start)
        return self.raw.read(n_bytes)


def _remember(key: tuple[Hashable, int], data: bytes) -> None:
    _remembered[key] = data
    n_bytes = sum(map(len, _remembered.values()))
    while n_bytes > MOST_REMEMBERED:
        n_bytes -= len(_remembered.pop(next(iter(_remembered))))


def forget() -> None:
    """Remember nothing."""
    _remembered.clear()
