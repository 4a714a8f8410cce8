"""A corpora file names own corpora, which are then used like those of the catalogue."""

import json
import pickle
from dataclasses import fields

import pytest

from simtool.api.reference import add_corpus, list_corpora, preview_corpus
from simtool.corpora.own import Entry, RowFilter, load_entries, with_entry
from simtool.errors import SimtoolError
from simtool.profiles.resolve import Options, find_profile, local_text

ROWS = [
    {"subject": f"s{n}", "body": f"body number {n}", "lang": "de" if n % 3 else "en", "meta": {"stars": n}}
    for n in range(30)
]


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    turns = [{"role": role, "content": text} for role, text in (("user", "hi"), ("assistant", "hello"))]
    (tmp_path / "chat.jsonl").write_text(json.dumps({"messages": turns * 2}) + "\n")
    (tmp_path / "simtool.toml").write_text(
        '[corpora.tickets]\npath = "data/tickets.jsonl"\nfields = "subject,body"\ntitle = "Tickets"\nlicence = "MIT"\n'
        'filter = \'lang == "en" and meta.stars > 3\'\n\n[corpora.answers]\npath = "chat.jsonl"\nview = "assistant"\n'
    )
    return Options(data=None, cache=tmp_path / "cache")


def test_the_file_of_the_working_folder_is_read(options):
    tickets = local_text("tickets", options)
    expected = [row for row in ROWS if row["lang"] == "en" and row["meta"]["stars"] > 3]
    assert [document.text for document in tickets.documents()] == [
        f"{row['subject']}\n{row['body']}" for row in expected
    ]
    assert (tickets.title, tickets.licence) == ("Tickets", "MIT")
    assert tickets.describe().endswith('fields subject, body, rows where lang == "en" and meta.stars > 3')


def test_a_name_has_parts_like_any_other(options):
    texts = {name: next(local_text(name, options).documents()).text for name in ("answers", "answers[user]")}
    assert texts == {"answers": "hello\nhello", "answers[user]": "hi\nhi"}
    assert next(local_text("tickets#body", options).documents()).text == "body number 6"


def test_another_filter_is_another_profile(options, tmp_path):
    before = find_profile("tickets", ["token"], options).profile.size["documents"]
    path = tmp_path / "simtool.toml"
    path.write_text(path.read_text().replace("> 3", "> 20"))
    after = find_profile("tickets", ["token"], options)
    assert after.how == "counted now" and 0 < after.profile.size["documents"] < before


def test_paths_are_as_seen_from_the_file(options, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("SIMTOOL_CORPORA", "../simtool.toml")
    assert len(list(local_text("tickets", Options(data=None)).documents())) == 8


def test_an_entry_is_added_after_it_was_read(options, tmp_path):
    preview = add_corpus("chat", "chat.jsonl#messages", options)
    assert preview["1. user (masked)"] == "hi" and preview["2. assistant"] == "hello"
    assert load_entries(tmp_path / "simtool.toml")["chat"] == Entry(str(tmp_path / "chat.jsonl"), "messages")
    assert "chat" in [row[0] for row in list_corpora(options)[1]]
    with pytest.raises(SimtoolError, match=r"^simtool\.toml has a corpus 'chat' already\."):
        add_corpus("chat", "chat.jsonl", options)
    with pytest.raises(SimtoolError, match=r"^'c4' is taken"):
        add_corpus("c4", "chat.jsonl", options)


def test_any_text_survives_the_file(tmp_path):
    path = tmp_path / "a.toml"
    settings = {"path": '/a "b"\\c\td#e.jsonl', "fields": "x->y"}
    path.write_text(with_entry(path, "mine", settings))
    assert load_entries(path) == {"mine": Entry(settings["path"], "x->y")}


def test_a_preview_shows_the_mask(options):
    preview = preview_corpus("chat.jsonl", options)
    assert preview["SFT trains on"] == "the responses: what is not masked"
    assert [name for name in preview if name[0].isdigit()] == [
        "1. user (masked)", "2. assistant", "3. user (masked)", "4. assistant",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('[crawl]\npath = "a"', "{file}: 'crawl' is nothing that is read. A corpus is a table [corpora.crawl]."),
        ('[corpora.a]\nfields = "x"', '{file}: a has no path. Say where its text is: path = "FILE".'),
        ('[corpora.c4]\npath = "x"', "{file}: 'c4' is a corpus of the catalogue. Choose another."),
        ('[corpora."a b"]\npath = "x"', "{file}: 'a b' is no name (letters, digits, _ and -). Choose another."),
        (
            '[corpora.a]\npath = "x"\nfield = "y"',
            "{file}: a: Unknown setting 'field'. Did you mean 'fields'?\nKnown: {known}.",
        ),
        ('[corpora.a]\npath = "x"\nview = "asistant"', "Unknown view 'asistant'. Did you mean 'assistant'?"),
        ('[corpora.a]\npath = "x"\nfilter = "f(x)"', "The filter 'f(x)' cannot be read: Call is not known."),
        ("[corpora", "{file} cannot be read: "),
    ],
)
def test_what_is_wrong_is_said(tmp_path, toml, message):
    path = tmp_path / "simtool.toml"
    path.write_text(toml)
    with pytest.raises(SimtoolError) as error:
        load_entries(path)
    known = ", ".join(sorted(field.name for field in fields(Entry)))
    assert str(error.value).startswith(message.format(file=path, known=known))


def test_an_unknown_name_lists_own_ones(options):
    with pytest.raises(SimtoolError, match=r"^Unknown corpus 'ticket'\. Did you mean 'tickets'\?"):
        local_text("ticket", options)


@pytest.mark.parametrize(
    ("text", "row", "matches"),
    [
        ('source == "web"', {"source": "web"}, True),
        ('source == "web"', {"source": "books"}, False),
        ('source == "web"', {}, False),
        ("a > 1 and not b", {"a": 2, "b": False}, True),
        ("a > 1 or b", {"a": 0, "b": True}, True),
        ("1 < a <= 3", {"a": 3}, True),
        ("1 < a <= 3", {"a": 4}, False),
        ('lang in ["de", "en"]', {"lang": "en"}, True),
        ('lang not in ["de", "en"]', {"lang": "en"}, False),
        ('"x" in tags', {"tags": ["x", "y"]}, True),
        ("meta.score > -1", {"meta": {"score": 0}}, True),
        ("a > 1", {"a": "text"}, False),  # cannot be compared
        ("a > 1", {"a": None}, False),
        ("a > 3", {"a": "10"}, True),  # as CSV has it; as texts, "10" comes before "3"
        ("2 == a or a < -0.5", {"a": "-1"}, True),
        ("a != 3", {"a": "three"}, True),
        ("a in [1, 2]", {"a": "2.0"}, True),
        ("a not in [1, 2]", {"a": "2"}, False),
        ('a == "07"', {"a": "7"}, False),  # texts are compared as texts
    ],
)
def test_filters(text, row, matches):
    row_filter = pickle.loads(pickle.dumps(RowFilter(text)))  # it goes to other processes
    assert row_filter(row) is matches
    assert {name for name in row if name != "x"} <= {*row_filter.columns}


def test_a_table_is_read_in_the_dialect_that_is_said(options, tmp_path):
    (tmp_path / "t.csv").write_text('id~text\n1~caf\u00e9, "quoted"\n2~th\u00e9\n', encoding="latin-1")
    settings = '[corpora.t]\npath = "t.csv"\ndelimiter = "~"\nquote = ""\n'
    (tmp_path / "simtool.toml").write_text(settings)
    with pytest.raises(SimtoolError, match=r"t\.csv is not UTF-8 .*\nConvert it, or say its encoding"):
        list(local_text("t", options).documents())
    (tmp_path / "simtool.toml").write_text(settings + 'encoding = "latin-1"\n')
    corpus = local_text("t", options)
    assert [document.text for document in corpus.documents()] == ['caf\u00e9, "quoted"', "th\u00e9"]
    assert corpus.describe() == "file t.csv ('~', no quoting)"


@pytest.mark.parametrize("encoding", ["nothing", "a\\u0000b", "", "rot13", "zlib", "undefined"])
def test_an_encoding_that_is_none_is_a_message(tmp_path, encoding):
    (tmp_path / "simtool.toml").write_text(f'[corpora.a]\npath = "a.jsonl"\nencoding = "{encoding}"\n')
    with pytest.raises(SimtoolError, match=r"^Unknown encoding .*\. Name one such as utf-16, latin-1 or cp1252\.$"):
        load_entries(tmp_path / "simtool.toml")
