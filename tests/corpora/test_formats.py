"""The content says what a file is; its name only hints."""

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import zstandard

from simtool.corpora.corpus import Reading
from simtool.corpora.files import local_file
from simtool.corpora.formats import FORMATS, ONE_COLUMN, Dialect, dialect_of, format_of
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


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        json.dumps({"data": ROWS}),
        json.dumps({"version": 1, "rows": ROWS}, indent=1),
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a"])
def test_one_json_value_that_holds_rows(tmp_path, text, name):
    (tmp_path / name).write_text(text)
    assert texts_of(tmp_path / name) == [row["text"] for row in ROWS]


def test_a_single_row_is_a_row_and_not_what_is_inside(tmp_path):
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    (tmp_path / "a.json").write_text(json.dumps({"messages": messages}) + "\n")
    assert texts_of(tmp_path / "a.json") == ["hi\nhello"]


def test_json_that_holds_no_rows_says_what_it_holds(tmp_path):
    (tmp_path / "a.json").write_text('{\n"name": "x",\n "version": 2}')
    with pytest.raises(SimtoolError) as error:
        texts_of(tmp_path / "a.json")
    assert str(error.value) == (
        f"{tmp_path / 'a.json'} must hold a list of objects or of texts, or an object with one list of objects in it."
        " It holds an object with name, version."
    )


def test_nan_and_half_a_surrogate_pair_are_read(tmp_path):
    lines = [
        '{"text": "fine"}',
        '{"text": "a b", "score": NaN}',
        '{"text": "caf\\udbc0 here"}',
        '{"text": "\\ud83d\\ude00"}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert texts_of(tmp_path / "a.jsonl") == ["fine", "a b", "caf\ufffd here", "\U0001f600"]


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


# ---- tables ----


def test_raw_quotes_in_a_table_of_tabs_are_characters(tmp_path):
    # the quote that opens in row 10 closes in row 40: read as quoting, the 31 rows between are one cell
    quotes = {10: ('"', ""), 40: ("", '"')}
    texts = [f"plain sentence {n}".join(quotes.get(n % 50, ("", ""))) for n in range(200)]
    (tmp_path / "a.tsv").write_text("id\ttext\n" + "".join(f"{n}\t{text}\n" for n, text in enumerate(texts)))
    assert texts_of(tmp_path / "a.tsv") == texts


def test_a_quoted_word_is_not_a_quoted_cell(tmp_path):
    (tmp_path / "a.tsv").write_text('subject\ttitle\njava\tLorem ipsum\npython\t"Lorem Ipsum" dolor sit\n')
    assert texts_of(tmp_path / "a.tsv", "title") == ["Lorem ipsum", '"Lorem Ipsum" dolor sit']


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("id;text\n1;hello\n", Dialect(";", "")),
        ('text,n\n"one, two",1\n"three\nfour",2\n', Dialect(",", '"')),
        ("text|n\none|1\ntwo|2\n", Dialect("|", "")),
        ("text\none, two\nthree; four\n", Dialect(ONE_COLUMN, "")),  # the header has no delimiter
    ],
)
def test_the_dialect_of_a_table_is_told_from_it(tmp_path, text, dialect):
    (tmp_path / "a.csv").write_text(text)
    assert dialect_of(local_file(tmp_path / "a.csv")) in (dialect, Dialect(dialect.delimiter, '"'))


def test_a_single_column_is_read_whole(tmp_path):
    (tmp_path / "a.csv").write_text("sentence\none, two\nthree; four\n")
    assert texts_of(tmp_path / "a.csv") == ["one, two", "three; four"]


def test_utf_16_with_a_mark_is_read(tmp_path):
    (tmp_path / "a.csv").write_text("id,text\n1,caf\u00e9 au lait\n2,th\u00e9\n", encoding="utf-16")
    assert texts_of(tmp_path / "a.csv") == ["caf\u00e9 au lait", "th\u00e9"]


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


def test_a_list_of_texts_is_a_document_each(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(WRITTEN, indent=1))
    assert texts_of(tmp_path / "a.json") == WRITTEN
    (tmp_path / "a.json").write_text("[1, 2]")
    with pytest.raises(SimtoolError, match="must hold a list of objects or of texts, or an object with one list"):
        texts_of(tmp_path / "a.json")
