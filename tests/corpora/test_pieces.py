"""Pieces hold every record once, depend on the text alone, and are read without the rest of the file."""

import gzip
import http.server
import json
import random
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from simtool.corpora import files, pieces
from simtool.corpora.pieces import piece_bytes
from simtool.corpora.reading import Reading
from simtool.corpora.sources import find_files
from simtool.errors import SimtoolError

RANDOM = random.Random(0)  # so that it does not shrink when it is compressed
TEXTS = [f"{n} " + RANDOM.randbytes(n * n % 350).hex() for n in range(400)]
LINES = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in TEXTS)


def frames(data: bytes, size: int) -> bytes:
    """Cut anywhere: a line may go on in the next frame. Between them what pzstd puts there, a skippable frame."""
    skippable = (0x184D2A50).to_bytes(4, "little") + (4).to_bytes(4, "little") + b"size"
    packer = zstandard.ZstdCompressor(write_checksum=size % 2 == 0)
    return skippable.join(packer.compress(data[start : start + size]) for start in range(0, len(data), size))


def write_parquet(path):
    pq.write_table(pa.table({"text": TEXTS, "other": list(map(str, range(len(TEXTS))))}), path, row_group_size=30)


WRITERS = {
    "a.jsonl": lambda path: path.write_bytes(LINES),
    "no_end.jsonl": lambda path: path.write_bytes(LINES.rstrip()),
    "odd.jsonl.zst": lambda path: path.write_bytes(frames(LINES, 3_001)),
    "even.jsonl.zst": lambda path: path.write_bytes(frames(LINES, 7_000)),
    "a.parquet": write_parquet,
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(pieces, "SMALLEST", 2_000)
    monkeypatch.setattr(files, "BLOCK", 500)


def texts_of(source) -> list[str]:
    return [row["text"] for rows in source.read(0, 1, Reading(columns=("text",))) for row in rows]


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_is_cut_into_pieces_that_hold_every_record_once_and_in_order(tmp_path, name):
    WRITERS[name](tmp_path / name)
    source = find_files(str(tmp_path / name))
    parts = source.pieces()
    assert len(parts) > 3
    assert [text for piece in parts for text in texts_of(piece.source)] == TEXTS
    assert len({piece.name for piece in parts}) == len(parts)
    assert sum(piece.n_bytes for piece in parts) <= source.n_bytes
    assert sum(piece.n_bytes for piece in parts) >= source.n_bytes * 0.8  # a parquet footer is in none


@pytest.mark.parametrize(
    "name, data",
    [("a.jsonl.gz", gzip.compress(LINES)), ("a.jsonl.zst", zstandard.compress(LINES)), ("a.txt", b"text\n\n" * 999)],
)
def test_what_is_one_stream_is_one_piece(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    (piece,) = find_files(str(tmp_path / name)).pieces()
    assert piece.name == "file 0"
    assert piece.n_bytes == len(data)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 90), max_size=60), st.integers(1, 70), st.booleans())
def test_bytes_are_cut_anywhere(tmp_path_factory, lengths, size, ends_with_a_break):
    lines = [str(n).rjust(length, "x").encode() for n, length in enumerate(lengths)]
    path = tmp_path_factory.mktemp("bytes") / "a.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n" * ends_with_a_break)
    parts = pieces.spans_of(files.local_file(path), "jsonl", size)
    blocks = [block for part in parts for _, block, _ in files.line_blocks(part)]
    assert b"".join(blocks) == path.read_bytes()
    assert all(block.endswith(b"\n") for block in blocks[:-1])


def test_little_files_are_read_together(tmp_path):
    for n in range(40):
        (tmp_path / f"{n:02}.jsonl").write_bytes(json.dumps({"text": str(n) * 200}).encode() + b"\n")
    parts = find_files(str(tmp_path)).pieces()
    assert [piece.name for piece in parts[:2]] == ["files 0-8", "files 9-13"]
    assert [text for piece in parts for text in texts_of(piece.source)] == [str(n) * 200 for n in range(40)]


def test_a_bad_line_says_from_where_it_is_counted(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINES + b"{broken\n")
    last = find_files(str(tmp_path / "a.jsonl")).pieces()[-1]
    reading = Reading(skip_bad=True)
    list(last.source.read(0, 1, reading))
    (reason,) = reading.reasons
    start = last.source.files[0].span.start
    line = LINES[LINES.index(b"\n", start) + 1 :].count(b"\n") + 1
    assert reason.startswith(f"Line {line} of {tmp_path}/a.jsonl from byte {start:,} on is not a JSON object")


def test_only_the_piece_is_read(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_bytes(LINES)
    piece = find_files(str(tmp_path / "a.jsonl")).pieces()[3]
    n_read = 0
    read = files.Bounded.read

    def counted(bounded, size):
        nonlocal n_read
        data = read(bounded, size)
        n_read += len(data)
        return data

    monkeypatch.setattr(files.Bounded, "read", counted)
    texts_of(piece.source)
    assert n_read == piece.n_bytes


def test_sizes_do_not_depend_on_who_reads(monkeypatch):
    monkeypatch.setattr(pieces, "SMALLEST", 8 << 20)
    assert piece_bytes(None) == piece_bytes(1 << 20) == 8 << 20
    assert piece_bytes(1 << 30) == 16 << 20
    assert piece_bytes(1 << 40) == 256 << 20


@pytest.mark.parametrize("n_bytes", [3, 1_500])
def test_a_cut_frame_is_said_where_it_is_read(tmp_path, n_bytes):
    (tmp_path / "a.jsonl.zst").write_bytes(frames(LINES, 5_000)[:-n_bytes])
    with pytest.raises(SimtoolError, match="is cut short"):
        for piece in find_files(str(tmp_path / "a.jsonl.zst")).pieces():
            texts_of(piece.source)


class Ranges(http.server.BaseHTTPRequestHandler):
    """Serves ranges of one file, and adds up what is fetched."""

    path_of_file: Path
    n_sent = 0

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", str(self.path_of_file.stat().st_size))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Last-Modified", "Mon, 23 Nov 2026 10:00:00 GMT")  # without a version it would be copied
        self.end_headers()

    def do_GET(self):
        data = self.path_of_file.read_bytes()
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        data = data[first : last + 1]
        type(self).n_sent += len(data)
        self.send_response(206)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Range", f"bytes {first}-{last}/*")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    """A parquet file at a URL: a column of text, and one as large that nobody needs."""
    path = tmp_path / "a.parquet"
    other = [RANDOM.randbytes(5_000).hex() for _ in TEXTS]
    pq.write_table(pa.table({"text": TEXTS, "other": other}), path, row_group_size=len(TEXTS) // 8)
    handler = type("Handler", (Ranges,), {"path_of_file": path})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/a.parquet", handler
    server.shutdown()
    server.server_close()


def test_of_a_remote_parquet_file_only_the_column_that_is_needed_is_fetched(served):
    url, handler = served
    parts = find_files(url).pieces()
    assert len(parts) > 3
    assert [text for piece in parts for text in texts_of(piece.source)] == TEXTS
    metadata = pq.ParquetFile(handler.path_of_file).metadata
    column = sum(metadata.row_group(n).column(0).total_compressed_size for n in range(metadata.num_row_groups))
    footer = min(1 << 16, handler.path_of_file.stat().st_size)  # once for all pieces; pyarrow reads 64 kB of it
    assert column < handler.n_sent <= 1.05 * column + footer < 0.1 * handler.path_of_file.stat().st_size
