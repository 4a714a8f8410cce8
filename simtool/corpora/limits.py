"""How long one document may be, whatever it is read from."""

import os

from simtool.errors import SimtoolError

LONGEST_DOCUMENT = 64  # MB: a longer line is not a document but a file that lost its line breaks
LARGEST_WHOLE = (
    4  # times as long may be what can only be read whole: one JSON value, a batch of Arrow, a page of parquet
)


def longest_document() -> int:
    """Bytes of the longest document that is read: --longest-document, in MB."""
    return int(os.environ.get("SIMTOOL_LONGEST_DOCUMENT") or LONGEST_DOCUMENT) << 20


def largest_whole() -> int:
    """Bytes of what can only be read whole."""
    return LARGEST_WHOLE * longest_document()


def check_whole(name: str, part: str, n_bytes: int) -> None:
    """See that a part of a file that can only be unpacked whole is not too large for that.

    Raises
    ------
    SimtoolError
        Where it is.
    """
    most = largest_whole()
    if n_bytes > most:
        raise SimtoolError(
            f"{name} unpacks to {-(-n_bytes >> 20):,} MB in a single {part}; {most >> 20:,} MB are allowed.\n"
            "Write it in smaller parts. Where there is memory for it:"
            f" simtool --longest-document {-(-n_bytes // LARGEST_WHOLE >> 20)} ..."
        )


def too_long(what: str, question: str) -> SimtoolError:
    """The error for what would not fit into memory as one document."""
    return SimtoolError(
        f"{what} is longer than the {longest_document() >> 20:,} MB that one document may have. {question}\n"
        "Where it is as it should be: simtool --longest-document MB ..."
    )
