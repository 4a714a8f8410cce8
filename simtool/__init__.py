"""simtool: which data to mix in, when, and how much.

The functions of `simtool.api` are here too (`simtool.matrix(...)`), loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

from simtool.version import __version__

if TYPE_CHECKING:
    from simtool.api import (
        compare,
        describe_corpus,
        list_corpora,
        list_metrics,
        list_tokenizers,
        matrix,
        profile,
        save_matrix,
    )
    from simtool.profiles.build import Budget
    from simtool.profiles.find import Options

__all__ = [
    "Budget",
    "Options",
    "__version__",
    "compare",
    "describe_corpus",
    "list_corpora",
    "list_metrics",
    "list_tokenizers",
    "matrix",
    "profile",
    "save_matrix",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module 'simtool' has no attribute {name!r}")
    home = {"Budget": "simtool.profiles.build", "Options": "simtool.profiles.find"}.get(name, "simtool.api")
    return getattr(import_module(home), name)
