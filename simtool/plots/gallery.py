"""Figures found and drawn by name. Identical tables give identical bytes: nothing of the day or the machine goes in."""

import importlib
import inspect
import os
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from simtool import executor
from simtool.errors import SimtoolError, unknown
from simtool.plots.style import paper_style
from simtool.tables import atomic_write, load_table

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

UNDATED = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}  # metadata by format
FIGURES_PER_PROCESS = 6  # fewer are drawn sooner than another process has loaded Matplotlib
HOW_TO_MAKE = "Make it: python -m analyses NAME, simtool COMMAND --save, or the study that its name is of."


@dataclass(frozen=True)
class Gallery:
    """The figures of some packages: their modules that define `draw`.

    packages   names of the packages that hold them
    """

    packages: tuple[str, ...]

    def modules(self) -> dict[str, str]:
        """{figure: its module}, in alphabetical order; nothing is imported but the packages."""
        paths = {name: importlib.import_module(name).__path__ for name in self.packages}
        names = [(file.name, package) for package in paths for file in pkgutil.iter_modules(paths[package])]
        return {name: f"{package}.{name}" for name, package in sorted(names) if _draws(paths[package], name)}

    def names(self) -> list[str]:
        """Every figure."""
        return list(self.modules())

    def find(self, name: str) -> ModuleType:
        """The module of a figure.

        Raises
        ------
        SimtoolError
            For an unknown name.
        """
        modules = self.modules()
        if name not in modules:
            raise unknown("figure", name, list(modules))
        return importlib.import_module(modules[name])

    def tables_of(self, name: str) -> list[str]:
        """The tables that a figure is drawn from."""
        return _parameters(self.find(name).draw)

    def missing_tables(self, name: str, folder: Path) -> list[str]:
        """Those of a figure's tables that a folder lacks."""
        return [table for table in self.tables_of(name) if not (Path(folder) / f"{table}.csv").exists()]

    def drawable(self, folder: Path) -> list[str]:
        """The figures whose tables are all in a folder."""
        return [name for name in self.names() if not self.missing_tables(name, folder)]

    def undrawable(self, folder: Path) -> dict[str, list[str]]:
        """{figure: the tables that it lacks in a folder}."""
        missing = {name: self.missing_tables(name, folder) for name in self.names()}
        return {name: tables for name, tables in missing.items() if tables}

    def with_latex(self) -> list[str]:
        """The figures that can be had as a LaTeX table."""
        return [name for name in self.names() if hasattr(self.find(name), "latex")]

    def figure(self, name: str, *tables: "pl.DataFrame") -> "Figure":
        """A figure from its tables, in their order, as an object."""
        with paper_style():
            return self.find(name).draw(*tables)

    def draw(self, name: str, tables: Mapping[str, "pl.DataFrame"], folder: Path) -> list[Path]:
        """Draw one figure from {name: table}, as png, svg and pdf in a folder."""
        with paper_style():
            figure = self.find(name).draw(*(tables[table] for table in self.tables_of(name)))
            return save_figure(figure, folder / name)

    def draw_from_folder(self, name: str, folder: Path, out: Path) -> list[Path]:
        """Draw one figure from a folder of tables.

        Raises
        ------
        SimtoolError
            Where one is missing.
        """
        return self.draw(name, _load(name, self.tables_of(name), folder), out)

    def write_latex(self, name: str, folder: Path, out: Path) -> list[Path]:
        """Write the LaTeX table of one figure.

        Raises
        ------
        SimtoolError
            Where it has none, or a table is missing.
        """
        module = self.find(name)
        if not hasattr(module, "latex"):
            raise SimtoolError(f"{name} has no LaTeX table. Those that have one: {', '.join(self.with_latex())}.")
        tables = _load(name, _parameters(module.latex), folder)
        path = out / f"{name}.tex"
        with atomic_write(path) as temporary:
            temporary.write_text(module.latex(*tables.values()), encoding="utf-8")
        return [path]


def draw_figures(
    gallery: Gallery, names: Sequence[str], folder: Path, out: Path, latex: bool, report: Callable[[Any], None]
) -> None:
    """Draw the figures named, or all whose tables are in the folder, in as many processes as pay off.

    Raises
    ------
    SimtoolError
        For an unknown name before anything is drawn, and where there is nothing to draw.
    """
    drawable = [name for name in gallery.drawable(folder) if not latex or name in gallery.with_latex()]
    for name in names:
        gallery.find(name)
    if not (names or drawable):
        place = "here" if folder == Path() else f"in {folder}"
        raise SimtoolError(
            f"There are no tables {place} that a figure is drawn from. Name their folder: --tables out/."
        )
    tasks = [(gallery, name, folder, out, latex) for name in names or drawable]
    executor.run(_draw_task, tasks, min(os.cpu_count() or 1, len(tasks) // FIGURES_PER_PROCESS), report=report)


def save_figure(figure: "Figure", stem: Path) -> list[Path]:
    """`stem`.png, .svg and .pdf, in the size that the figure has."""
    paths = [Path(f"{stem}.{ending}") for ending in UNDATED]
    for ending, path in zip(UNDATED, paths, strict=True):
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format=ending, metadata=UNDATED[ending])
    return paths


def _draw_task(task: tuple[Gallery, str, Path, Path, bool], report: Callable[[Any], None]) -> None:
    gallery, name, folder, out, latex = task
    paths = (gallery.write_latex if latex else gallery.draw_from_folder)(name, folder, out)
    report(f"{name}: {', '.join(path.name for path in paths)} in {out}")


def _draws(folders: Sequence[str], name: str) -> bool:
    """Whether a module of these folders defines `draw`: read and not imported, since that would load Matplotlib."""
    files = [Path(folder) / f"{name}.py" for folder in folders]
    return any(re.search(r"^def draw\(", file.read_text(encoding="utf-8"), re.M) for file in files if file.exists())


def _parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def _load(name: str, tables: Sequence[str], folder: Path) -> dict[str, "pl.DataFrame"]:
    if missing := [table for table in tables if not (Path(folder) / f"{table}.csv").exists()]:
        raise SimtoolError(f"{name} is drawn from {', '.join(missing)}, which {folder} lacks.\n{HOW_TO_MAKE}")
    return {table: load_table(Path(folder) / f"{table}.csv")[0] for table in tables}
