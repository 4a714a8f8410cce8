"""python -m figures [NAME ...]: draws the figures from analyses/tables, as png, svg and pdf in figures/out."""

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path

import figures
from simtool.errors import SimtoolError, unknown
from simtool.plots import paper_style, save_figure
from simtool.tables import load_table

TABLES = Path(__file__).parent.parent / "analyses" / "tables"
OUT = Path(__file__).parent / "out"


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(figures.__path__) if module.name != "__main__")


def table(name: str):
    path = TABLES / f"{name}.csv"
    if not path.exists():
        raise SimtoolError(f"No table {name!r} in analyses/tables.\nMake it: python -m analyses {name}")
    return load_table(path)[0]


def main(chosen: list[str]) -> None:
    for name in chosen or names():
        if name not in names():
            raise unknown("figure", name, names())
        draw = importlib.import_module(f"figures.{name}").draw
        with paper_style():
            figure = draw(*(table(parameter) for parameter in inspect.signature(draw).parameters))
            paths = save_figure(figure, OUT / name)
        print(f"{name}: {', '.join(path.name for path in paths)} in {OUT}", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SimtoolError as error:
        print(f"figures: {error}", file=sys.stderr)
        sys.exit(2)
