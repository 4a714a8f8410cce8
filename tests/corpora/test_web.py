"""Pages of web archives as text, and what of an archive is no page."""

import gzip
import lzma
import sys

import pytest
import zstandard

from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError

PAGE = """<html><head><title>T</title><script>run()</script></head><body><nav><a href="/">Home</a></nav><article>
<p>{} It is a long sentence about caf&eacute;s &amp; rivers, which goes on for a while.</p></article>
<footer>Imprint</footer></body></html>"""
TEXT = "{} It is a long sentence about cafés & rivers, which goes on for a while."


def record(kind: str, body: bytes, content_type: str = "text/html; charset=utf-8", status: str = "200 OK") -> bytes:
    """A record of an archive; of a response, with the header of the server."""
    if kind == "response":
        lines = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        body = lines.encode() + body
    media = "application/http; msgtype=response" if kind == "response" else "text/plain"
    headers = {"WARC-Type": kind, "WARC-Target-URI": "http://a", "Content-Type": media, "Content-Length": len(body)}
    lines = ["WARC/1.0", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body + b"\r\n\r\n"


RECORDS = [
    record("warcinfo", b"software: toy"),
    record("request", b"GET / HTTP/1.1"),
    record("response", PAGE.format("One.").encode()),
    record("response", PAGE.format("Gone.").encode(), status="404 Not Found"),
    record("response", b"\x89PNG", "image/png"),
    record("response", PAGE.format("Zwölf.").encode("latin-1"), "text/html; charset=iso-8859-1"),
    record("response", "über".encode(), "text/plain"),
    record("metadata", b"{}"),
]


def texts_of(path) -> list[str]:
    return [document.text for document in file_corpus(str(path)).documents()]


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "CC-MAIN-2024"])
def test_the_text_of_pages_is_read_without_headers_and_markup(tmp_path, name):
    pytest.importorskip("fastwarc")
    parts = [gzip.compress(part) for part in RECORDS] if name.endswith(".gz") else RECORDS
    (tmp_path / name).write_bytes(b"".join(parts))
    assert texts_of(tmp_path / name) == [TEXT.format("One."), TEXT.format("Zwölf."), "über"]


def test_extracted_text_is_read_as_it_is(tmp_path):
    pytest.importorskip("fastwarc")
    wet = [record("warcinfo", b"toy"), record("conversion", "Ein <Satz>.\nNoch einer: é\n".encode())]
    (tmp_path / "a.warc.wet.gz").write_bytes(b"".join(map(gzip.compress, wet)))
    assert texts_of(tmp_path / "a.warc.wet.gz") == ["Ein <Satz>.\nNoch einer: é"]


def test_each_page_is_in_one_shard(tmp_path):
    pytest.importorskip("fastwarc")
    pages = [record("response", PAGE.format(f"Page {n}.").encode()) for n in range(250)]
    (tmp_path / "a.warc").write_bytes(b"".join(pages))
    corpus = file_corpus(str(tmp_path / "a.warc"))
    batches = [batch for shard in range(2) for batch in corpus.batches(shard, 2)]
    assert sorted(document.text for batch in batches for document in batch) == sorted(
        TEXT.format(f"Page {n}.") for n in range(250)
    )


def test_a_page_that_was_saved_without_a_server_is_read(tmp_path):
    pytest.importorskip("fastwarc")
    saved = record("resource", PAGE.format("Saved.").encode()).replace(b"text/plain", b"text/html")
    (tmp_path / "a.warc").write_bytes(saved)
    assert texts_of(tmp_path / "a.warc") == [TEXT.format("Saved.")]


def test_an_archive_without_pages_says_what_it_has(tmp_path):
    pytest.importorskip("fastwarc")
    bare = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 8\r\n\r\n<p>text.\r\n\r\n"
    (tmp_path / "a.warc").write_bytes(2 * bare + record("response", b"\x89PNG", "image/png") + 3 * RECORDS[3])
    with pytest.raises(SimtoolError) as error:
        texts_of(tmp_path / "a.warc")
    assert str(error.value) == (
        f"{tmp_path / 'a.warc'} is a web archive without a page to read: answers with status 404 (3), responses without"
        " HTTP headers (2), records of image/png (1). Give an archive as a crawler writes it, or the text of its pages."
    )


def test_an_archive_that_is_cut_short_is_an_error(tmp_path):
    pytest.importorskip("fastwarc")
    whole = gzip.compress(b"".join(record("response", PAGE.format(n).encode()) for n in range(300)))
    (tmp_path / "a.warc.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SimtoolError, match=r"a\.warc\.gz is cut short"):
        texts_of(tmp_path / "a.warc.gz")


@pytest.mark.parametrize("packing", ["zst", "xz", "xz in latin-1"])
def test_archives_in_zstd_and_xz_are_read(tmp_path, packing):
    pytest.importorskip("fastwarc")
    suffix, _, encoding = packing.partition(" in ")
    whole = {"zst": zstandard.compress, "xz": lzma.compress}[suffix](b"".join(RECORDS[:3]))
    (tmp_path / f"a.warc.{suffix}").write_bytes(whole)
    corpus = file_corpus(str(tmp_path / f"a.warc.{suffix}"), encoding=encoding)
    assert [document.text for document in corpus.documents()] == [TEXT.format("One.")]


@pytest.mark.parametrize("last", [RECORDS[6], RECORDS[4], RECORDS[1]], ids=["page", "image", "request"])
def test_an_archive_that_stops_in_a_record_is_cut_short(tmp_path, last):
    pytest.importorskip("fastwarc")
    path, n_texts = tmp_path / "a.warc", 2 if last == RECORDS[6] else 1
    for size in range(1, len(last) + 1):
        path.write_bytes(RECORDS[2] + last[:size])
        if (n_texts == 2 and size >= len(last) - 4) or size == len(last):
            assert len(texts_of(path)) == n_texts
        elif not last[:size].endswith(b"\r\n\r\n"):  # between a head and its body: not seen where it is no page
            with pytest.raises(SimtoolError, match=r"is cut short: it ends in the middle of a rec|Invalid WARC header"):
                texts_of(path)


def test_without_the_extra_an_archive_is_refused_by_its_content(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastwarc.warc", None)
    (tmp_path / "cc").write_bytes(b"".join(RECORDS))
    with pytest.raises(SimtoolError) as error:
        texts_of(tmp_path / "cc")
    assert str(error.value) == (
        f"{tmp_path / 'cc'} is a web archive (WARC). Reading pages from it needs resiliparse: pip install '.[web]' in a"
        " clone of simtool."
    )
