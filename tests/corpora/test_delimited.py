"""A table of text is read in its own dialect."""

import pytest

from simtool.corpora.delimited import ONE_COLUMN, Dialect, dialect_of
from simtool.corpora.files import local_file
from simtool.corpora.sources import file_corpus


def texts_of(path, fields=None):
    return [document.text for document in file_corpus(str(path), fields).documents()]


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
