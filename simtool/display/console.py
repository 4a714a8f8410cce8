"""What every family prints with: rows as a terminal's table, markdown, LaTeX, csv or json. Nothing is computed."""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import polars as pl


def console(stderr: bool = False) -> Console:
    """Plain and as wide as it needs to be where the output is not a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 10_000, highlight=False, soft_wrap=False)


def print_rows(header: list[str], rows: list[list[str]], form: str = "table") -> None:
    """A plain table of text."""
    if form == "csv":
        csv.writer(sys.stdout, lineterminator="\n").writerows([header, *rows])
    elif form == "json":
        print(json.dumps([dict(zip(header, row, strict=True)) for row in rows], indent=2, ensure_ascii=False))
    elif form == "markdown":
        print(as_markdown(header, rows))
    elif form == "latex":
        print(as_latex(header, rows))
    else:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for n, name in enumerate(header):
            table.add_column(name, no_wrap=n == 0, overflow="fold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        console().print(table)


def print_data(table: "pl.DataFrame", facts: Mapping[str, Any], form: str) -> None:
    """A result's table for another program: csv, or json with its provenance."""
    if form == "csv":
        print(table.write_csv(), end="")
    else:
        print(json.dumps({"provenance": dict(facts), "rows": table.to_dicts()}, indent=2, ensure_ascii=False))


def print_notes(form: str, lines: Sequence[str]) -> None:
    """Sentences below a table; comments in LaTeX."""
    if form == "table":
        for line in lines:
            console().print(escape(line), style="dim")
    else:
        print("\n" + "\n".join(("% " if form == "latex" else "") + line for line in lines))


def print_saved(paths: Sequence[Path]) -> None:
    """Which files were written, on stderr."""
    print(f"Saved {', '.join(path.name for path in paths)} in {paths[0].parent}.", file=sys.stderr)


def as_markdown(header: list[str], rows: list[list[str]]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [header, *rows]]
    cells.insert(1, ["---", *["---:"] * (len(header) - 1)])
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "≈": r"$\approx$", "–": "--", "†": r"$\dagger$",
}  # fmt: skip


def as_latex(header: list[str], rows: list[list[str]]) -> str:
    lines = [
        " & ".join("".join(LATEX.get(sign, sign) for sign in cell) for cell in row) + r" \\" for row in [header, *rows]
    ]
    columns = "l" + "r" * (len(header) - 1)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )
