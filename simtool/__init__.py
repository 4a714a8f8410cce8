"""simtool: which data to mix in, when, and how much. What the commands do, as functions, is in `simtool.api`."""

__version__ = "0.1.0"
