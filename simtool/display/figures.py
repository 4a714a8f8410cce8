"""Figures that were not drawn, as text."""

import sys
from collections.abc import Mapping, Sequence


def print_missing(tables: Mapping[str, Sequence[str]]) -> None:
    """A line on stderr for each figure that lacks a table."""
    for name, missing in tables.items():
        print(f"{name}: not drawn, no table {', '.join(missing)}", file=sys.stderr)
