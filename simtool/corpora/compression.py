"""Compressed bytes, and bytes in another encoding, as streams of plain bytes. To read another compression, name its
suffix and its first bytes in `COMPRESSIONS`.
"""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import zstandard

from simtool.errors import SimtoolError

BLOCK = 4 << 20  # bytes of decompressed text a block
PACKED_STEP = 1 << 12  # bytes: zstd unpacks a byte to 32 kB at most, so no step makes more than 128 MB (free of cost)
ZSTD_DICTIONARY = b"\x37\xa4\x30\xec"  # how a dictionary begins; its number follows (RFC 8878, 5)
ZSTD_WINDOW = 1 << 31  # bytes of memory that a zstd frame may ask for: --long=31, the most there is


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
    "xz": Compression(b"\xfd7zXZ\x00", lzma.open),
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


class ZstdReader(io.RawIOBase):
    """Frames of zstd, one after another; a last frame that stops early is an error.

    zstandard's own stream reader ends quietly there, and a truncated download would pass for a corpus.
    """

    def __init__(self, raw: BinaryIO, dictionary: zstandard.ZstdCompressionDict | None = None):
        self.raw, self.ready, self.fresh, self.dictionary = raw, memoryview(b""), True, dictionary
        self.packed, self.frame = memoryview(b""), self._new_frame()

    def _new_frame(self) -> Any:
        return zstandard.ZstdDecompressor(self.dictionary, max_window_size=ZSTD_WINDOW).decompressobj()

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.raw.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, or what is left, without the copies of a buffered reader."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(BLOCK), b""))
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
        packed = (self.frame.unused_data if self.frame.eof else b"") or self._next_packed()
        if not packed:
            if self.fresh or self.frame.eof:
                return None
            raise EOFError("it ends in the middle of a zstd frame")
        if self.frame.eof:
            self.frame = self._new_frame()
        self.fresh = False
        return self.frame.decompress(packed)

    def _next_packed(self) -> memoryview:
        if not self.packed:
            self.packed = memoryview(self.raw.read(1 << 20))
        packed, self.packed = self.packed[:PACKED_STEP], self.packed[PACKED_STEP:]
        return packed

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Transcoded(io.RawIOBase):
    """Text in another encoding as UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str):
        self.stream, self.encoding, self.ready = stream, encoding, b""
        self.decoder = codecs.getincrementaldecoder(encoding)()

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.stream.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(BLOCK), b""))
        while not self.ready:
            chunk = self.stream.read(1 << 20)
            try:
                self.ready = self.decoder.decode(chunk, final=not chunk).encode("utf-8", "replace")
            except UnicodeDecodeError as error:
                raise OSError(f"it is not {self.encoding} ({error.reason})") from error
            if not chunk:
                break
        data, self.ready = self.ready[:size], self.ready[size:]
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
