"""Rows of JSON, however they are wrapped."""

import json

import pytest

from simtool.corpora.corpus import Reading
from simtool.corpora.files import local_file
from simtool.corpora.json_rows import json_lines_blocks
from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError

TEXTS = ["caf\u00e9 au lait", "th\u00e9 \u00e0 la menthe"]
ROWS = [{"text": f"text {n}", "n": n} for n in range(5)]


def texts_of(path, fields=None):
    return [document.text for document in file_corpus(str(path), fields).documents()]


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


def test_a_list_of_texts_is_a_document_each(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(TEXTS, indent=1))
    assert texts_of(tmp_path / "a.json") == TEXTS
    (tmp_path / "a.json").write_text("[1, 2]")
    with pytest.raises(SimtoolError, match="must hold a list of objects or of texts, or an object with one list"):
        texts_of(tmp_path / "a.json")


def rows_of(path, text, columns):
    path.write_text(text)
    reading = Reading(skip_bad=True)
    return [row for block in json_lines_blocks(local_file(path), columns) for row in block.parse(reading)], reading


@pytest.mark.parametrize("columns", [("text",), ("text", "n"), ('a "field"', "class")])
@pytest.mark.parametrize("end", ["\n", ""])
def test_only_the_fields_that_are_needed_are_built(tmp_path, columns, end):
    rows = [{"n": n, 'a "field"': [n], "class": None, "text": f"text {n}", "other": {"deep": [{}]}} for n in range(5)]
    read, _ = rows_of(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)) + end, columns)
    assert [{**row} for row in read] == [{name: row[name] for name in columns} for row in rows]


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "caf\\udbc0", "n": 1}',  # half a surrogate pair
        '{"text": "a", "n": NaN}',
        '{"n": 1}',  # the field is missing
        '{"text": "a"} {"text": "b"}',  # two on a line are an error, not two rows
        '{"text": "a",',
        "[1]",
        "",
        '\ufeff{"text": "a"}',
    ],
)
def test_a_line_that_is_no_plain_row_is_read_as_whole_objects_are(tmp_path, line):
    text = '{"text": "before", "n": 1}\n' + line + '\n{"text": "after"}\n'
    (some, reading), (all_fields, whole) = (rows_of(tmp_path / "a.jsonl", text, names) for names in (("text",), None))
    assert some == all_fields and reading.reasons == whole.reasons
