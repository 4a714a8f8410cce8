"""Rows of JSON, however they are wrapped."""

import json

import pytest

from simtool.corpora.files import local_file
from simtool.corpora.json_rows import _text_bytes, check_size, json_lines_blocks
from simtool.corpora.reading import Reading
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


MANY_VALUES = {
    "a.jsonl": b'{"text": "a", "more": [' + b"[]," * 3_000_000 + b"[]]}\n",
    "b.jsonl": b'{"messages": [' + b'{"role": "user", "content": ""},' * 300_000 + b"{}]}\n",
    "c.json": b"[" + b"{}," * 3_000_000 + b"{}]",
}


@pytest.mark.parametrize("name", MANY_VALUES)
def test_json_that_becomes_many_times_as_large_in_memory_is_one_message(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(MANY_VALUES[name])
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "10")  # 80 MB of memory
    with pytest.raises(SimtoolError) as error:
        texts_of(tmp_path / name)
    line = "" if name == "c.json" else "Line 1 of "
    n_bytes = sum(MANY_VALUES[name].count(sign) * size for sign, size in ((b"{", 190), (b"[", 60), (b",", 60)))
    first, second = str(error.value).split("\n")
    assert first == (
        f"{line}{tmp_path / name} may take {n_bytes + len(MANY_VALUES[name]) >> 20:,} MB of memory once it is parsed;"
        " 80 MB are allowed."
    )
    enough = int(second.removesuffix(" ...").rpartition(" ")[2])
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", str(enough))
    check_size("", MANY_VALUES[name])


def test_text_with_as_many_commas_as_prose_has_is_no_bomb():
    check_size("", b'{"text": "' + b"one, two and three, of which " * (60 << 20 >> 5) + b'"}')
    check_size("", b"[" * (8 << 20))  # a short line needs not be looked at


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("abc", 3),
        ("a\u00e9", 4),  # 2 characters of at most 2 bytes: which are below U+0100 is not looked into
        ("a\u6f22\u5b57", 6),
        ("ab\N{GRINNING FACE}", 12),
    ],
)
def test_text_is_as_large_in_memory_as_its_widest_character_has_it(text, n_bytes):
    assert _text_bytes(text.encode()) == n_bytes
    escaped = json.dumps(text)[1:-1].encode()  # the last is two escapes there: half surrogates
    assert _text_bytes(escaped) == n_bytes + 4 * (text[-1] > "\uffff")


def test_a_wide_character_widens_its_own_text_alone(monkeypatch):
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "3")  # 24 MB of memory
    turns = b'{"from": "gpt", "value": "' + b"one and two " * 40 + b'"},'
    check_size("a.json", b'["\xf0\x9f\x98\x80 so \\"good\\"",' + turns * (12 << 20 >> 9) + b"{}]")


def test_json_whose_text_becomes_four_times_as_large_is_one_message(monkeypatch):
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "3")  # 24 MB of memory
    check_size("a.json", b'["' + b"a" * (9 << 20) + b'"]')
    with pytest.raises(SimtoolError, match=r"^a\.json may take 36 MB of memory once it is parsed; 24 MB are"):
        check_size("a.json", b'["\\ud83d\\ude00' + b"a" * (9 << 20) + b'"]')
