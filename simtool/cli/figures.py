"""The command that draws: figures."""

import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

FOR_A_PROCESS = 6  # figures: fewer are drawn sooner than another process has loaded Matplotlib


class Kind(StrEnum):
    picture = "picture"
    latex = "latex"


def figures(
    names: Annotated[
        Optional[list[str]],  # noqa: UP045 (typer reads it)
        typer.Argument(
            metavar="[NAME...]", help="Figures to draw. All whose tables are there by default.", show_default=False
        ),
    ] = None,
    tables: Annotated[
        Path, typer.Option(help="Folder of tables (NAME.csv with NAME.json), as --save and studies write them.")
    ] = Path("."),
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for the figures. That of the tables by default.", file_okay=False),
    ] = None,
    format: Annotated[
        Kind, typer.Option("--format", help="picture: png, svg and pdf. latex: the loss tables, with intervals.")
    ] = Kind.picture,
) -> None:
    """Draw figures from a folder of tables, as png, svg and pdf in the width of a paper's column.

    Nothing is computed: a figure shows what its tables say, and the same tables give the same bytes.

    Example: simtool figures similarity_matrix --tables out/
    """
    from simtool import executor, plots
    from simtool.errors import SimtoolError

    latex = format is Kind.latex
    chosen = names or [
        name for name in plots.drawable(tables) if not latex or hasattr(plots.find_figure(name), "latex")
    ]
    if not chosen:
        raise SimtoolError(f"No figure can be drawn from the tables in {tables}. Name their folder with --tables.")
    for name in chosen:
        plots.find_figure(name)  # an unknown name is told before anything is drawn
    tasks = [(name, tables, out or tables, latex) for name in chosen]
    executor.run(_draw, tasks, min(os.cpu_count() or 1, len(tasks) // FOR_A_PROCESS), report=typer.echo)
    for name in plots.names() if not names and not latex else []:
        if missing := plots.missing_tables(name, tables):
            typer.echo(f"{name}: not drawn, no table {', '.join(missing)}", err=True)


def _draw(task: tuple[str, Path, Path, bool], report: Callable[[Any], None]) -> None:
    from simtool import plots

    name, tables, out, latex = task
    paths = plots.draw_from_folder(name, tables, out, latex)
    report(f"{name}: {', '.join(path.name for path in paths)} in {out}")
