"""python -m analyses [NAME ...]: makes the tables anew, all of them or those named."""

import importlib
import pkgutil
import sys
import time
from pathlib import Path

import analyses
from simtool.errors import SimtoolError, unknown
from simtool.tables import provenance, save_table

TABLES = Path(__file__).parent / "tables"


def names() -> list[str]:
    # a name that begins with _ is no question: what several share, and this file
    return sorted(module.name for module in pkgutil.iter_modules(analyses.__path__) if module.name[0] != "_")


def main(chosen: list[str]) -> None:
    for name in chosen or names():
        if name not in names():
            raise unknown("analysis", name, names())
        began = time.monotonic()
        module = importlib.import_module(f"analyses.{name}")
        # an analysis is a module with make(tables) -> (table, facts)
        table, facts = module.make(TABLES)
        told = provenance(analysis=name, question=module.__doc__.split("\n\n")[0], **facts)
        save_table(table, TABLES / f"{name}.csv", told)
        print(f"{name}: {table.height} rows in {time.monotonic() - began:.0f} s -> {TABLES / name}.csv", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SimtoolError as error:
        print(f"analyses: {error}", file=sys.stderr)
        sys.exit(2)
