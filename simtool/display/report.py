"""The page that was written, as a line."""

import sys
from pathlib import Path


def print_page(path: Path) -> None:
    """Where the page is, and what to do with it, on stderr."""
    name = path if path.is_absolute() else f"./{path}"
    print(f"Wrote {name}: open it in a browser.", file=sys.stderr)
