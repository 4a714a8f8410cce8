"""Web archives as text: the main content of each page, extracted by Resiliparse as for DCLM; of WET, the text as it is.

Requests, images and answers that are no pages are passed over; an archive without a page is refused, with what it has.
Resiliparse and its FastWARC are the extra `web`.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from simtool.corpora.compression import BROKEN
from simtool.corpora.files import File, broken, decompressed
from simtool.corpora.reading import Reading, Row
from simtool.errors import SimtoolError

RECORDS = 100  # pages in a block: about 10 MB of HTML
LONGEST_PAGE = 8 << 20  # bytes; what is larger is hardly a page
PAGE_TYPES = ("text/html", "application/xhtml+xml", "text/plain")


class Page(NamedTuple):
    """A record before its text is extracted."""

    url: str
    content: bytes
    charset: str | None
    is_html: bool


class Positioned:
    """A stream that knows where it is, and how it ended. FastWARC asks where it is, and panics where nothing answers
    (zstd, xz)."""

    def __init__(self, stream: Any):
        self.stream, self.position, self.end = stream, 0, b""

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.position += len(data)
        self.end = (self.end + data[-4:])[-4:]
        return data

    def tell(self) -> int:
        return self.position

    def check_end(self, last: bytes) -> None:
        """See that no record is cut: FastWARC passes over what is left of it, and a download that stopped would pass
        for the archive. Two line breaks end a record; where they are missing, it ends with its last page."""
        is_ended = not self.end or self.end.endswith((b"\n\r\n", b"\n\n"))
        if not is_ended and not (last and last.endswith(self.end.rstrip(b"\r\n"))):
            raise EOFError("it ends in the middle of a record")


def warc_pages(file: File) -> Iterator[tuple[list[Page], int]]:
    """The pages of an archive, so many at a time, and how many bytes of the file are read by then.

    Raises
    ------
    SimtoolError
        Where it cannot be read, has no page, or the extra is not installed.
    """
    try:
        from fastwarc.warc import ArchiveIterator, WarcRecordType
    except ImportError as error:
        raise SimtoolError(
            f"{file.name} is a web archive (WARC). Reading pages from it needs resiliparse: pip install '.[web]' in a"
            " clone of simtool."
        ) from error
    pages: list[Page] = []
    n_pages, others, last = 0, Counter(), b""
    kinds = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion
    try:
        with file.open() as raw:
            stream = Positioned(decompressed(file, raw))
            for record in ArchiveIterator(stream, record_types=kinds, parse_http=True):
                last = b""
                if reason := _no_page(record):
                    others[reason] += 1
                    continue
                pages.append(_page_of(record))
                n_pages, last = n_pages + 1, pages[-1].content
                if len(pages) == RECORDS:
                    yield pages, raw.tell()
                    pages = []
            stream.check_end(last)
    except BROKEN as error:
        raise broken(file, error) from error
    if others and not n_pages:
        passed_over = ", ".join(f"{reason} ({n:,})" for reason, n in others.most_common(3))
        raise SimtoolError(
            f"{file.name} is a web archive without a page to read: {passed_over}."
            " Give an archive as a crawler writes it, or the text of its pages."
        )
    yield pages, file.size or 0


def _no_page(record: Any) -> str:
    """Why a record is passed over; "" if it is a page: an answer of a server, a saved page, or its extracted text."""
    if record.headers.get("WARC-Type") == "conversion":
        return ""
    if not record.is_http and record.headers.get("WARC-Type") == "response":
        return "responses without HTTP headers"
    if record.http_headers and record.http_headers.status_code != 200:
        return f"answers with status {record.http_headers.status_code}"
    media = _media_type(record)
    return "" if media in PAGE_TYPES else f"records of {media or 'no media type'}"


def _media_type(record: Any) -> str:
    """Of what the server sent; of what was saved without a server, the record's own."""
    media = record.http_content_type if record.is_http else record.headers.get("Content-Type")
    return (media or "").split(";")[0].strip().lower()


def _page_of(record: Any) -> Page:
    url, n_bytes = record.headers.get("WARC-Target-URI") or "", record.content_length
    content = record.reader.read(LONGEST_PAGE)
    if len(content) < min(n_bytes, LONGEST_PAGE):
        raise EOFError("it ends in the middle of a record")
    if record.headers.get("WARC-Type") == "conversion":
        return Page(url, content, "utf-8", False)
    return Page(url, content, record.http_charset if record.is_http else None, _media_type(record) != "text/plain")


def page_rows(pages: list[Page], reading: Reading) -> list[Row]:
    """The text of each page."""
    return [{"text": text_of(page), "url": page.url} for page in pages]


def text_of(page: Page) -> str:
    """Its main content, without navigation, scripts and comments of its markup; "" where it has none."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    text = bytes_to_str(page.content, page.charset or detect_encoding(page.content))
    return extract_plain_text(text, main_content=True, alt_texts=False) if page.is_html else text.strip()
