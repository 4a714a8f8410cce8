"""Whatever rows, names of corpora and corpora files hold, they are read or end in one message: a bounded fuzz."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simtool.corpora.corpus import Document
from simtool.corpora.layouts import CHATS, PLAIN, PROMPTS, RESPONSES, find_layout
from simtool.corpora.own import RowFilter, load_entries
from simtool.corpora.reading import Reading
from simtool.corpora.sources import file_corpus, find_files
from simtool.corpora.spec import parse_spec
from simtool.errors import SimtoolError
from simtool.mixture import parse_mixture
from simtool.profiles.resolve import Options, local_text

bounded = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
words = st.sampled_from(["", "a", "role", "user", "content", "value", "from", "text", "assistant", "\0", "\ud800", "é"])
turns = st.fixed_dictionaries({}, optional={
    "role": words, "from": words, "content": st.none() | words | st.lists(words), "value": words,
    "tool_calls": words | st.lists(words), "reasoning_content": words, "weight": st.sampled_from([0, 1, None, "x"]),
})  # fmt: skip
plain = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | words
values = st.recursive(
    plain | st.lists(turns, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([*PLAIN[:2], *PROMPTS[:2], *RESPONSES[:2], *CHATS[:2], "chosen", "rejected", "a.b", "x"])
row = st.one_of(
    st.dictionaries(names, values, max_size=4),
    st.fixed_dictionaries({"prompt": words, "completion": values}),
    st.fixed_dictionaries({"messages": st.lists(turns, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"text": words}),
)
rows = st.lists(row, max_size=4)
fields = st.none() | st.text("ab.,->#[]", max_size=8) | names | st.builds("{}->{}".format, names, names)


def read(do, *arguments, **options):
    """What comes of it; None where that is a message."""
    try:
        return do(*arguments, **options)
    except SimtoolError as error:
        assert str(error).strip()
        return None


@bounded
@given(rows, fields)
def test_any_rows_are_read_or_refused(tmp_path, rows, fields):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    layout = read(find_layout, rows, fields, "here")
    assert layout is None or isinstance(layout.describe(rows[:0]), str)
    if corpus := read(file_corpus, str(path), fields):
        reading = Reading(skip_bad=True)
        batches = [*corpus.batches(reading=reading)]
        assert all(isinstance(document, Document) for batch in batches for document in batch)
        assert sum(map(len, batches)) + reading.n_skipped + reading.n_empty == len(rows)


PARTS = [
    "a",
    "c4",
    ".",
    "..",
    "/",
    "~",
    "://",
    "http:",
    "#",
    "@",
    "[",
    "]",
    "*",
    "**",
    "?",
    ":",
    "0.2",
    "+",
    "-",
    "\0",
    "x" * 300,
    "user",
]


@bounded
@given(st.lists(st.sampled_from(PARTS), max_size=7).map("".join))
def test_any_name_of_a_corpus_is_understood_or_refused(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIMTOOL_MOST_FILES", "200")
    spec = read(parse_spec, text)
    if spec is not None and "://" not in text and not text.startswith("-"):  # no server is asked, nor standard input
        assert isinstance(spec.is_path, bool)
        read(find_files, text)
        read(local_text, text, Options(cache=tmp_path / "cache", data=None, corpora_file=None))
    read(parse_mixture, text)


toml_values = st.sampled_from(
    ['"a.jsonl"', '"x"', "1", "true", "[1]", "{a = 1}", '""', '"latin-1"', '"user"', '"a >"', '"\\u0000"']
)
settings_of_entries = st.sampled_from(
    ["path", "fields", "view", "split", "filter", "chat_template", "encoding", "train_on", "role", "delimiter", "none"]
)
entries = st.lists(
    st.builds("{} = {}".format, settings_of_entries, toml_values), max_size=4, unique_by=lambda x: x.split()[0]
)
heads = st.sampled_from(
    ["[corpora.a]", "[corpora]", "corpora = 1", "[corpora.c4]", "[[corpora.a]]", "[corpora.'a b']", "["]
)


@bounded
@given(heads, entries, st.text(max_size=3))
def test_any_corpora_file_is_read_or_refused(tmp_path, head, lines, end):
    path = tmp_path / "simtool.toml"
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    path.write_bytes("\n".join([head, *lines, end]).encode("utf-8", "surrogatepass"))
    for name in read(load_entries, path) or ():
        read(local_text, name, Options(cache=tmp_path, data=None, corpora_file=path))


tokens = st.sampled_from(
    [
        "a",
        "b.c",
        "1",
        "'x'",
        "==",
        "<",
        "in",
        "not",
        "and",
        "or",
        "(",
        ")",
        "[",
        "]",
        ",",
        "-",
        "lambda",
        "\0",
        "None",
        "~",
    ]
)


@bounded
@given(st.lists(tokens, max_size=9).map(" ".join), st.dictionaries(st.sampled_from(["a", "b"]), values, max_size=2))
def test_any_filter_matches_or_is_refused(text, row):
    row_filter = read(RowFilter, text)
    assert row_filter is None or isinstance(row_filter(row), bool)


@pytest.mark.parametrize(
    "text", ["(" * 5000 + ")" * 5000, "not " * 5000 + "a", "not " * 900 + "a", "a" * 100_000, "-" * 3000 + "1"]
)
def test_a_filter_of_any_depth_is_refused(text):
    row_filter = read(RowFilter, text)
    assert row_filter is None or row_filter({}) in (True, False)


def test_the_fuzz_reaches_what_it_is_meant_for():
    """Of the layouts each is recognised in some of the rows above."""
    found = set()

    @settings(max_examples=300, derandomize=True, deadline=None, database=None)
    @given(rows)
    def look(rows):
        found.add(type(read(find_layout, rows, None, "here")).__name__)

    look()
    assert {"TextFields", "PromptResponse", "Messages", "NoneType"} <= found
