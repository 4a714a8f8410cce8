"""How long one document may be, whatever it is read from."""

import os

from simtool.errors import SimtoolError

LONGEST_DOCUMENT = 64  # MB: a longer line is not a document but a file that lost its line breaks


def longest_document() -> int:
    """Bytes of the longest document that is read: --longest-document, in MB."""
    return int(os.environ.get("SIMTOOL_LONGEST_DOCUMENT") or LONGEST_DOCUMENT) << 20


def too_long(what: str, question: str) -> SimtoolError:
    """The error for what would not fit into memory as one document."""
    return SimtoolError(
        f"{what} is longer than the {longest_document() >> 20:,} MB that one document may have. {question}\n"
        "Where it is as it should be: simtool --longest-document MB ..."
    )
