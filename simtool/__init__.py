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
    return sorted({*globals(), *__all__})
