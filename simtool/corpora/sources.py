"""Text from files, folders, globs and URLs: JSON lines, JSON, parquet, CSV, plain text, source trees.

A file is read as blocks of whole records, a few MB each. Shard k of n takes every n-th block (or every n-th
file where there are many), so that the shards together hold every record exactly once, whatever n is.
To read another format, write its `_blocks` function and name its suffixes in `FORMATS`.
"""

import bz2
import csv
import gzip
import hashlib
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson
import zstandard

from simtool.corpora.corpus import Corpus, Reading, Row, TextFields
from simtool.errors import SimtoolError

BLOCK = 4 << 20  # bytes of decompressed text a block
LONGEST_LINE = 64 << 20  # a longer line is not a document but a file that lost its line breaks
LONGEST_SOURCE_FILE = 1 << 20  # in a source tree: larger files are data or generated


class Block(NamedTuple):
    """Records that have been read but not parsed, because most may belong to other shards."""

    parse: Callable[[Reading], list[Row]]
    position: int  # bytes of the file, as it lies on disk, read so far


@dataclass(frozen=True)
class File:
    """One file: a local path, or a URL that fsspec opens."""

    location: str
    size: int | None
    stamp: str  # what the file system says of its version: modification time or ETag

    def open(self) -> BinaryIO:
        try:
            if "://" in self.location:
                import fsspec

                return fsspec.open(self.location, "rb", compression=None).open()
            return open(self.location, "rb")
        except OSError as error:
            raise unreadable(self.location, error) from error


@dataclass(frozen=True)
class Files:
    """Documents of one or more files, in the order of their names."""

    files: tuple[File, ...]
    label: str  # what the user asked for
    tree: bool = False  # a folder of source or text files: a file is a document

    def read(self, shard: int = 0, n_shards: int = 1, reading: Reading | None = None) -> Iterator[list[Row]]:
        reading = reading or Reading()
        by_file = len(self.files) >= 8 * n_shards
        before, turn = 0, 0
        for n, file in enumerate(self.files):
            if not by_file or n % n_shards == shard:
                for block in self._blocks(file):
                    if self.n_bytes:
                        reading.fraction = (before + block.position) / self.n_bytes
                    if by_file or turn % n_shards == shard:
                        yield block.parse(reading)
                    turn += 1
            before += file.size or 0

    def _blocks(self, file: File) -> Iterator[Block]:
        if self.tree:
            return _whole_file_blocks(file)
        return FORMATS[format_of(file.location)](file)

    def describe(self) -> str:
        if len(self.files) == 1:
            return f"file {self.files[0].location}"
        return f"{len(self.files)} files of {self.label}"

    def identity(self) -> str:
        versions = "\n".join(f"{file.location} {file.size} {file.stamp}" for file in self.files)
        return hashlib.sha256(versions.encode()).hexdigest()[:16]

    @property
    def n_bytes(self) -> int | None:
        """Size on disk, compressed as it is; None where the server does not say."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def find_files(spec: str) -> Files:
    """The files of a path, folder, glob or URL. Raises SimtoolError when there are none that can be read."""
    files = _remote_files(spec) if "://" in spec else [_local_file(path) for path in _local_paths(spec)]
    if not files:
        raise SimtoolError(f"No files match {spec!r}. Give a file, a folder, a glob in quotes, or a URL.")
    data = tuple(file for file in files if format_of(file.location) not in (None, ".txt"))
    single = len(files) == 1 and not Path(spec).is_dir()
    if single and format_of(files[0].location):
        return Files(tuple(files), spec)
    if data:
        return Files(data, spec)
    if single and not _looks_like_text(files[0]):
        raise SimtoolError(
            f"Cannot tell what {files[0].location} holds from its name.\n"
            f"Known endings: {', '.join(FORMATS)}; compressed: {', '.join(COMPRESSIONS)}."
        )
    return Files(tuple(files), spec, tree=True)


def file_corpus(spec: str, fields: str = "text") -> Corpus:
    """A corpus of the user's own files. `fields` names the field(s) that hold the text, "question,answer"."""
    return Corpus(
        name=spec,
        about="Your own files.",
        role="specialised",
        licence="yours",
        render=TextFields(fields),
        example={field.strip(): "..." for field in fields.split(",")},
        source=find_files(spec),
    )


def unreadable(location: str, error: Exception) -> SimtoolError:
    if isinstance(error, FileNotFoundError):
        return SimtoolError(f"No file {location}. Check the path.")
    return SimtoolError(f"Cannot read {location}: {getattr(error, 'strerror', None) or error}.")


def _local_paths(spec: str) -> list[Path]:
    path = Path(spec).expanduser()
    if path.is_dir():
        inside = (p for p in path.rglob("*") if p.is_file())
        return sorted(p for p in inside if not any(part.startswith(".") for part in p.relative_to(path).parts))
    if path.exists():
        return [path]
    if any(sign in spec for sign in "*?["):
        root = Path(path.anchor) if path.is_absolute() else Path()
        pattern = str(path.relative_to(path.anchor)) if path.is_absolute() else str(path)
        return sorted(p for p in root.glob(pattern) if p.is_file())
    raise SimtoolError(f"No file {spec}. Check the path.")


def _local_file(path: Path) -> File:
    status = path.stat()
    return File(str(path), status.st_size, str(status.st_mtime_ns))


def _remote_files(spec: str) -> list[File]:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(spec)
        if any(sign in path for sign in "*["):
            paths = sorted(system.glob(path))
        elif not spec.startswith("http") and system.isdir(path):
            paths = sorted(system.find(path))
        else:
            paths = [path]
        infos = [system.info(path) for path in paths]
    except ImportError as error:
        raise SimtoolError(f"Cannot open {spec}: {error}.") from error
    except (OSError, ValueError) as error:
        raise unreadable(spec, error) from error
    stamps = ("ETag", "etag", "LastModified", "mtime", "created")
    return [
        File(system.unstrip_protocol(info["name"]), info.get("size"), str([info.get(key) for key in stamps]))
        for info in infos
    ]


# ---- bytes -----------------------------------------------------------------------------------------------

COMPRESSIONS: dict[str, Callable[[BinaryIO], Any]] = {
    ".gz": gzip.open,
    ".zst": lambda raw: _ZstdReader(raw),
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
BROKEN = (EOFError, zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError)


class _ZstdReader(io.RawIOBase):
    """Frames of zstd, one after another; a last frame that stops early is an error.

    zstandard's own stream reader ends quietly there, and a truncated download would pass for a corpus.
    """

    def __init__(self, raw: BinaryIO):
        self.raw, self.frame, self.ready, self.fresh = (
            raw,
            zstandard.ZstdDecompressor().decompressobj(),
            b"",
            True,
        )

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.raw.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, without the copies of a buffered reader (490 -> 600 MB/s)."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(BLOCK), b""))
        while not self.ready:
            if self.frame.eof:
                packed = self.frame.unused_data or self.raw.read(1 << 20)
                if not packed:
                    return b""
                self.frame = zstandard.ZstdDecompressor().decompressobj()
            else:
                packed = self.raw.read(1 << 20)
                if not packed:
                    if self.fresh:
                        return b""
                    raise EOFError("it ends in the middle of a zstd frame")
            self.fresh = False
            self.ready = self.frame.decompress(packed)
        data, self.ready = self.ready[:size], self.ready[size:]
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def format_of(location: str) -> str | None:
    """The entry of FORMATS for a file name, looking past a compression suffix; None when there is none."""
    suffixes = Path(location.split("?")[0]).suffixes
    if suffixes and suffixes[-1].lower() in COMPRESSIONS:
        suffixes = suffixes[:-1]
    return suffixes[-1].lower() if suffixes and suffixes[-1].lower() in FORMATS else None


def _decompressed(file: File, raw: BinaryIO) -> Any:
    decompress = COMPRESSIONS.get(Path(file.location.split("?")[0]).suffix.lower())
    return decompress(raw) if decompress else raw


def _line_blocks(file: File) -> Iterator[tuple[int, bytes, int]]:
    """(number of the first line, bytes, position): whole lines, about BLOCK bytes at a time."""
    line, rest = 1, b""
    try:
        with file.open() as raw, _decompressed(file, raw) as stream:
            while chunk := stream.read(BLOCK):
                cut = chunk.rfind(b"\n") + 1
                if not cut:
                    rest += chunk
                    if len(rest) > LONGEST_LINE:
                        raise SimtoolError(
                            f"Line {line} of {file.location} is longer than {LONGEST_LINE >> 20} MB."
                            " One line is one document: is this a file of another format?"
                        )
                    continue
                block = b"".join((rest, memoryview(chunk)[:cut]))  # one copy, not two
                rest = chunk[cut:]
                yield line, block, raw.tell()
                line += block.count(b"\n")
    except BROKEN as error:
        raise _broken(file, error) from error
    if rest:
        yield line, rest, file.size or 0


def _broken(file: File, error: Exception) -> SimtoolError:
    if isinstance(error, EOFError):
        return SimtoolError(f"{file.location} is cut short: {error}. Fetch it again.")
    return SimtoolError(f"Cannot read {file.location}: {error}. It may be damaged or not what its name says.")


# ---- formats ---------------------------------------------------------------------------------------------


def _json_lines_blocks(file: File) -> Iterator[Block]:
    for line, block, position in _line_blocks(file):
        yield Block(partial(_parse_json_lines, file.location, line, block), position)


def _parse_json_lines(location: str, line: int, block: bytes, reading: Reading) -> list[Row]:
    lines = block.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    try:
        rows = [orjson.loads(one) for one in lines if one]
        if all(type(row) is dict for row in rows):
            return rows
    except orjson.JSONDecodeError:
        pass
    rows = []  # the slow way round, to say which line it was
    for n, one in enumerate(lines, line):
        if not one.strip():
            continue
        try:
            row = orjson.loads(one)
            problem = None if type(row) is dict else f"it is a {type(row).__name__}, not an object"
        except orjson.JSONDecodeError as error:
            problem = str(error).split(": line ")[0]
        if problem is None:
            rows.append(row)
            continue
        reading.bad(f"Line {n} of {location} is not a JSON object ({problem}).")
    return rows


def _json_blocks(file: File) -> Iterator[Block]:
    try:
        with file.open() as raw, _decompressed(file, raw) as stream:
            rows = orjson.loads(stream.read())
    except orjson.JSONDecodeError as error:
        raise SimtoolError(f"{file.location} is not JSON: {error}.") from error
    except BROKEN as error:
        raise _broken(file, error) from error
    if not isinstance(rows, list) or not all(type(row) is dict for row in rows):
        raise SimtoolError(f"{file.location} must hold a list of objects. For one object a line, name it .jsonl.")
    for start in range(0, len(rows), 1000):
        yield Block(partial(_same, rows[start : start + 1000]), file.size or 0)


def _parquet_blocks(file: File) -> Iterator[Block]:
    import pyarrow
    import pyarrow.parquet

    try:
        with file.open() as raw:
            table = pyarrow.parquet.ParquetFile(raw)
            for group in range(table.num_row_groups):
                for batch in table.iter_batches(batch_size=2_000, row_groups=[group]):
                    yield Block(partial(_rows_of, batch), raw.tell())
    except (pyarrow.ArrowException, OSError) as error:
        raise SimtoolError(f"Cannot read {file.location} as parquet: {error}.") from error


def _csv_blocks(file: File, delimiter: str = ",") -> Iterator[Block]:
    csv.field_size_limit(LONGEST_LINE)
    try:
        with file.open() as raw, _text(_decompressed(file, raw)) as stream:
            table = csv.DictReader(stream, delimiter=delimiter, strict=True)
            rows: list[tuple[int, Row]] = []
            for row in table:
                rows.append((table.line_num, row))
                if len(rows) == 2_000:
                    yield Block(partial(_whole_rows, file.location, rows), raw.tell())
                    rows = []
            yield Block(partial(_whole_rows, file.location, rows), file.size or 0)
    except UnicodeDecodeError as error:
        raise SimtoolError(f"{file.location} is not UTF-8 ({error.reason}). Convert it first.") from error
    except csv.Error as error:
        raise SimtoolError(f"{file.location}: {error} (line {table.line_num}).") from error
    except BROKEN as error:
        raise _broken(file, error) from error


def _whole_rows(location: str, rows: list[tuple[int, Row]], reading: Reading) -> list[Row]:
    complete = []
    for line, row in rows:
        # the reader files surplus cells under None, and fills missing ones with None
        if None in row or None in row.values():
            n_cells = len(row) - (None in row)
            reading.bad(f"Line {line} of {location} does not have the {n_cells} cells of the header.")
        else:
            complete.append(row)
    return complete


def _text(stream: BinaryIO) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(stream), encoding="utf-8-sig", newline="")  # type: ignore[arg-type]


def _text_blocks(file: File) -> Iterator[Block]:
    """Documents end at a blank line; in a file that has none in its first block, at the end of a line."""
    gap, carried, first = None, b"", 1
    for line, block, position in _line_blocks(file):
        block = block.replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf")
        if gap is None:
            gap = b"\n\n" if b"\n\n" in block.strip() else b"\n"
        whole, separator, rest = (carried + block).rpartition(gap)
        if separator:
            yield Block(partial(_parse_text, file.location, first, gap, whole), position)
            first = line + block.count(b"\n") - rest.count(b"\n")
        carried = rest
    if carried:
        yield Block(partial(_parse_text, file.location, first, gap or b"\n", carried), file.size or 0)


def _parse_text(location: str, line: int, gap: bytes, block: bytes, reading: Reading) -> list[Row]:
    rows = []
    for part in block.split(gap):
        if part.strip():
            try:
                rows.append({"text": _plain(part)})
            except ValueError as error:
                reading.bad(f"{location}: the text that starts on line {line} {error}.")
        line += part.count(b"\n") + len(gap)
    return rows


def _whole_file_blocks(file: File) -> Iterator[Block]:
    """A file is a document. In a tree, files that are not text (or huge) are passed over, as git would."""
    if file.size is not None and file.size > LONGEST_SOURCE_FILE and not format_of(file.location):
        return
    try:
        with file.open() as raw, _decompressed(file, raw) as stream:
            text = _plain(stream.read())
    except ValueError:
        return
    except BROKEN as error:
        raise _broken(file, error) from error
    yield Block(partial(_same, [{"text": text}]), file.size or 0)


def _plain(data: bytes) -> str:
    if b"\0" in data:
        raise ValueError("holds NUL bytes: it is not plain text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 ({error.reason} at byte {error.start})") from error


def _looks_like_text(file: File) -> bool:
    with file.open() as stream:
        start = stream.read(1 << 16)
    try:
        _plain(start[: start.rfind(b"\n") + 1] or start)
    except ValueError:
        return False
    return True


def _same(rows: list[Row], reading: Reading) -> list[Row]:
    return rows


def _rows_of(batch: Any, reading: Reading) -> list[Row]:
    return batch.to_pylist()


FORMATS: dict[str, Callable[..., Iterator[Block]]] = {
    ".jsonl": _json_lines_blocks,
    ".ndjson": _json_lines_blocks,
    ".json": _json_blocks,
    ".parquet": _parquet_blocks,
    ".csv": _csv_blocks,
    ".tsv": partial(_csv_blocks, delimiter="\t"),
    ".txt": _text_blocks,
}
