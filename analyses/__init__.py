"""One question, one file, one table. README.md lists the questions and the findings.

To add one, write a module with `make(tables)` -> (table, facts), or `make(tables, data)` where it reads text:
`tables`
is the folder of tables, `data` the folder with corpora or None. What it cannot do without, it raises as `Missing`.
"""

from pathlib import Path

import polars as pl

from simtool.errors import SimtoolError
from simtool.profiles.profile import Profile
from simtool.profiles.resolve import shipped
from simtool.tables import load_table
from simtool.tokens.tokenizer import load_tokenizer


class Missing(SimtoolError):
    """What an analysis needs is not here; its committed table, if there is one, stays."""


def find_table(tables: Path, name: str, made_by: str) -> tuple[pl.DataFrame, dict]:
    """A table and its provenance. Raises Missing, saying what makes it, where it is not there."""
    if not (tables / f"{name}.csv").exists():
        raise Missing(f"It needs the table {name}, which {made_by} makes.")
    return load_table(tables / f"{name}.csv")


def shipped_profile(name: str, tokenizer: str, features: set[str] | tuple[str, ...]) -> Profile:
    """The profile of a corpus that ships. Raises Missing where there is none."""
    profile = shipped(name, load_tokenizer(tokenizer), sorted(features))
    if profile is None:
        raise Missing(f"It needs a profile of {name} under {tokenizer}, and none ships.")
    return profile
