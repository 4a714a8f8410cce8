"""The tables of a sweep of proxy runs, read from the folder that `simtool sweep --save` wrote."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simtool.errors import SimtoolError
from simtool.tables import load_table

if TYPE_CHECKING:
    import polars as pl

TABLES = ("sweep_ranking", "proxy_runs", "sweep_mixture")


@dataclass(frozen=True)
class SweepTables:
    """The three tables of a sweep, and what stands beside each: its provenance."""

    name: str
    tables: "Mapping[str, pl.DataFrame]"
    facts: Mapping[str, Mapping[str, Any]]


def load_sweep_tables(folder: Path) -> SweepTables:
    """What `simtool sweep --save FOLDER` wrote.

    Raises
    ------
    SimtoolError
        Where a table is missing.
    """
    paths = {name: Path(folder) / f"{name}.csv" for name in TABLES}
    if missing := [path.name for path in paths.values() if not path.exists()]:
        raise SimtoolError(
            f"No sweep in {folder}: it lacks {', '.join(missing)}.\nName the folder that simtool sweep --save wrote to."
        )
    loaded = {name: load_table(path) for name, path in paths.items()}
    tables = {name: table for name, (table, _) in loaded.items()}
    return SweepTables(Path(folder).resolve().name, tables, {name: facts for name, (_, facts) in loaded.items()})
