"""Small files that unpack to many GB, each read by a command of its own: python -m benchmarks.bombs

Read is `simtool matrix BOMB gsm8k`, in one process. What comes of it is a message or a matrix, and the peak of its
memory is to stay below PEAK. To add a bomb, write a function that fills a path and returns the bytes that it unpacks
to, and name it in BOMBS by the file's name.
"""

import argparse
import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

MB, GB = 1 << 20, 1 << 30
PEAK = 1_000  # MB
ADDRESS_SPACE = 12 * GB  # of the command, so that no bomb takes the machine's memory
SECONDS = 900
LINE = json.dumps({"text": "ab " * 340}).encode() + b"\n"
Filler = Callable[[Path], int]

# ---- compressed text ---------------------------------------------------------------------------------------


def zstd_stream(path: Path, **parameters: Any) -> AbstractContextManager[Any]:
    compressor = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(3, **parameters)
    )
    return compressor.stream_writer(path.open("wb"))


def lz4_stream(path: Path) -> AbstractContextManager[Any]:
    import lz4.frame

    return lz4.frame.open(path, "wb")


def xz_stream(path: Path, dictionary: int = 4 * MB) -> AbstractContextManager[Any]:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": dictionary}]
    return lzma.open(path, "wb", filters=filters)


STREAMS: dict[str, Callable[[Path], AbstractContextManager[Any]]] = {
    ".zst": zstd_stream,
    ".gz": partial(gzip.open, mode="wb", compresslevel=6),
    ".xz": xz_stream,
    ".lz4": lz4_stream,
}


def written(chunks: Iterable[bytes], stream: AbstractContextManager[Any]) -> int:
    """The bytes that went into a stream, which is closed."""
    n_bytes = 0
    with stream as file:
        for chunk in chunks:
            file.write(chunk)
            n_bytes += len(chunk)
    return n_bytes


def long_line(n_bytes: int, start: bytes = b'{"text": "', end: bytes = b'"}\n') -> Iterator[bytes]:
    """One line of so many bytes."""
    yield start
    yield from [b"a" * MB] * (n_bytes // MB)
    yield end


def short_lines(n_bytes: int) -> Iterator[bytes]:
    """Ordinary lines of 1 kB."""
    block = LINE * (MB // len(LINE))
    yield from [block] * (n_bytes // len(block))


def repeated(n_bytes: int, item: bytes, start: bytes, end: bytes) -> Iterator[bytes]:
    """A value of JSON, or a row of a table, that holds so many bytes of one item after another."""
    block = item * (MB // len(item))
    yield start
    yield from [block] * (n_bytes // len(block))
    yield end


def packed(chunks: Callable[[], Iterable[bytes]]) -> Filler:
    """Fills a path with bytes, compressed as its name says."""
    return lambda path: written(chunks(), STREAMS[path.suffix](path))


def bzip2_streams(path: Path) -> int:
    """Streams one behind another: to compress that much of one text takes bzip2 many minutes."""
    block = LINE * (MB // len(LINE))
    path.write_bytes(bz2.compress(block) * 1_000)
    return 1_000 * len(block)


def in_window(log: int, chunks: Callable[[], Iterable[bytes]]) -> Filler:
    """Fills a path with a frame of zstd whose window has 2**log bytes."""
    return lambda path: written(chunks(), zstd_stream(path, window_log=log, enable_ldm=True, write_content_size=False))


def in_dictionary(n_bytes: int, chunks: Callable[[], Iterable[bytes]]) -> Filler:
    """Fills a path with a stream of xz whose dictionary has so many bytes."""
    return lambda path: written(chunks(), xz_stream(path, n_bytes))


# ---- containers ---------------------------------------------------------------------------------------------


def zip_of_lines(path: Path, method: int = zipfile.ZIP_DEFLATED) -> int:
    with zipfile.ZipFile(path, "w", method) as archive, archive.open("a.jsonl", "w") as file:
        return sum(file.write(chunk) for chunk in short_lines(GB // 2))


def tar_of_lines(path: Path) -> int:
    content = b"".join(short_lines(GB // 4))
    with lzma.open(path, "wb", preset=0) as file, tarfile.open(fileobj=file, mode="w|") as archive:
        member = tarfile.TarInfo("a.jsonl")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return len(content)


def folder_of_files(path: Path) -> int:
    """A folder of source files that are compressed: each is one document."""
    path.mkdir()
    return sum(written(long_line(GB, b"x = '", b"'\n"), zstd_stream(path / f"{n}.py.zst")) for n in range(4))


def parquet_table(path: Path, cell_bytes: int, n_rows: int, dictionary: bool) -> int:
    """Cells of one text, in one row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = pa.array(["ab " * (cell_bytes // 3)])
    column: Any = pa.chunked_array([values] * n_rows)
    if dictionary:
        column = pa.DictionaryArray.from_arrays(pa.array([0] * n_rows, pa.int32()), values)
    pq.write_table(pa.table({"text": column}), path, n_rows, compression="zstd", use_dictionary=dictionary)
    return cell_bytes * n_rows


def false_footer(path: Path) -> int:
    """2,000 cells of 1 MB, of which the footer says that they have 1 kB together."""
    from benchmarks.parquet_footers import says_little, with_columns_changed

    n_bytes = parquet_table(path, MB, 2_000, dictionary=False)
    path.write_bytes(with_columns_changed(path.read_bytes(), says_little))
    return n_bytes


def rare_cell(path: Path, cell_bytes: int) -> int:
    """One long cell among 4,000 short ones."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    short = [f"a text of {n} words" for n in range(2_000)]
    texts = pa.array([*short, "ab " * (cell_bytes // 3), *short], pa.large_string())
    pq.write_table(pa.table({"text": texts}), path, 4_001, compression="zstd", use_dictionary=False)
    return cell_bytes


def arrow_file(path: Path, cell_bytes: int, n_rows: int, kind: str = "large_string") -> int:
    """Cells of one text, in one compressed batch; in a dictionary, the texts of which differ."""
    import pyarrow as pa

    text = "ab " * (cell_bytes // 3)
    if kind == "dictionary":
        texts = pa.array((f"{n} {text}" for n in range(n_rows)), pa.large_string())
        values: Any = pa.DictionaryArray.from_arrays(pa.array(range(n_rows), pa.int32()), texts)
    else:
        values = pa.array([text] * n_rows, pa.type_for_alias(kind))
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    batch = pa.record_batch([values], ["text"])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return cell_bytes * n_rows


def web_archive(path: Path) -> int:
    """One page of 2 GB."""
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><body><p>"
    n_bytes = 2 * GB + len(body)
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a/\r\nWARC-Date: 2020-01-01T00:00:00Z\r\n"
        "WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {n_bytes}\r\n\r\n"
    ).encode()
    return written(long_line(2 * GB, head + body, b"\r\n\r\n"), STREAMS[".gz"](path))


TURN = b'{"role":"user","content":"a"}'
LONG, MANY = partial(long_line, 8 * GB), partial(short_lines, 2 * GB)
WHOLE = partial(long_line, 2 * GB, b'[{"text": "', b'"}]')
TEXT, TABLE = partial(long_line, 2 * GB, b"", b"\n"), partial(long_line, 2 * GB, b"text\n", b"\n")
QUOTED = partial(long_line, 2 * GB, b'text\n"', b'"\n')
BOMBS: dict[str, Filler] = {
    "one.jsonl.zst": packed(LONG),
    "many.jsonl.zst": packed(MANY),
    "one.json.zst": packed(WHOLE),
    "one.txt.zst": packed(TEXT),
    "one.csv.zst": packed(TABLE),
    "quoted.csv.zst": packed(QUOTED),
    "plain.zst": packed(TEXT),
    "main.py.zst": packed(TEXT),
    "one.jsonl.gz": packed(partial(long_line, GB)),
    "many.jsonl.gz": packed(partial(short_lines, GB)),
    "one.json.gz": packed(WHOLE),
    "one.txt.gz": packed(TEXT),
    "one.csv.gz": packed(TABLE),
    "main.py.gz": packed(TEXT),
    "one.jsonl.xz": packed(partial(long_line, GB)),
    "one.json.xz": packed(WHOLE),
    "main.py.xz": packed(TEXT),
    "many.jsonl.bz2": bzip2_streams,
    "many.jsonl.lz4": packed(partial(short_lines, GB)),
    "window-256MB.jsonl.zst": in_window(28, partial(short_lines, 2 * GB)),
    "window-2GB.jsonl.zst": in_window(31, partial(short_lines, 3 * GB)),
    "dictionary-256MB.jsonl.xz": in_dictionary(256 * MB, partial(short_lines, GB)),
    "dictionary-1GB.jsonl.xz": in_dictionary(GB, partial(short_lines, 2 * GB)),
    "lists.jsonl.zst": packed(partial(repeated, 60 * MB, b"[],", b'{"text": "a b", "more": [', b"[]]}\n")),
    "texts.jsonl.zst": packed(partial(repeated, 60 * MB, b'"",', b'{"text": [', b'""]}\n')),
    "objects.json.zst": packed(partial(repeated, 240 * MB, b"{},", b"[", b"{}]")),
    "turns.jsonl.zst": packed(partial(repeated, 60 * MB, TURN + b",", b'{"messages": [', TURN + b"]}\n")),
    "emoji.json.zst": packed(partial(long_line, 240 * MB, '[{"text": "\N{GRINNING FACE}'.encode(), b'"}]')),
    "words.jsonl.zst": packed(partial(repeated, 60 * MB, b"ab ", b'{"text": "', b'"}\n')),
    "wide.jsonl.zst": packed(partial(repeated, 60 * MB, b"ab ", '{"text": "\N{GRINNING FACE}'.encode(), b'"}\n')),
    "columns.csv.zst": packed(partial(repeated, 60 * MB, b"a,", b"text,", b"b\n")),
    "nested.json.zst": packed(partial(repeated, 200 * MB, b"[", b"", b"")),
    "lines.zip": zip_of_lines,
    "lzma.zip": partial(zip_of_lines, method=zipfile.ZIP_LZMA),
    "lines.tar.xz": tar_of_lines,
    "folder": folder_of_files,
    "dictionary.parquet": partial(parquet_table, cell_bytes=MB, n_rows=4_000, dictionary=True),
    "cells.parquet": partial(parquet_table, cell_bytes=MB, n_rows=2_000, dictionary=False),
    "cell.parquet": partial(parquet_table, cell_bytes=1_500 * MB, n_rows=1, dictionary=False),
    "rare.parquet": partial(rare_cell, cell_bytes=1_500 * MB),
    "footer.parquet": false_footer,
    "cells.arrow": partial(arrow_file, cell_bytes=MB, n_rows=2_000),
    "dictionary.arrow": partial(arrow_file, cell_bytes=MB, n_rows=2_000, kind="dictionary"),
    "views.arrow": partial(arrow_file, cell_bytes=MB, n_rows=2_000, kind="string_view"),
    "page.warc.gz": web_archive,
}  # fmt: skip


# ---- what comes of them -------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """Of one bomb. on_disk and unpacked: bytes; peak: MB; code: the command's exit status."""

    name: str
    on_disk: int
    unpacked: int
    peak: int
    code: int
    message: str

    @property
    def is_bounded(self) -> bool:
        return 0 < self.peak < PEAK and self.code in (0, 2)


# of a process by itself: what wait4 says of a child begins with the memory of the process that started it
READ = f"""
import atexit, resource, sys
def print_peak():
    lines = dict(line.split(":") for line in open("/proc/self/status"))
    print("peak", lines["VmHWM"].split()[0], file=sys.stderr)
resource.setrlimit(resource.RLIMIT_AS, ({ADDRESS_SPACE}, {ADDRESS_SPACE}))
atexit.register(print_peak)
from simtool.cli import main
main()
"""


def peak_of(command: list[str], folder: Path) -> tuple[int, int, str]:
    """Exit status, peak of memory (MB; 0 where it was killed) and the message of a command of simtool."""
    environment = os.environ | {"SIMTOOL_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", READ, *command], capture_output=True, text=True, env=environment, timeout=SECONDS
    )
    lines = done.stderr.splitlines()
    peak = next((int(line.split()[1]) * 1024 // 10**6 for line in lines if line.startswith("peak ")), 0)
    message = next((line for line in lines if line.startswith("simtool: ")), "").removeprefix("simtool: ")
    return done.returncode, peak, message


def outcome_of(name: str, folder: Path) -> Outcome:
    """Make a bomb, read it, and remove it."""
    path = folder / name
    unpacked = BOMBS[name](path)
    files = [path] if path.is_file() else list(path.iterdir())
    on_disk = sum(file.stat().st_size for file in files)
    code, peak, message = peak_of(["matrix", str(path), "gsm8k", "--resamples", "20", "--workers", "1"], folder)
    return Outcome(name, on_disk, unpacked, peak, code, message.replace(f"{folder}/", ""))


def row_of(outcome: Outcome) -> str:
    """A line of a table in Markdown."""
    end = {0: "counted", 2: f"message: {outcome.message}"}.get(outcome.code, f"exit status {outcome.code}")
    sizes = f"{outcome.on_disk / 1e6:.2f} MB | {outcome.unpacked / 1e9:.2f} GB | {outcome.peak / 1000:.2f} GB"
    return f"| `{outcome.name}` | {sizes} | {end} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(BOMBS), help="this one (repeatable)")
    options = parser.parse_args()
    print("| file | on disk | unpacked | peak | what came of it |\n|---|---:|---:|---:|---|")
    n_wrong = 0
    for name in options.only or BOMBS:
        with tempfile.TemporaryDirectory(prefix="simtool-bombs-") as folder:
            outcome = outcome_of(name, Path(folder))
        print(row_of(outcome), flush=True)
        n_wrong += not outcome.is_bounded
    print(f"\n{n_wrong} above {PEAK / 1000} GB, or with a traceback")


if __name__ == "__main__":
    main()
