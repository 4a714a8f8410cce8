"""Web archives as text: the main content of each page, extracted by Resiliparse as for DCLM; of WET, the text as it is.

Requests, images and answers that are no pages are passed over. Resiliparse and its FastWARC are the extra `web`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from simtool.corpora.compression import BROKEN
from simtool.corpora.corpus import Reading, Row
from simtool.corpora.files import File, broken, decompressed
from simtool.errors import SimtoolError

RECORDS = 100  # pages in a block: about 10 MB of HTML
LONGEST_PAGE = 8 << 20  # bytes; what is larger is hardly a page


class Page(NamedTuple):
    """A record before its text is extracted."""

    url: str
    content: bytes
    charset: str | None
    is_html: bool


def warc_pages(file: File) -> Iterator[tuple[list[Page], int]]:
    """The pages of an archive, so many at a time, and how many bytes of the file are read by then.

    Raises
    ------
    SimtoolError
        Where it cannot be read, or the extra is not installed.
    """
    try:
        from fastwarc.warc import ArchiveIterator, WarcRecordType
    except ImportError as error:
        raise SimtoolError(
            f"{file.name} is a web archive (WARC). Reading pages from it needs resiliparse: pip install '.[web]' in a"
            " clone of simtool."
        ) from error
    pages: list[Page] = []
    kinds = WarcRecordType.response | WarcRecordType.conversion
    try:
        with file.open() as raw:
            for record in ArchiveIterator(decompressed(file, raw), record_types=kinds, parse_http=True):
                if page := _page_of(record, WarcRecordType.conversion):
                    pages.append(page)
                if len(pages) == RECORDS:
                    yield pages, raw.tell()
                    pages = []
    except BROKEN as error:
        raise broken(file, error) from error
    yield pages, file.size or 0


def _page_of(record: Any, conversion: Any) -> Page | None:
    url = record.headers.get("WARC-Target-URI") or ""
    if record.record_type == conversion:
        return Page(url, record.reader.read(LONGEST_PAGE), "utf-8", False)
    kind = (record.http_content_type or "").lower() if record.is_http else ""
    is_page = kind in ("text/html", "application/xhtml+xml", "text/plain")
    if not is_page or (record.http_headers and record.http_headers.status_code != 200):
        return None
    return Page(url, record.reader.read(LONGEST_PAGE), record.http_charset, kind != "text/plain")


def page_rows(pages: list[Page], reading: Reading) -> list[Row]:
    """The text of each page."""
    return [{"text": text_of(page), "url": page.url} for page in pages]


def text_of(page: Page) -> str:
    """Its main content, without navigation, scripts and comments of its markup; "" where it has none."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    text = bytes_to_str(page.content, page.charset or detect_encoding(page.content))
    return extract_plain_text(text, main_content=True, alt_texts=False) if page.is_html else text.strip()
