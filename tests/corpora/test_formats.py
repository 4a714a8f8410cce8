"""The content says what a file is; its name only hints."""

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import zstandard

from benchmarks.parquet_footers import says_little, with_columns_changed
from simtool.corpora import formats
from simtool.corpora.files import local_file
from simtool.corpora.formats import FORMATS, format_of
from simtool.corpora.reading import Reading
from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError

ROWS = [{"text": f"text {n}", "n": n} for n in range(5)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def texts_of(path, fields=None):
    return [document.text for document in file_corpus(str(path), fields).documents()]


@pytest.mark.parametrize(
    "name",
    [
        "part-00000", "a.jsonl.1", "a.jsonlines", "a.ldjson", "a.jl", "a", "q?.jsonl", "c4-train.00000-of-01024.json",
        "a.txt", "a.data", "a.csv", "[a] #1, b+c=d:e@f.jsonl",
    ],
)  # fmt: skip
def test_json_lines_by_any_name_are_json_lines(tmp_path, name):
    (tmp_path / name).write_text(LINES)
    assert format_of(local_file(tmp_path / name)) == "jsonl"
    assert texts_of(tmp_path / name) == [row["text"] for row in ROWS]


def test_text_that_begins_with_a_brace_is_text(tmp_path):
    (tmp_path / "notes").write_text("{a note}\nmore\n")
    assert format_of(local_file(tmp_path / "notes")) == "document"


def test_what_is_neither_text_nor_known_is_refused(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\0\1\2")
    with pytest.raises(SimtoolError, match=r"^Cannot tell what .*a\.bin holds\.\nKnown: jsonl, json, parquet"):
        file_corpus(str(tmp_path / "a.bin"))


# ---- columnar ----

TABLE = pa.table({"text": [row["text"] for row in ROWS], "n": [row["n"] for row in ROWS]})


@pytest.mark.parametrize("kind", ["arrow file", "arrow stream", "feather", "parquet"])
@pytest.mark.parametrize("name", ["a.arrow", "data"])
def test_columnar_files_by_any_name(tmp_path, kind, name):
    path = tmp_path / name
    if kind == "arrow file":
        with pa.ipc.new_file(path, TABLE.schema) as writer:
            writer.write_table(TABLE, max_chunksize=2)
    elif kind == "arrow stream":  # what `datasets` saves
        with pa.ipc.new_stream(path, TABLE.schema) as writer:
            writer.write_table(TABLE, max_chunksize=2)
    elif kind == "feather":
        feather.write_feather(TABLE, path)
    else:
        pq.write_table(TABLE, path)
    assert texts_of(path) == [row["text"] for row in ROWS]


@pytest.mark.parametrize("write", [pq.write_table, feather.write_feather])
def test_only_the_columns_that_are_needed_are_read(tmp_path, write):
    beyond = pa.array([9223372036825200000] * 5, pa.timestamp("us"))  # in the year 294247: Python has no such date
    table = TABLE.append_column("valid_to", beyond)
    write(table, tmp_path / "a")
    assert texts_of(tmp_path / "a") == [row["text"] for row in ROWS]
    file = local_file(tmp_path / "a")
    blocks = FORMATS[format_of(file)](file, ("text",))
    assert [row for block in blocks for row in block.parse(Reading())] == [{"text": row["text"]} for row in ROWS]


# ---- encodings ----

WRITTEN = ["caf\u00e9 au lait", "th\u00e9 \u00e0 la menthe"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1", "cp1252"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.txt", "a.csv", "a.md", "a.jsonl.zst"])
def test_text_is_read_in_the_encoding_that_is_declared(tmp_path, name, encoding):
    rows = [{"text": text} for text in WRITTEN]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    content = {
        "a.jsonl": lines,
        "a.jsonl.zst": lines,
        "a.json": json.dumps(rows, ensure_ascii=False),
        "a.txt": "\n".join(WRITTEN),
        "a.csv": "text\n" + "\n".join(WRITTEN),
        "a.md": WRITTEN[0],
    }[name].encode(encoding)
    path = tmp_path / name
    path.write_bytes(zstandard.compress(content) if name.endswith(".zst") else content)
    corpus = file_corpus(str(path), encoding=encoding)
    assert [document.text for document in corpus.documents()] == (WRITTEN[:1] if name == "a.md" else WRITTEN)
    assert corpus.source.identity() != replace(corpus.source, files=(local_file(path),)).identity()


def test_text_in_another_encoding_than_is_declared_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_bytes(WRITTEN[0].encode("latin-1"))
    with pytest.raises(SimtoolError, match=r"a\.txt: it is not utf-8"):
        list(file_corpus(str(tmp_path / "a.txt"), encoding="utf-8").documents())
    hint = r'is not UTF-8 .*; say another encoding in the corpora file: encoding = "latin-1"'
    with pytest.raises(SimtoolError, match=hint):
        list(file_corpus(str(tmp_path / "a.txt")).documents())


def test_rows_that_all_hold_one_dictionary_are_unpacked_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "DICTIONARY_BYTES", 1 << 20)
    long = "ab " * 35_000  # 105 kB, by hand
    table = pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), pa.array([long]))})
    pq.write_table(table, tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 20_000
    sizes = [
        len(block.parse(Reading())) for block in formats.FORMATS["parquet"](local_file(tmp_path / "bomb.parquet"), None)
    ]
    assert sum(sizes) == 100 and max(sizes) == (1 << 20) // 105_004  # the text, and 4 bytes for its length
    pq.write_table(pa.table({"text": ["a", "b"] * 100}), tmp_path / "plain.parquet")
    [block] = formats.FORMATS["parquet"](local_file(tmp_path / "plain.parquet"), ("text",))
    assert len(block.parse(Reading())) == 200


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_large_cells_are_unpacked_few_at_a_time_in_the_order_they_have(tmp_path, monkeypatch, form):
    texts = [f"{n} " + "ab " * 30_000 for n in range(50)]
    path = tmp_path / f"a.{form}"
    table = pa.table({"n": range(50), "text": texts})
    if form == "parquet":
        pq.write_table(table, path, use_dictionary=False)
    else:
        feather.write_feather(table, path, compression="zstd")
    monkeypatch.setattr(formats, "STEP_BYTES", 1 << 20)
    rows = [block.parse(Reading()) for block in formats.FORMATS[form](local_file(path), ("text",))]
    assert max(map(len, rows)) in (10, 11) and [row["text"] for some in rows for row in some] == texts
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "1")
    pq.write_table(pa.table({"text": ["ab " * 400_000] * 2}), tmp_path / "b.parquet", use_dictionary=False)
    with pytest.raises(
        SimtoolError, match=r"^A row of .*b\.parquet is longer than the 1 MB that one document may have"
    ):
        list(formats.FORMATS["parquet"](local_file(tmp_path / "b.parquet"), ("text",)))


def test_a_footer_that_says_too_little_changes_no_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "STEP_BYTES", 1 << 20)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"{n} " + "ab " * 30_000 for n in range(50)]}), path, use_dictionary=False)
    sizes = [len(block.parse(Reading())) for block in formats.FORMATS["parquet"](local_file(path), None)]
    path.write_bytes(with_columns_changed(path.read_bytes(), says_little))
    changed = [len(block.parse(Reading())) for block in formats.FORMATS["parquet"](local_file(path), None)]
    assert sizes == changed == [11] * 4 + [6]


def test_a_column_that_is_not_needed_may_unpack_to_much(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "1")
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["a"], "image": [bytes(6 << 20)]})
    pq.write_table(table, path, use_dictionary=False, compression="zstd")
    [block] = formats.FORMATS["parquet"](local_file(path), ("text",))
    assert block.parse(Reading()) == [{"text": "a"}]
    with pytest.raises(SimtoolError, match="unpacks to 7 MB in a single page"):
        list(formats.FORMATS["parquet"](local_file(path), ("image",)))


def test_a_page_that_becomes_large_is_a_message(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "1")
    small = [f"small {n}" for n in range(500)]
    pq.write_table(
        pa.table({"text": [*small, "ab " * (2 << 20), *small]}), tmp_path / "a.parquet", use_dictionary=False
    )
    allowed = r"a\.parquet unpacks to 7 MB in a single page; 4 MB are allowed\.\n.*simtool --longest-document 2 \.\.\."
    with pytest.raises(SimtoolError, match=allowed):
        list(formats.FORMATS["parquet"](local_file(tmp_path / "a.parquet"), ("text",)))
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "7")
    blocks = formats.FORMATS["parquet"](local_file(tmp_path / "a.parquet"), ("text",))
    assert sum(len(block.parse(Reading())) for block in blocks) == 1_001


@pytest.mark.parametrize(("form", "write"), [("parquet", pq.write_table), ("Arrow", feather.write_feather)])
def test_a_name_that_is_not_utf8_is_a_message(tmp_path, form, write):
    path = tmp_path / "a"
    write(pa.table({"a long name": ["a"], "text": ["b"]}), path)
    path.write_bytes(path.read_bytes().replace(b"a long name", b"\xcd long name"))
    with pytest.raises(SimtoolError, match=rf"^Cannot read .*a as {form}: "):
        texts_of(path)
