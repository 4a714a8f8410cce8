"""The command that draws: figures."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer


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
    from simtool.api import figures as api
    from simtool.display.figures import print_missing

    print_missing(api.figures(names or (), tables, out, format is Kind.latex, typer.echo))
