"""Files of every format give the same documents, in any number of shards; what is broken is said in one message."""

import bz2
import gzip
import json
import lzma
import tracemalloc
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from simtool.corpora import files, pieces
from simtool.corpora.reading import Reading
from simtool.corpora.sources import file_corpus, find_files
from simtool.errors import SimtoolError

TEXTS = ["one", "zwei\nzwei", "trois € \U0001f600", "NUL \0 inside", "-" * 5000]


def jsonl(texts: list[str]) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def parquet(path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS}), path, row_group_size=2)


WRITERS = {
    "a.jsonl": lambda path: path.write_bytes(jsonl(TEXTS)),
    "crlf.jsonl": lambda path: path.write_bytes(jsonl(TEXTS).replace(b"\n", b"\r\n")),
    "bom.jsonl": lambda path: path.write_bytes(b"\xef\xbb\xbf" + jsonl(TEXTS)),
    "no_last_newline.ndjson": lambda path: path.write_bytes(jsonl(TEXTS).strip()),
    "a.jsonl.gz": lambda path: path.write_bytes(gzip.compress(jsonl(TEXTS))),
    "a.jsonl.zst": lambda path: path.write_bytes(zstandard.compress(jsonl(TEXTS))),
    "frames.jsonl.zst": lambda path: path.write_bytes(
        zstandard.compress(jsonl(TEXTS[:2])) + zstandard.compress(jsonl(TEXTS[2:]))
    ),
    "a.jsonl.bz2": lambda path: path.write_bytes(bz2.compress(jsonl(TEXTS))),
    "a.jsonl.xz": lambda path: path.write_bytes(lzma.compress(jsonl(TEXTS))),
    "a.json": lambda path: path.write_text(json.dumps([{"text": text} for text in TEXTS])),
    "a.parquet": parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_documents(tmp_path, name):
    WRITERS[name](tmp_path / name)
    corpus = file_corpus(str(tmp_path / name))
    assert [document.text for document in corpus.documents()] == TEXTS
    assert [document.text for document in corpus.documents()] == TEXTS  # again: repeatable


def test_csv_and_tsv(tmp_path):
    (tmp_path / "a.csv").write_text('text,n\n"one, two",1\n"three\nfour",2\n')
    (tmp_path / "a.tsv").write_text("text\tn\none\t1\n")
    assert [d.text for d in file_corpus(str(tmp_path / "a.csv")).documents()] == ["one, two", "three\nfour"]
    assert [d.text for d in file_corpus(str(tmp_path / "a.tsv")).documents()] == ["one"]


def test_plain_text_is_cut_at_blank_lines_or_else_at_lines(tmp_path):
    (tmp_path / "paragraphs.txt").write_text("one\ntwo\n\nthree\n\n\n\nfour")
    (tmp_path / "lines.txt").write_text("one\ntwo\nthree\n")
    paragraphs = [d.text for d in file_corpus(str(tmp_path / "paragraphs.txt")).documents()]
    assert [text.strip() for text in paragraphs] == ["one\ntwo", "three", "four"]
    assert [d.text for d in file_corpus(str(tmp_path / "lines.txt")).documents()] == ["one", "two", "three"]


def test_a_source_tree_is_a_document_a_file_without_what_is_hidden_or_binary(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "a.py").write_text("print(1)\n")
    (tmp_path / "b" / "c.rs").write_text("fn main() {}\n")
    (tmp_path / "b" / "image.bin").write_bytes(b"\0\1\2")
    (tmp_path / ".git" / "config").write_text("[core]")
    assert [d.text for d in file_corpus(str(tmp_path)).documents()] == ["print(1)\n", "fn main() {}\n"]


def test_a_folder_with_data_files_is_those_files(tmp_path):
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "1.jsonl").write_bytes(jsonl(["one"]))
    (tmp_path / "2.jsonl.gz").write_bytes(gzip.compress(jsonl(["two"])))
    assert [d.text for d in file_corpus(str(tmp_path)).documents()] == ["one", "two"]
    assert [d.text for d in file_corpus(str(tmp_path / "*.jsonl")).documents()] == ["one"]


def test_a_url_is_opened_through_fsspec(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(jsonl(TEXTS)))
    assert [d.text for d in file_corpus(f"file://{tmp_path}/a.jsonl.gz").documents()] == TEXTS


@pytest.mark.parametrize("n_shards", [1, 2, 3, 7])
@pytest.mark.parametrize("n_files", [1, 5, 60])
def test_shards_hold_every_document_once(tmp_path, monkeypatch, n_shards, n_files):
    monkeypatch.setattr(files, "BLOCK", 64)  # many blocks and pieces in little files
    monkeypatch.setattr(pieces, "SMALLEST", 400)
    texts = [f"document {n} " + "x" * (n % 50) for n in range(300)]
    for n in range(n_files):
        (tmp_path / f"{n:02}.jsonl").write_bytes(jsonl(texts[n::n_files]))
    corpus = file_corpus(str(tmp_path))
    shards = [
        [document.text for batch in corpus.batches(shard, n_shards) for document in batch] for shard in range(n_shards)
    ]
    assert sorted(text for shard in shards for text in shard) == sorted(texts)
    assert n_shards == 1 or all(len(shard) < len(texts) for shard in shards)


def test_several_fields_are_joined(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"q": "why?", "a": "so."}\n')
    assert [d.text for d in file_corpus(str(tmp_path / "a.jsonl"), "q,a").documents()] == ["why?\nso."]


def test_the_fraction_read_ends_at_one(tmp_path):
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(jsonl(TEXTS)))
    reading = Reading()
    list(file_corpus(str(tmp_path / "a.jsonl.zst")).batches(reading=reading))
    assert reading.fraction == 1.0


def test_identity_follows_the_file(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(["one"]))
    before = find_files(str(path)).identity()
    assert find_files(str(path)).identity() == before
    path.write_bytes(jsonl(["one", "two"]))
    assert find_files(str(path)).identity() != before


FIX = "\nFix it, or leave such rows out and count them with --skip-bad."
BAD = {
    "broken.jsonl": (
        jsonl(["fine"]) + b'{"text": "cut\n',
        "Line 2 of {path} is not a JSON object (unexpected end of data).",
        FIX,
    ),
    "list.jsonl": (b"[1, 2]\n", "Line 1 of {path} is not a JSON object (it is a list, not an object).", FIX),
    "latin1.jsonl": (
        jsonl(["fine"]) + '{"text": "caf\u00e9"}\n'.encode("latin-1"),
        "Line 2 of {path} is not a JSON object (str is not valid UTF-8: surrogates not allowed).",
        FIX,
    ),
    "field.jsonl": (
        jsonl(["fine"]) + b'{"content": "x", "id": 1}\n',
        "file {path}: a row has no field 'text'. It has: content, id. Name the one that holds the text: PATH#FIELD.",
        FIX,
    ),
    "number.jsonl": (
        jsonl(["fine"]) + b'{"text": 3}\n',
        "file {path}: a row cannot be read as {path} (TypeError: field 'text' holds int, not text). It has: text.",
        FIX,
    ),
    "short.csv": (b"text,b\nx\n", "Line 2 of {path} does not have the 2 cells of the header.", FIX),
    "nul.txt": (
        b"a\0b\n",
        "{path}: the text that starts on line 1 holds NUL bytes: it is not plain text.",
        FIX,
    ),
    "cut.jsonl.gz": (
        gzip.compress(jsonl(TEXTS * 9))[:-20],
        "{path} is cut short: Compressed file ended before the end-of-stream marker was reached. Fetch it again.",
        "",
    ),
    "cut.jsonl.zst": (
        zstandard.compress(jsonl(TEXTS * 9))[:-5],
        "{path} is cut short: it ends in the middle of a zstd frame. Fetch it again.",
        "",
    ),
    "not.jsonl.gz": (
        b"plain",
        "Cannot read {path}: Not a gzipped file (b'pl'). It may be damaged or not what its name says.",
        "",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_broken_is_said_in_one_message(tmp_path, name):
    data, message, advice = BAD[name]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SimtoolError) as caught:
        list(file_corpus(str(path)).documents())
    assert str(caught.value) == message.format(path=path) + advice


@pytest.mark.parametrize("name", [name for name, (_, _, advice) in BAD.items() if advice])
def test_skip_bad_leaves_them_out_and_counts_them(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BAD[name][0])
    reading = Reading(skip_bad=True)
    kept = [document.text for batch in file_corpus(str(path)).batches(reading=reading) for document in batch]
    assert kept == (["fine"] if b"fine" in BAD[name][0] else [])
    assert reading.n_skipped == 1
    assert reading.reasons == [BAD[name][1].format(path=path)]


def test_a_line_without_end_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "1")
    monkeypatch.setattr(files, "BLOCK", 1 << 16)
    path = tmp_path / "one_line.jsonl"
    path.write_bytes(b'{"text": "' + b"x" * (3 << 20) + b'"}')
    with pytest.raises(SimtoolError, match=r"^Line 1 of .* is longer than the 1 MB that one document may have"):
        list(file_corpus(str(path)).documents())


@pytest.mark.parametrize("spec", ["missing.jsonl", "missing/*.jsonl", "./missing"])
def test_a_missing_file(spec):
    with pytest.raises(SimtoolError, match=r"^No files? .*missing"):
        file_corpus(spec)


def test_a_truncated_parquet_file(tmp_path):
    parquet(tmp_path / "whole.parquet")
    path = tmp_path / "cut.parquet"
    path.write_bytes((tmp_path / "whole.parquet").read_bytes()[:-30])
    with pytest.raises(SimtoolError, match=rf"^Cannot read {path} as parquet: "):
        list(file_corpus(str(path)).documents())


@pytest.fixture
def remote_table():
    """Writes a table to a URL."""

    def write(**columns):
        with fsspec.open("memory://simtool/a.parquet", "wb") as stream:
            pq.write_table(pa.table(columns), stream)
        return "memory://simtool/a.parquet"

    yield write
    fsspec.filesystem("memory").rm("/simtool", recursive=True)


def test_of_remote_columns_those_are_looked_at_that_may_hold_the_text(remote_table):
    url = remote_table(raw=["<p>one</p>"], text=["one"], score=[0.5])
    assert find_files(url).sample() == [{"raw": "<p>one</p>", "text": "one", "score": 0.5}]
    assert file_corpus(url).example == {"raw": None, "text": "one", "score": None}
    assert file_corpus(url, "raw").example == {"raw": "<p>one</p>", "text": None, "score": None}
    assert [document.text for document in file_corpus(url, "raw").documents()] == ["<p>one</p>"]


def test_of_remote_columns_an_error_names_all(remote_table):
    url = remote_table(input=["a"], article=["a long text of which nobody knows that it is one"])
    with pytest.raises(SimtoolError, match=r"It has: input, article.\n.*here perhaps PATH#article"):
        file_corpus(url)


def test_a_corpus_holds_the_beginning_of_its_first_row(tmp_path):
    turns = [{"role": "user", "content": "x" * 2_000}] * 50
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": turns, "text": "y" * 100_000, "n": 7}))
    example = file_corpus(f"{tmp_path}/a.jsonl", "text").example
    assert example == {"messages": [{"role": "user", "content": "x" * 1_000}] * 4, "text": "y" * 1_000, "n": 7}


def test_bytes_of_a_block_are_not_held_beside_its_rows(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl(["y" * 20_000_000]))
    corpus = file_corpus(f"{tmp_path}/a.jsonl")
    tracemalloc.start()
    try:
        held = [tracemalloc.get_traced_memory()[0] for _ in corpus.batches()]
    finally:
        tracemalloc.stop()
    assert len(held) == 1 and held[0] < 25_000_000  # 43 MB with them


def test_a_folder_of_nothing_is_no_typing_error(tmp_path):
    with pytest.raises(SimtoolError) as error:
        find_files(str(tmp_path))
    assert str(error.value) == f"The folder {tmp_path} holds no file that can be read. Name one that does."
