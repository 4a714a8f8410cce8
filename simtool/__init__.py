"""simtool: which data to mix in, when, and how much.

The functions of `simtool.api` are here too (`simtool.matrix(...)`), loaded when first used.
"""

from importlib import import_module
from typing import Any

from simtool.version import __version__

HOMES = {
    "simtool.api.compare": (
        "compare",
        "describe_corpus",
        "list_corpora",
        "list_metrics",
        "list_tokenizers",
        "matrix",
        "profile",
        "save_matrix",
    ),
    "simtool.api.mix": ("advantage", "advantage_curve", "explain", "mix", "predict", "verify"),
    "simtool.report.page": ("report",),
    "simtool.profiles.count": ("Budget",),
    "simtool.profiles.resolve": ("Options",),
    "simtool.mixing.constraints": ("Constraints",),
}
HOME_OF = {name: home for home, names in HOMES.items() for name in names}
__all__ = ["__version__", *HOME_OF]


def __getattr__(name: str) -> Any:
    if name not in HOME_OF:
        raise AttributeError(f"module 'simtool' has no attribute {name!r}")
    return getattr(import_module(HOME_OF[name]), name)
