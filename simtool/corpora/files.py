"""Files as bytes: where they lie, which version they are, and what they hold once decompressed.

A pipe (`<(...)`, `/dev/stdin`, `-`) can be read only once, so it is copied to a temporary file first and read from
there as often as needed. Compressed bytes: `compression`; zip and tar: `archives`.
"""

import atexit
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from http.client import responses
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import xxhash
import zstandard

from simtool.addresses import without_home, without_secrets
from simtool.corpora.compression import (
    BLOCK,
    BROKEN,
    BY_SUFFIX,
    COMPRESSIONS,
    Transcoded,
    WindowTooLarge,
    ZstdReader,
    window_too_large,
    zstd_dictionary,
)
from simtool.corpora.limits import longest_document, too_long
from simtool.corpora.remote import RemoteFile, file_system, repeated, status_of
from simtool.errors import SimtoolError

HEAD = 1 << 16  # bytes that tell what a file holds
HASHED_WHOLE = 64 << 20  # bytes; of a larger file so many are hashed, in pieces spread evenly (64 MB take 15 ms)
PIECES = 64
PINNED = re.compile(r"hf://[^@]+@[0-9a-f]{40}/")
STAMPS = (  # what servers and fsspec's file systems say of a version
    "ETag", "etag", "Last-Modified", "LastModified", "last_modified", "mtime", "modified", "updated", "created",
    "blob_id", "sha", "CRC",
)  # fmt: skip


class Span(NamedTuple):
    """A part of a file that is read by itself.

    start, stop   where it lies, in row groups of parquet, else in bytes on disk; frames are those of zstd
    n_bytes       its size on disk
    """

    unit: Literal["bytes", "frames", "row groups"]
    start: int
    stop: int
    n_bytes: int

    def __str__(self) -> str:
        return f"{self.unit} {self.start}-{self.stop}"


@dataclass(frozen=True)
class File:
    """One file: a local path, or a URL that fsspec opens.

    stamp      what the file system or server says of its version: ETag, time of its last change
    label      what it is called where it is not called by its location: a pipe that was copied
    span       the part of it that is read; None: all
    encoding   of its text, where that is declared; "": UTF-8
    is_sparing whether the reading may end anywhere: of a remote parquet file little is fetched before it is needed
    """

    location: str
    size: int | None
    stamp: str
    label: str = ""
    span: Span | None = None
    encoding: str = ""
    is_sparing: bool = False

    @property
    def name(self) -> str:
        """What the user knows it by, without secrets of its URL and without the home folder."""
        return without_home(without_secrets(self.label or self.location))

    @property
    def whole(self) -> "File":
        """The file, of which this may be a part."""
        return replace(self, span=None, is_sparing=False)

    @property
    def n_bytes(self) -> int | None:
        """What is read of it, as it lies on disk; None where that is not known."""
        return self.span.n_bytes if self.span else self.size

    @property
    def is_remote(self) -> bool:
        """Whether it is a URL."""
        return "://" in self.location

    @property
    def is_pinned(self) -> bool:
        """Whether it is named with a commit of the hub: nothing changes it."""
        return bool(PINNED.match(self.location))

    def open(self, ahead: int | None = None) -> BinaryIO:
        """The bytes as they lie on disk.

        Parameters
        ----------
        ahead
            Bytes that are fetched of a remote file behind those that are asked for. None: as its file system does it,
            5 MB mostly, for readers that ask for little at a time; 0: none, for readers that ask for long ranges.

        Raises
        ------
        SimtoolError
            Where the file cannot be opened.
        """
        try:
            return open(self.location, "rb") if not self.is_remote else self._open_remote(ahead)
        except OSError as error:
            raise unreadable(self.name, error) from error

    def _open_remote(self, ahead: int | None) -> BinaryIO:
        system, path = file_system(self.location)
        how: dict[str, Any] = {"size": self.size} if self.is_pinned else {}  # else its folder is listed to know it
        if ahead is not None:
            how |= {"cache_type": "readahead", "block_size": ahead} if ahead else {"cache_type": "none"}
        if self.location.startswith("hf://"):  # whose client repeats requests
            return system.open(path, "rb", **how)
        opened = partial(self._checked, partial(system.open, path, "rb", **how))
        return RemoteFile(opened, partial(unreadable, self.name))  # type: ignore[return-value]

    def _checked(self, opened: Callable[[], Any]) -> Any:
        """A remote file that is opened, of the size that it was found with."""
        file = opened()
        if self.size is not None and (size := getattr(file, "size", None)) not in (None, self.size):
            raise ConnectionError(f"the server says that it has {size:,} bytes, and said {self.size:,} before")
        return file

    def check_unchanged(self) -> None:
        """The file is still the version that was found when its reading began.

        Raises
        ------
        SimtoolError
            Where it is not: what was read would be a mixture of two texts.
        """
        if self.is_pinned:
            return
        try:
            now = remote_file(self.location) if self.is_remote else local_file(Path(self.location))
        except OSError as error:
            raise unreadable(self.name, error) from error
        if (now.size, now.stamp) != (self.size, self.stamp):
            raise SimtoolError(
                f"{self.name} changed while it was read.\n"
                "Repeat the command when nothing writes to it, or copy it and name the copy."
            )

    def identity(self) -> str:
        """Changes when the bytes may have changed: location, size, stamp, and a hash of the content (of URLs: their
        ETag or the time of their last change stands for it)."""
        location = self.location if self.is_remote else os.path.abspath(self.location)
        version = f"{self.size} {'' if self.label else self.stamp} {self.content()}"
        return " ".join(filter(None, [without_secrets(self.label or location), version, self.encoding]))

    def content(self) -> str:
        """A hash of the bytes, wherever they lie; of more than HASHED_WHOLE bytes, of pieces spread evenly."""
        return "" if self.is_remote else _content_hash(os.path.abspath(self.location), self.size, self.stamp)


@cache
def _content_hash(location: str, size: int | None, stamp: str) -> str:
    digest = xxhash.xxh3_128(str(size).encode())
    try:
        with open(location, "rb") as stream:
            if size is None or size <= HASHED_WHOLE:
                while chunk := stream.read(BLOCK):
                    digest.update(chunk)
            else:
                piece = HASHED_WHOLE // PIECES
                for n in range(PIECES):
                    stream.seek((size - piece) * n // (PIECES - 1))
                    digest.update(stream.read(piece))
    except OSError as error:
        raise unreadable(location, error) from error
    return digest.hexdigest()


def unreadable(location: str, error: Exception) -> SimtoolError:
    """The error for a file that cannot be opened."""
    location = without_secrets(location)
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception) and status_of(cause) not in (404, 410):
        error = cause  # fsspec calls a server that does not answer a file that is not there
    if isinstance(error, FileNotFoundError):
        return SimtoolError(f"No file {location}. Check the path.")
    if (status := status_of(error)) is not None:
        phrase = responses.get(status, "which is no status of HTTP")
        return SimtoolError(f"Cannot read {location}: the server answered {status}, {phrase}.")
    number = getattr(error, "errno", None) or 0  # of aiohttp "Connect call failed ('127.0.0.1', 1)"; below 0: of names
    reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or without_secrets(str(error))
    return SimtoolError(f"Cannot read {location}: {reason}.")


def remote_file(location: str) -> File:
    """The file of a URL, in the version that its server has now. A server that says of no version is read once, and
    what came stands for it."""
    system, path = file_system(location)
    info = repeated(lambda: system.info(path))
    return listed_file(system, info) if any(_stamps(info)) else spooled(location)


def listed_file(system: Any, info: Mapping[str, Any]) -> File:
    """A file as a file system of fsspec lists it."""
    return File(system.unstrip_protocol(info["name"]), info.get("size"), str(_stamps(info)))


def _stamps(info: Mapping[str, Any]) -> list[Any]:
    return [info.get(name) for name in STAMPS]


def local_file(path: Path, label: str = "") -> File:
    """A file of this machine."""
    status = path.stat()
    return File(str(path), status.st_size, str(status.st_mtime_ns), label)


# ---- pipes -----------------------------------------------------------------------------------------------


def is_pipe(spec: str) -> bool:
    """Whether a path can be read only once: "-", /dev/stdin, a process substitution, a named pipe."""
    if spec == "-" or spec.startswith(("/dev/fd/", "/dev/stdin", "/proc/self/fd/")):
        return True
    try:
        return stat.S_ISFIFO(os.stat(os.path.expanduser(spec)).st_mode)
    except (OSError, ValueError):
        return False


@cache
def spooled(spec: str) -> File:
    """The bytes of a pipe, or of a URL, as a file that is gone when this process ends."""
    handle, name = tempfile.mkstemp(prefix="simtool-pipe-")
    atexit.register(Path(name).unlink, missing_ok=True)
    try:
        with os.fdopen(handle, "wb") as copy:
            if "://" in spec:
                with File(spec, None, "").open() as stream:
                    shutil.copyfileobj(stream, copy, BLOCK)
            elif spec in ("-", "/dev/stdin"):
                shutil.copyfileobj(sys.stdin.buffer, copy, BLOCK)
            else:
                with open(os.path.expanduser(spec), "rb") as pipe:
                    shutil.copyfileobj(pipe, copy, BLOCK)
    except OSError as error:
        raise unreadable(spec, error) from error
    return local_file(Path(name), label=spec)


# ---- what they hold ---------------------------------------------------------------------------------------


def compression_of(file: File) -> str | None:
    """The key of COMPRESSIONS by the first bytes; a name that promises one where the bytes are another is an error
    when they are read."""
    named = BY_SUFFIX.get(Path(file.location.split("?")[0]).suffix.lower())
    if named or file.is_remote:
        return named
    with file.open() as stream:
        start = stream.read(8)
    return next((name for name, kind in COMPRESSIONS.items() if start.startswith(kind.magic)), None)


@cache
def _dictionary_of(location: str) -> zstandard.ZstdCompressionDict | None:
    with open(location, "rb") as stream:
        return zstd_dictionary(stream.read(18), Path(location).parent)  # a frame's header has 18 bytes at most


def decompressed(file: File, raw: BinaryIO) -> Any:
    """The bytes of a file that has been opened, decompressed where they are compressed, in UTF-8 where that is not
    their declared encoding."""
    kind = compression_of(file)
    if kind == "zstd" and not file.is_remote:
        stream: Any = ZstdReader(raw, _dictionary_of(file.location))
    else:
        stream = COMPRESSIONS[kind].open(raw) if kind else raw
    return Transcoded(stream, file.encoding) if file.encoding else stream


def broken(file: File, error: Exception) -> SimtoolError:
    """The error for bytes that stop early or are not what they should be."""
    if isinstance(error, EOFError):
        return SimtoolError(f"{file.name} is cut short: {error}. Fetch it again.")
    if isinstance(error, WindowTooLarge):
        return window_too_large(file.name, error)
    if "Dictionary" in str(error) or "dictionary" in str(error):
        return SimtoolError(
            f"{file.name} was compressed with a dictionary that is not beside it.\n"
            "Put it there as dictionary or NAME.dict, or decompress the file first: zstd -d -D DICTIONARY."
        )
    return SimtoolError(f"Cannot read {file.name}: {error}. It may be damaged or not what its name says.")


def head_of(file: File, n_bytes: int = HEAD) -> bytes:
    """The first bytes, decompressed: what a file holds is read off them."""
    try:
        with file.open(ahead=n_bytes) as raw, decompressed(file, raw) as stream:
            head = b""
            while len(head) < n_bytes and (chunk := stream.read(n_bytes - len(head))):
                head += chunk
            return head
    except BROKEN as error:
        raise broken(file, error) from error


def whole_content(file: File, times: int = 1) -> bytes:
    """All bytes of a file, unpacked.

    Parameters
    ----------
    times
        How often the longest document it may be.

    Raises
    ------
    SimtoolError
        Where it is longer, or broken.
    """
    content = bytearray()
    try:
        with file.open() as raw:
            for chunk in _chunks(file, raw, BLOCK):
                content += chunk
                if len(content) > times * longest_document():
                    what = f"{file.name}, which can only be read whole," if times > 1 else file.name
                    raise too_long(what, "JSON lines are read line by line." if times > 1 else "Is it text?")
    except BROKEN as error:
        raise broken(file, error) from error
    return bytes(content)


class Bounded:
    """The next n bytes of an open file, as a file of their own."""

    def __init__(self, raw: BinaryIO, n_bytes: int):
        self.raw, self.left = raw, n_bytes

    def read(self, size: int) -> bytes:
        data = self.raw.read(min(size, self.left))
        self.left -= len(data)
        return data

    def close(self) -> None:
        """The file stays open: what follows may be read too."""


def _chunks(file: File, raw: Any, size: int) -> Iterator[bytes]:
    stream = decompressed(file, raw)
    while chunk := stream.read(size):
        yield chunk


def _chunks_of_span(file: File, span: Span, raw: BinaryIO) -> Iterator[bytes]:
    """From behind the first line break of a span to the first one behind its end: each line is in one span only."""
    raw.seek(span.start)
    begun = span.start == 0
    for chunk in _chunks(file, Bounded(raw, span.stop - span.start), BLOCK):
        if begun:
            yield chunk
        elif cut := chunk.find(b"\n") + 1:
            begun = True
            yield chunk[cut:]
    if not begun:
        return  # all of it is inside one line, which began before
    for chunk in _chunks(file, raw, 1 << 16):
        cut = chunk.find(b"\n") + 1
        yield chunk[: cut or None]
        if cut:
            return


def line_blocks(file: File) -> Iterator[tuple[int, bytes, int]]:
    """(number of the first line, bytes, position): whole lines, about BLOCK bytes at a time. Lines and position are
    counted from where the span begins."""
    line, rest = 1, b""
    try:
        with file.open(ahead=0 if file.span else None) as raw:
            start = file.span.start if file.span else 0
            for chunk in _chunks_of_span(file, file.span, raw) if file.span else _chunks(file, raw, BLOCK):
                cut = chunk.rfind(b"\n") + 1
                if not cut:
                    rest += chunk
                    if len(rest) > longest_document():
                        raise too_long(f"Line {line} of {file.name}", "Is this a file of another format?")
                    continue
                block = [b"".join((rest, memoryview(chunk)[:cut]))]  # one copy, not two
                rest = chunk[cut:]
                yield line, block.pop(), raw.tell() - start  # not held while it is counted
                line += chunk.count(b"\n", 0, cut)
    except BROKEN as error:
        raise broken(file, error) from error
    if rest:
        yield line, rest, file.n_bytes or 0
