"""simtool: which data to mix in, when, and how much. The public API; see the README for the tour."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("simtool")
except PackageNotFoundError:  # run from a folder that was never installed
    __version__ = "0.0.0"
