"""A document's parts, rows that cannot be read, and the hash that folds and splits are read off."""

import pytest

from simtool.corpora.corpus import (
    Corpus,
    Document,
    Segment,
    document_hash,
    plain_text,
    prompt_and_response,
    why_empty,
)
from simtool.corpora.reading import Reading, Source
from simtool.errors import SimtoolError


class Rows(Source):
    def __init__(self, *rows):
        self.rows = list(rows)

    def read(self, shard, n_shards, reading):
        yield self.rows

    def describe(self):
        return "rows of a test"

    def identity(self):
        return "rows"


def corpus_of(*rows) -> Corpus:
    return Corpus("toy", "A test.", "general", "ours", lambda row: plain_text(row["text"]), {}, Rows(*rows))


def test_a_prompt_ends_where_sft_begins_to_count():
    document = prompt_and_response("2 + 2?", "4", "\n")
    assert (document.text, document.prompt, document.response) == ("2 + 2?\n4", "2 + 2?\n", "4")
    assert plain_text("abc").prompt == "" and plain_text("abc").response == "abc"
    assert plain_text("").segments == ()
    with pytest.raises(TypeError, match=r"^prompt and response must be text, not int and str$"):
        prompt_and_response(2, "4")


def test_a_role_by_itself_is_a_line_per_segment():
    segments = (Segment("user", "a"), Segment("template", "|"), Segment("assistant", "b"), Segment("user", "c"))
    assert Document(segments).in_role("user").text == "a\nc"
    assert Document(segments).in_role("tool").segments == ()


def test_empty_rows_are_left_out_and_counted():
    reading = Reading()
    [documents] = corpus_of({"text": "a"}, {"text": ""}, {"text": "b"}).batches(reading=reading)
    assert [document.text for document in documents] == ["a", "b"]
    assert (reading.n_empty, reading.n_skipped) == (1, 0)


def test_a_document_that_is_too_long_is_one_message_whatever_it_was_read_from(monkeypatch):
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "1")
    [[document]] = corpus_of({"text": "a" * (1 << 20)}).batches()
    assert len(document.text) == 1 << 20
    with pytest.raises(SimtoolError) as error:
        list(corpus_of({"text": "a" * ((1 << 20) + 1)}).batches())
    assert str(error.value) == (
        "A document of toy is longer than the 1 MB that one document may have. Is it one document?\n"
        "Where it is as it should be: simtool --longest-document MB ..."
    )


def test_a_bad_row_ends_the_reading_or_is_counted():
    rows = ({"text": "a"}, *({"content": i} for i in range(7)))
    with pytest.raises(SimtoolError) as error:
        list(corpus_of(*rows).batches())
    assert str(error.value) == (
        "rows of a test: a row has no field 'text'. It has: content. Name the one that holds the text: PATH#FIELD.\n"
        "Fix it, or leave such rows out and count them with --skip-bad."
    )
    reading = Reading(skip_bad=True)
    [documents] = corpus_of(*rows).batches(reading=reading)
    assert (len(documents), reading.n_skipped, len(reading.reasons)) == (1, 7, 5)
    assert why_empty(7, reading.reasons, 0).startswith("\n7 rows cannot be read. The first: rows of a test: a row")
    assert (why_empty(0, [], 3), why_empty(0, [], 0)) == (" Empty rows: 3.", "")


def test_documents_hash_to_what_they_always_did():
    assert document_hash(b"") == 0x2D06800538D394C2  # of the specification of XXH3
    assert document_hash(b"a") != document_hash(b"a", seed=1)


def test_how_rows_are_read_is_part_of_what_is_counted():
    plain = corpus_of({"text": "a"})
    from dataclasses import replace

    assert plain.describe() == "rows of a test" and plain.reading_identity() == "toy"
    assert replace(plain, view="user").reading_identity() == "toy user"
    assert replace(plain, view="user", layout="messages").describe() == "rows of a test, messages, user only"
