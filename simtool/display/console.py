"""What every family prints with: rows as a terminal's table, markdown, LaTeX, csv or json. Nothing is computed."""

import csv
import json
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from simtool.wording import on_one_line, visible

if TYPE_CHECKING:
    import polars as pl

Rows = Sequence[Sequence[str]]
GAP = 2  # between columns
INTERVAL = re.compile(r"\[[^\[\]]{1,40}\]")
NO_BREAK = "\0"  # stands for a space inside an interval; not U+00A0, at which rich breaks lines too
READABLE_WIDTH = 24  # columns of prose may be folded to this, and no further


class _Console(Console):
    """What is printed says nothing to the terminal but what it says to people: names come from other people's files."""

    def print(self, *objects: Any, **style: Any) -> None:
        super().print(*(visible(part) if isinstance(part, str) else part for part in objects), **style)


def console(stderr: bool = False) -> Console:
    """A terminal in its own width; elsewhere plain text in 80 columns, or in COLUMNS."""
    return _Console(stderr=stderr, highlight=False, soft_wrap=False)


def print_rows(
    header: Sequence[str], rows: Rows, form: str = "table", prose: Sequence[str] = (), keys: int = 1
) -> None:
    """A table of text; columns that are empty throughout are left out of a terminal's.

    Where the terminal is too narrow for a row, its cells stand below its first `keys` ones, so that no number is
    broken.

    Parameters
    ----------
    prose
        Columns that may be folded.
    """
    header, rows = [on_one_line(cell) for cell in header], [[on_one_line(cell) for cell in row] for row in rows]
    if form == "csv":
        csv.writer(sys.stdout, lineterminator="\n").writerows([header, *rows])
    elif form == "json":
        print(json.dumps([dict(zip(header, row, strict=True)) for row in rows], indent=2, ensure_ascii=False))
    elif form == "markdown":
        print(as_markdown(header, rows))
    elif form == "latex":
        print(as_latex(header, rows))
    else:
        keys -= len(header[:keys]) - len(without_empty(header[:keys], [row[:keys] for row in rows])[0])
        _print_fitting(*without_empty(header, rows), prose, keys)


def without_empty(header: Sequence[str], rows: Rows) -> tuple[list[str], list[list[str]]]:
    """The columns that hold anything."""
    shown = [j for j, _ in enumerate(header) if any(row[j] for row in rows) or not rows]
    return [header[j] for j in shown], [[row[j] for j in shown] for row in rows]


def _print_fitting(header: list[str], rows: list[list[str]], prose: Sequence[str], keys: int) -> None:
    out = console()
    widths = [max(map(cell_len, column)) for column in zip(header, *rows, strict=True)]
    least = [min(width, READABLE_WIDTH) if name in prose else width for name, width in zip(header, widths, strict=True)]
    if sum(least) + GAP * len(least) > out.width:
        _print_stacked(out, header, rows, keys)
        return
    table = plain_table()
    for name in header:
        table.add_column(escape(name), no_wrap=name not in prose, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)


def plain_table(**options: Any) -> Table:
    """A table with a line below its header and GAP columns between cells."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0), **options)


def _print_stacked(out: Console, header: list[str], rows: list[list[str]], keys: int) -> None:
    for row in rows:
        out.print()
        out.print(escape("  ".join(row[:keys])), style="bold")
        cells = [f"{name} {cell}" for name, cell in zip(header[keys:], row[keys:], strict=True) if cell]
        for line in packed(cells, out.width - 2):
            out.print(Padding(escape(line), (0, 0, 0, 2), expand=False))
    out.print()


def packed(cells: Sequence[str], width: int, between: str = " · ") -> list[str]:
    """Lines of cells that are not broken, as many on a line as there is room for."""
    lines: list[str] = []
    for cell in cells:
        if lines and cell_len(lines[-1]) + cell_len(between) + cell_len(cell) <= width:
            lines[-1] += between + cell
        else:
            lines.append(cell)
    return lines


def print_data(table: "pl.DataFrame", facts: Mapping[str, Any], form: str) -> None:
    """A result's table for another program: csv, or json with its provenance."""
    if form == "csv":
        print(visible(table.write_csv()), end="")
    else:
        import polars as pl

        rows = table.with_columns(pl.selectors.float().fill_nan(None)).to_dicts()  # JSON has no NaN
        print(json.dumps({"provenance": dict(facts), "rows": rows}, indent=2, ensure_ascii=False))


def print_notes(lines: Sequence[str], form: str = "table", style: str = "dim") -> None:
    """Sentences below a table; comments in LaTeX."""
    if form == "table":
        out = console()
        for line in lines:
            out.print(escape("\n".join(wrapped(line, out.width))), style=style)
    else:
        print("\n" + "\n".join(("% " if form == "latex" else "") + on_one_line(line) for line in lines))


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of that many columns, an interval whole: "[0.24, 0.95]"."""
    whole = INTERVAL.sub(lambda interval: interval[0].replace(" ", NO_BREAK), text)
    lines = (textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) for line in whole.split("\n"))
    return [line.replace(NO_BREAK, " ") for parts in lines for line in parts or [""]]


def print_commands(label: str, commands: Sequence[str]) -> None:
    """Commands to copy: each on a line of its own, which nothing breaks."""
    out = console()
    out.print(label, style="dim")
    for command in commands:
        out.print(f"  {escape(command)}", soft_wrap=True)


def print_warnings(lines: Sequence[str]) -> None:
    """What a reader must know before the numbers, on stderr."""
    for line in lines:
        console(stderr=True).print(f"Warning: {escape(line)}", style="yellow")


def print_saved(paths: Sequence[Path]) -> None:
    """Which files were written, on stderr: seen from the folder of the first."""
    folder = paths[0].parent
    names = (str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path) for path in paths)
    print(visible(f"Saved {', '.join(names)} in {folder}."), file=sys.stderr)


def as_markdown(header: Sequence[str], rows: Rows) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [header, *rows]]
    cells.insert(1, ["---", *["---:"] * (len(header) - 1)])
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "≈": r"$\approx$", "–": "--", "*": r"$^{*}$",
}  # fmt: skip


def as_latex(header: Sequence[str], rows: Rows) -> str:
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
