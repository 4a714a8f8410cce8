"""Corpora beside each other, as text: the matrix, and what makes the difference of two of them."""

import json

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from simtool.display.console import as_latex, as_markdown, console, print_rows
from simtool.display.provenance import sources
from simtool.similarity.attribution import Comparison, Difference
from simtool.similarity.matrix import SimilarityMatrix
from simtool.wording import readable


def print_matrix(result: SimilarityMatrix, form: str) -> None:
    if form == "table":
        _print_matrix_table(result)
    elif form == "csv":
        print(result.to_polars().write_csv(), end="")
    elif form == "json":
        print(json.dumps({"provenance": dict(result.facts), "cells": result.to_polars().to_dicts()}, indent=2))
    else:
        rows = [[_cell(result, i, j) for j in range(len(result.corpora))] for i in range(len(result.corpora))]
        header = ["", *result.corpora]
        body = [[name, *row] for name, row in zip(result.corpora, rows, strict=True)]
        print(as_markdown(header, body) if form == "markdown" else as_latex(header, body))
        comment = "% " if form == "latex" else ""
        print("\n" + "\n".join(comment + line for line in notes(result)))


def notes(result: SimilarityMatrix) -> list[str]:
    """What the numbers are, and where the text came from: printed below every matrix."""
    metric = result.metric
    better = "higher is more alike" if metric.alike == "high" else "lower is more alike"
    order = "" if metric.symmetric else " Row: source; column: target."
    return [
        f"{metric.name} on {result.feature}: {better}.{order} Mean and 95% interval over {result.resamples} random"
        f" half-splits of {result.tokens:,} tokens each; tokenizer {result.facts['tokenizer']}.",
        "Diagonal: ceiling, one half of a corpus against its other half. ≈: cannot be told from the ceiling.",
        *sources(result.facts),
    ]


def _print_matrix_table(result: SimilarityMatrix) -> None:
    out = console()
    names = [_marked(result, name) for name in result.corpora]
    widths = [max(len(name), 13) + 2 for name in names]
    # as many columns as fit, then the next ones below
    first = 0
    while first < len(names):
        last = first + 1
        while last < len(names) and max(map(len, names)) + sum(widths[first : last + 1]) < out.width:
            last += 1
        out.print(_matrix_table(result, names, range(first, last)))
        first = last
    for line in notes(result):
        out.print(escape(line), style="dim")


def _matrix_table(result: SimilarityMatrix, names: list[str], columns: range) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for j in columns:
        table.add_column(escape(names[j]), justify="right", no_wrap=True)
    for i, name in enumerate(names):
        cells = []
        for j in columns:
            value, interval = _parts(result, i, j)
            style = "bold" if i == j else "cyan" if result.at_ceiling[i, j] else "default"
            cells.append(f"[{style}]{value}[/]\n[dim]{interval}[/]")
        table.add_row(escape(name), *cells)
    return table


def _marked(result: SimilarityMatrix, name: str) -> str:
    return f"{name} †" if name in result.facts["stand_ins"] else name


def _parts(result: SimilarityMatrix, i: int, j: int) -> tuple[str, str]:
    mark = "≈" if result.at_ceiling[i, j] else ""
    return f"{mark}{result.values[i, j]:.3f}", f"{result.low[i, j]:.3f}–{result.high[i, j]:.3f}"


def _cell(result: SimilarityMatrix, i: int, j: int) -> str:
    value, interval = _parts(result, i, j)
    return f"{value} [{interval}]"


def print_comparison(result: Comparison, n: int, form: str) -> None:
    if form == "table":
        _print_matrix_table(result.matrix)
        for one in result.differences:
            _print_difference(console(), one, result.matrix.corpora, n)
        if result.unreadable:
            console().print(escape(f"Tokens are shown as #id. {result.unreadable}"), style="dim")
        return
    tables = [one.to_polars(None if form in ("csv", "json") else n) for one in result.differences]
    rows = [[_told(cell) for cell in row] for table in tables for row in table.iter_rows()]
    print_rows(tables[0].columns, rows, form)


def _told(cell: object) -> str:
    return "" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _print_difference(out: Console, one: Difference, names: tuple[str, ...], n: int) -> None:
    out.print(f"\n{one.feature}: what makes the {one.total:.4f} bits of Jensen-Shannon divergence", style="bold")
    for side, name in zip("ab", names, strict=True):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"more in {escape(name)}", title_justify="left")
        table.add_column("n-gram", no_wrap=True)
        for header in ("bits", "of all", f"per million in {names[0]}", f"in {names[1]}"):
            table.add_column(escape(header), justify="right")
        shown = one.largest(side, n)
        for entry in shown:
            table.add_row(
                escape(readable(one.names.get(int(entry)))),
                f"{one.bits[entry]:.5f}",
                f"{one.bits[entry] / one.total:.1%}",
                f"{one.share_a[entry] * 1e6:,.0f}",
                f"{one.share_b[entry] * 1e6:,.0f}",
            )
        out.print(table)
