"""Corpora beside each other, as text: the matrix, and what makes the difference of two of them."""

import json
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from simtool import wording
from simtool.display.console import (
    GAP,
    as_latex,
    as_markdown,
    console,
    plain_table,
    print_notes,
    print_rows,
    print_warnings,
)
from simtool.display.provenance import limiting, marked, notes_above_ceiling, provenance_lines, sample_warnings
from simtool.profiles.features import hashed_of, symbol_of
from simtool.similarity.attribution import Comparison, Difference
from simtool.similarity.matrix import SimilarityMatrix
from simtool.wording import ABOVE, INDISTINGUISHABLE, UNKNOWN, readable, rounded, visible

SHADES = (17, 18, 24, 30, 36, 42)  # of a terminal's 256 colours, from the least similar to the most
FIRST_LIGHT = 4  # of them, on which ink is black


def print_matrices(
    results: Sequence[SimilarityMatrix], form: str, provenance: bool = False, full: bool = False
) -> None:
    """Matrices of the same corpora by several metrics, one below the other; in csv and json their cells together."""
    if len(results) == 1:
        print_matrix(results[0], form, provenance, full)
    elif form == "csv":
        import polars as pl

        print(visible(pl.concat([result.to_polars() for result in results]).write_csv()), end="")
    elif form == "json":
        facts = {**results[0].facts, "metric": [result.metric.name for result in results]}
        cells = [cell for result in results for cell in result.to_polars().to_dicts()]
        print(json.dumps({"provenance": facts, "cells": cells}, indent=2))
    else:
        for result in results[:-1]:
            _print_cells(result, form, full)
            print_notes(notes(result), form)
        print_matrix(results[-1], form, provenance, full)


def _print_cells(result: SimilarityMatrix, form: str, full: bool) -> None:
    n = range(len(result.corpora))
    if form == "table":
        _print_matrix(console(), result, full)
    else:
        body = [[name, *(_cell(result, i, j) for j in n)] for i, name in enumerate(result.corpora)]
        print((as_markdown if form == "markdown" else as_latex)(["", *result.corpora], body))


def print_matrix(result: SimilarityMatrix, form: str, provenance: bool = False, full: bool = False) -> None:
    """The matrix; full: with intervals, in as many parts as it takes, where it would else be printed compactly."""
    if form == "csv":
        print(visible(result.to_polars().write_csv()), end="")
    elif form == "json":
        print(json.dumps({"provenance": dict(result.facts), "cells": result.to_polars().to_dicts()}, indent=2))
    elif form == "table":
        print_warnings(sample_warnings(result.facts, result.tokens))
        _print_cells(result, form, full)
        print_notes([*notes(result), *provenance_lines(result.facts, provenance)])
    else:
        _print_cells(result, form, full)
        print_notes([*notes(result), *provenance_lines(result.facts, whole=True)], form)


def notes(result: SimilarityMatrix) -> list[str]:
    """What the numbers are: printed below every matrix."""
    metric, scarcest = result.metric, limiting(result.facts, result.tokens)
    limited = f" All are thinned to what was counted of {scarcest}." if scarcest else ""
    return [
        f"{wording.method(metric.label, result.feature, result.resamples, result.tokens, result.facts['tokenizer'])}"
        f" {wording.sense(metric.alike, metric.symmetric)}{limited}",
        wording.SIZE_FREE if metric.by_ceilings else wording.CEILING,
        *notes_above_ceiling(result.facts),
        *([wording.hashed(hashed)] if (hashed := hashed_of(result.feature)) else []),
    ]


def _print_matrix(out: Console, result: SimilarityMatrix, full: bool) -> None:
    n, name_width = len(result.corpora), max(len(marked(name, result.facts)) for name in result.corpora)
    widths = [max(len(marked(result.corpora[j], result.facts)), len(_parts(result, 0, j)[1])) + GAP for j in range(n)]
    if not full and name_width + sum(widths) > out.width:
        _print_compact(out, result)
        return
    first = 0  # as many columns as fit, then the next ones below
    while first < n:
        last = first + 1
        while last < n and name_width + sum(widths[first : last + 1]) <= out.width:
            last += 1
        out.print(_matrix_table(result, range(first, last)))
        first = last


def _matrix_table(result: SimilarityMatrix, columns: range) -> Table:
    table = plain_table()
    table.add_column("", no_wrap=True)
    for j in columns:
        table.add_column(escape(marked(result.corpora[j], result.facts)), justify="right", no_wrap=True)
    for i, name in enumerate(result.corpora):
        cells = []
        for j in columns:
            value, interval = _parts(result, i, j)
            style = "bold" if i == j else "cyan" if result.at_ceiling[i, j] else "default"
            cells.append(f"[{style}]{value}[/]\n[dim]{interval}[/]")
        table.add_row(escape(marked(name, result.facts)), *cells)
    return table


def _print_compact(out: Console, result: SimilarityMatrix) -> None:
    """Two or three digits in each cell, shaded, the columns by number; intervals are left out."""
    n = len(result.corpora)
    names = [f"{i + 1:2} {marked(name, result.facts)}" for i, name in enumerate(result.corpora)]
    left = max(map(len, names)) + 1
    room = (out.width - left) // n - 1  # a mark stands in the gap
    short = next((form for form in SHORT if max(len(form(value)) for value in result.values.flat) <= room), SHORT[-1])
    cells = [[_mark(result, i, j) + short(result.values[i, j]) for j in range(n)] for i in range(n)]
    width = max(len(short(value)) for value in result.values.flat) + 1
    per_part = max((out.width - left) // width, 1)
    for first in range(0, n, per_part):
        columns = range(first, min(first + per_part, n))
        out.print("\n" + " " * left + "".join(f"{j + 1:>{width}}" for j in columns), style="bold")
        for i, name in enumerate(names):
            styles = {j: _shade(result, i, j, out.color_system) for j in columns}
            shaded = "".join(f"[{styles[j]}]{cells[i][j]:>{width}}[/]" for j in columns)
            out.print(f"{escape(name):<{left}}{shaded}")
    out.print("\nIntervals: --full, or --save and --format csv.", style="dim")


def _two_digits(value: float) -> str:
    """.78, 1.0, 9.4 and 12.3."""
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 0.995 else f"{value:.1f}"


def _no_decimals_from_10(value: float) -> str:
    """.78, 1.0, 9.4 and 12."""
    return _two_digits(value) if abs(value) < 9.95 else f"{value:.0f}"


SHORT = (_two_digits, _no_decimals_from_10)  # the first that fits: thirteen corpora into 80 columns


def _mark(result: SimilarityMatrix, i: int, j: int) -> str:
    """What stands before a cell that is at the noise ceiling, or above it."""
    if result.is_above_ceiling[i, j]:
        return ABOVE
    return INDISTINGUISHABLE if result.at_ceiling[i, j] and i != j else ""


def _shade(result: SimilarityMatrix, i: int, j: int, colors: str | None) -> str:
    if i == j:
        return "bold"
    if colors not in ("256", "truecolor"):  # of 16 colours the nearest ones have no order: navy, grey, teal
        return "default"
    low, high = result.values.min(), result.values.max()
    share = (result.values[i, j] - low) / ((high - low) or 1)
    share = share if result.metric.alike == "high" else 1 - share
    shade = min(int(share * len(SHADES)), len(SHADES) - 1)
    return f"{'color(231)' if shade < FIRST_LIGHT else 'color(16)'} on color({SHADES[shade]})"  # white, black


def _parts(result: SimilarityMatrix, i: int, j: int) -> tuple[str, str]:
    if not np.isfinite(result.values[i, j]):
        return UNKNOWN, ""
    mark = _mark(result, i, j)
    low, value, high = (rounded(array[i, j]) for array in (result.low, result.values, result.high))
    return f"{mark}{value}", f"{low}–{high}"


def _cell(result: SimilarityMatrix, i: int, j: int) -> str:
    value, interval = _parts(result, i, j)
    return f"{value} [{interval}]"


def print_comparison(result: Comparison, n: int, form: str, provenance: bool = False) -> None:
    """The similarity of two corpora, and the entries that make the difference on each feature."""
    if form == "table":
        print_matrix(result.matrix, form, provenance)
        for difference in result.differences:
            _print_difference(console(), difference, result.matrix.corpora, n)
        if result.unreadable:
            print_notes([f"Tokens are shown as #id. {result.unreadable}"])
        return
    tables = [difference.to_polars(None if form in ("csv", "json") else n) for difference in result.differences]
    rows = [[_text_of(cell) for cell in row] for table in tables for row in table.iter_rows()]
    print_rows(tables[0].columns, rows, form)


def _text_of(cell: object) -> str:
    return "" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _print_difference(out: Console, difference: Difference, names: tuple[str, ...], n: int) -> None:
    unit = f"bits per {symbol_of(difference.feature)}"
    out.print(
        f"\n{difference.feature}: what makes the {rounded(difference.total)} {unit} of Jensen-Shannon divergence",
        style="bold",
    )
    for side, name in zip("ab", names, strict=True):
        table = plain_table(title=f"more in {escape(name)}", title_justify="left")
        table.add_column("n-gram", overflow="fold")
        for header in ("bits", "of all", f"per million in {names[0]}", f"in {names[1]}"):
            table.add_column(escape(header), justify="right")
        for entry in difference.largest(side, n):
            table.add_row(
                escape(readable(difference.names.get(int(entry)))),
                rounded(difference.bits[entry]),
                f"{difference.bits[entry] / difference.total:.1%}",
                f"{difference.share_a[entry] * 1e6:,.0f}",
                f"{difference.share_b[entry] * 1e6:,.0f}",
            )
        out.print(table)
