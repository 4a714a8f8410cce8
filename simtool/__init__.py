"""simtool: which data to mix in, when, and how much.

The functions of `simtool.api` are here (`simtool.matrix(...)`), loaded when first used.
"""

from typing import Any

from simtool.api import MODULES, load
from simtool.version import __version__

__all__ = ["__version__", *sorted(MODULES)]


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module 'simtool' has no attribute {name!r}")
    globals()[name] = load(name)  # found without this function from now on
    return globals()[name]


def __dir__() -> list[str]:
    """What completion shows: the functions and what they take, and nothing that is here by accident."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
