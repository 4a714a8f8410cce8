"""Compressed bytes, and bytes in another encoding, as streams of plain bytes. To read another compression, name its
suffix and its first bytes in `COMPRESSIONS`.
"""

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import zstandard

from simtool.errors import SimtoolError

BLOCK = 4 << 20  # bytes of decompressed text a block
PACKED_STEP = 1 << 12  # bytes: zstd unpacks a byte to 32 kB at most, so no step makes more than 128 MB (free of cost)
ZSTD_DICTIONARY = b"\x37\xa4\x30\xec"  # how a dictionary begins; its number follows (RFC 8878, 5)
ZSTD_WINDOW = 1 << 31  # bytes: --long=31, the largest window that zstd itself reads
LARGEST_WINDOW = 256  # MB: a command then takes 0.7 GB, and with 512 MB up to 0.98 (benchmarks/bombs.py)
XZ_BESIDE = 1 << 20  # bytes that xz needs beside its dictionary: some 100 kB
FRAME_HEAD = 64  # bytes of a frame that say how large its window is


class Compression(NamedTuple):
    """How compressed bytes begin, and what reads them."""

    magic: bytes
    open: Callable[[BinaryIO], Any]


def _open_lz4(raw: BinaryIO) -> Any:
    try:
        import lz4.frame
    except ImportError as error:
        raise SimtoolError("Reading .lz4 needs the package lz4.\nInstall it: python -m pip install lz4") from error
    return lz4.frame.open(raw)


COMPRESSIONS: dict[str, Compression] = {
    "gzip": Compression(b"\x1f\x8b", gzip.open),
    "zstd": Compression(b"\x28\xb5\x2f\xfd", lambda raw: ZstdReader(raw)),
    "bzip2": Compression(b"BZh", bz2.open),
    "xz": Compression(b"\xfd7zXZ\x00", lambda raw: XzReader(raw)),
    "lz4": Compression(b"\x04\x22\x4d\x18", _open_lz4),
}
BY_SUFFIX = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bzip2", ".xz": "xz", ".lz4": "lz4"}
BROKEN = (EOFError, zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError, RuntimeError)


def zstd_dictionary(head: bytes, folder: Path) -> zstandard.ZstdCompressionDict | None:
    """The dictionary that a zstd frame was compressed with, from a file beside it that has its number; `zstd --train`
    calls it dictionary. None where it needs none, or none is there.

    Parameters
    ----------
    head
        The first bytes of the frame.
    """
    try:
        number = zstandard.get_frame_parameters(head).dict_id
    except zstandard.ZstdError:  # no frame of data: what is wrong is said when it is read
        return None
    if not number:
        return None
    for path in sorted([*folder.glob("dictionary"), *folder.glob("*.dict"), *folder.glob("*.zdict")]):
        content = path.read_bytes()
        if content.startswith(ZSTD_DICTIONARY) and int.from_bytes(content[4:8], "little") == number:
            return zstandard.ZstdCompressionDict(content)
    return None


def suffix_of(location: str) -> str:
    """The ending of a file name in lower case, looking past a compression's."""
    suffixes = Path(location.split("?")[0]).suffixes
    if suffixes and suffixes[-1].lower() in BY_SUFFIX:
        suffixes = suffixes[:-1]
    return suffixes[-1].lower() if suffixes else ""


class WindowTooLarge(OSError):
    """A frame needs more memory to be unpacked than `largest_window()`; window: in bytes."""

    def __init__(self, window: int):
        allowed = _megabytes(largest_window())
        super().__init__(f"its window of {_megabytes(window):,} MB is larger than the {allowed:,} MB that are allowed")
        self.window = window


def largest_window() -> int:
    """Bytes that a frame of zstd or xz may ask for, to look back into: --largest-window, in MB."""
    return int(os.environ.get("SIMTOOL_LARGEST_WINDOW") or LARGEST_WINDOW) << 20


def window_too_large(name: str, error: WindowTooLarge) -> SimtoolError:
    """The error for a file that needs more memory to be unpacked than is allowed."""
    advice = f"Where there is memory for it: simtool --largest-window {_megabytes(error.window)} ..."
    if error.window > ZSTD_WINDOW:
        advice = f"No window above {_megabytes(ZSTD_WINDOW):,} MB is read. Compress it again with a smaller one."
    return SimtoolError(f"{name} cannot be unpacked: {error}.\n{advice}")


def _megabytes(n_bytes: int) -> int:
    return -(-n_bytes >> 20)


class Converted(io.RawIOBase):
    """Another stream's bytes in another form. A subclass says what the next `size` bytes are (`_next`)."""

    def __init__(self, raw: BinaryIO):
        self.raw = raw

    def _next(self, size: int) -> bytes:
        """So many bytes, fewer at the end, none behind it."""
        raise NotImplementedError

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.raw.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, or what is left, without the copies of a buffered reader."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self._next(BLOCK), b""))
        return self._next(size)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class FrameReader(Converted):
    """Frames, one after another, unpacked in small steps; a last frame that stops early is an error.

    zstandard's own stream reader ends quietly there, and a truncated download would pass for a corpus. A subclass says
    how a frame is unpacked (`_new_frame`) and which window its first bytes ask for (`_window`).
    """

    kind = ""  # what a frame is called
    padding = b""  # what may stand between frames
    errors: tuple[type[Exception], str]  # of a window that is too large: its type, and a part of what it says

    def __init__(self, raw: BinaryIO):
        super().__init__(raw)
        self.ready, self.packed = memoryview(b""), memoryview(b"")
        self.head, self.frame = b"", self._new_frame()

    def _new_frame(self) -> Any:
        """What unpacks one frame."""
        raise NotImplementedError

    def _window(self) -> int:
        """Bytes of the window that the frame's head asks for."""
        raise NotImplementedError

    def _next(self, size: int) -> bytes:
        parts, n = [], 0
        while n < size:
            if not self.ready:
                unpacked = self._step()
                if unpacked is None:
                    break
                self.ready = memoryview(unpacked)
            parts.append(self.ready[: size - n])
            self.ready = self.ready[size - n :]
            n += len(parts[-1])
        return b"".join(parts)

    def _step(self) -> bytes | None:
        """What the next packed bytes hold; None at the end of the last frame."""
        packed = self._between_frames() if self.frame.eof else self._next_packed()
        if not packed:
            if not self.head or self.frame.eof:
                return None
            raise EOFError(f"it ends in the middle of {self.kind}")
        if self.frame.eof:
            self.head, self.frame = b"", self._new_frame()
        self.head += bytes(packed[: FRAME_HEAD - len(self.head)])
        try:
            return self.frame.decompress(packed)
        except self.errors[0] as error:
            if self.errors[1] not in str(error):
                raise
            # a later block of xz may ask for more than the one at the head of the stream
            raise WindowTooLarge(max(self._window(), largest_window() + 1)) from error

    def _between_frames(self) -> bytes:
        """What follows a frame, without padding."""
        packed = self.frame.unused_data.lstrip(self.padding)
        while not packed and (following := self._next_packed()):
            packed = bytes(following).lstrip(self.padding)
        return packed

    def _next_packed(self) -> memoryview:
        if not self.packed:
            self.packed = memoryview(self.raw.read(1 << 20))
        packed, self.packed = self.packed[:PACKED_STEP], self.packed[PACKED_STEP:]
        return packed


class ZstdReader(FrameReader):
    """Frames of zstd."""

    kind, errors = "a zstd frame", (zstandard.ZstdError, "requires too much memory")

    def __init__(self, raw: BinaryIO, dictionary: zstandard.ZstdCompressionDict | None = None):
        self.dictionary = dictionary
        super().__init__(raw)

    def _new_frame(self) -> Any:
        window = min(largest_window(), ZSTD_WINDOW)
        return zstandard.ZstdDecompressor(self.dictionary, max_window_size=window).decompressobj()

    def _window(self) -> int:
        return zstandard.get_frame_parameters(self.head).window_size


class XzReader(FrameReader):
    """Streams of xz, whose windows are called dictionaries there."""

    kind, padding, errors = "an xz stream", b"\0", (lzma.LZMAError, "Memory usage limit")

    def _new_frame(self) -> Any:
        return lzma.LZMADecompressor(memlimit=largest_window() + XZ_BESIDE)

    def _window(self) -> int:
        """Of LZMA2 in a block's header (The .xz File Format 1.2.1, 3.1 and 5.3.1); of .lzma in its first bytes."""
        if not self.head.startswith(COMPRESSIONS["xz"].magic):
            return int.from_bytes(self.head[1:5], "little")
        place = 14  # behind the stream's header, and the size and flags of the first block's
        for size_is_there in (0x40, 0x80):
            if self.head[13] & size_is_there:
                place += len(re.match(rb"[\x80-\xff]*.", self.head[place:], re.DOTALL)[0])
        while self.head[place] != 0x21:  # filters before it: a number, the size of what they need, that
            place += 2 + self.head[place + 1]
        bits = self.head[place + 2]
        return (2 | bits & 1) << bits // 2 + 11


class Transcoded(Converted):
    """Text in another encoding as UTF-8."""

    def __init__(self, raw: BinaryIO, encoding: str):
        super().__init__(raw)
        self.encoding, self.ready = encoding, b""
        self.decoder = codecs.getincrementaldecoder(encoding)()

    def _next(self, size: int) -> bytes:
        while not self.ready:
            chunk = self.raw.read(1 << 20)
            try:
                self.ready = self.decoder.decode(chunk, final=not chunk).encode("utf-8", "replace")
            except UnicodeDecodeError as error:
                raise OSError(f"it is not {self.encoding} ({error.reason})") from error
            if not chunk:
                break
        data, self.ready = self.ready[:size], self.ready[size:]
        return data
