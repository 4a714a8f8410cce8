"""python -m analyses [NAME ...] [--data DIR]: makes the tables anew, all that can be made here or those named."""

import importlib
import inspect
import os
import pkgutil
import sys
import time
from pathlib import Path

import polars as pl

import analyses
from simtool.errors import SimtoolError, unknown
from simtool.tables import provenance, save_table

TABLES = Path(__file__).parent / "tables"
DIGITS = 8  # significant: what differs from machine to machine in the last bits is not in the tables


def names() -> list[str]:
    # a name that begins with _ is no question: what several share, and this file
    return sorted(module.name for module in pkgutil.iter_modules(analyses.__path__) if module.name[0] != "_")


def main(requested: list[str], data: Path | None = None, tables: Path = TABLES) -> None:
    """Make the tables named, or all; without names, what cannot be made here is reported and left as it is."""
    for name in requested:
        if name not in names():
            raise unknown("analysis", name, names())
    for name in requested or names():
        began = time.monotonic()
        inputs = {"tables": tables, "data": data}
        try:
            module = importlib.import_module(f"analyses.{name}")
            table, facts = module.make(**{key: inputs[key] for key in inspect.signature(module.make).parameters})
        except analyses.Missing as error:
            state = "its table stays" if (tables / f"{name}.csv").exists() else "there is no table"
            if requested:
                raise SimtoolError(f"{name} cannot be made here: {state}.\n{error}") from error
            print(f"{name}: not made, {state}. {error}", flush=True)
            continue
        facts = provenance(analysis=name, question=module.__doc__.split("\n\n")[0], **facts)
        save_table(table.with_columns(pl.selectors.float().round_sig_figs(DIGITS)), tables / f"{name}.csv", facts)
        print(f"{name}: {table.height} rows in {time.monotonic() - began:.0f} s -> {tables / name}.csv", flush=True)


def parse(arguments: list[str]) -> tuple[list[str], Path | None]:
    """Names, and the data folder given or that of SIMTOOL_DATA."""
    data = os.environ.get("SIMTOOL_DATA")
    if "--data" in arguments:
        at = arguments.index("--data")
        if at + 1 == len(arguments):
            raise SimtoolError("--data needs a folder.")
        data = arguments[at + 1]
        arguments = arguments[:at] + arguments[at + 2 :]
    if data and not Path(data).is_dir():
        raise SimtoolError(f"No data folder {data}. Name one with --data or SIMTOOL_DATA.")
    return arguments, Path(data) if data else None


if __name__ == "__main__":
    try:
        main(*parse(sys.argv[1:]))
    except SimtoolError as error:
        print(f"analyses: {error}", file=sys.stderr)
        sys.exit(2)
