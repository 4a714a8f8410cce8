"""How long a document may be: said by an option, and named in the message."""

from simtool.corpora.limits import longest_document, too_long


def test_the_option_says_how_long(monkeypatch):
    monkeypatch.delenv("SIMTOOL_LONGEST_DOCUMENT", raising=False)
    assert longest_document() == 64 << 20
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "3")
    assert longest_document() == 3 << 20
    assert str(too_long("A row of a.parquet", "Is it one document?")) == (
        "A row of a.parquet is longer than the 3 MB that one document may have. Is it one document?\n"
        "Where it is as it should be: simtool --longest-document MB ..."
    )
