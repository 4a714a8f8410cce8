"""Results as text: a terminal's table, markdown, LaTeX, csv or json. Nothing is computed here."""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from simtool.profiles.resolve import ResolvedProfile
from simtool.progress import Counted, CountingFinished, CountingStarted, TrainingProgress
from simtool.similarity.attribution import Comparison, Difference
from simtool.similarity.matrix import SimilarityMatrix
from simtool.wording import readable


def console(stderr: bool = False) -> Console:
    """Plain and as wide as it needs to be where the output is not a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 10_000, highlight=False, soft_wrap=False)


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
        print(_markdown(header, body) if form == "markdown" else _latex(header, body))
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


def sources(facts: Mapping[str, Any]) -> list[str]:
    """Where each corpus came from, a line each; then what stands in for what, and what was left out."""
    corpora = facts["corpora"].items()
    lines = [
        f"{name}{' †' if told['stand_in'] else ''}: {told['tokens']:,} tokens, {told['documents']:,} documents;"
        f" {told['how']}, {told['source']}"
        for name, told in corpora
    ]
    lines += [f"† stand-in for {name}: {told['stand_in']}" for name, told in corpora if told["stand_in"]]
    lines += [
        f"{name}: {told['skipped']['count']:,} bad rows left out, such as: {told['skipped']['reasons'][0]}"
        for name, told in corpora
        if told.get("skipped") and told["skipped"]["count"]
    ]
    return lines


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


def print_profiles(found: list[ResolvedProfile]) -> None:
    """What was counted: sizes, provenance."""
    rows = []
    for one in found:
        size, facts = one.profile.size, one.profile.facts
        skipped = (facts.get("skipped") or {}).get("count", 0)
        rows.append(
            [
                one.profile.corpus + (" †" if facts["stand_in"] else ""),
                f"{size['documents']:,}",
                f"{size['tokens']:,}",
                f"{size['bytes']:,}",
                f"{size['bytes'] / size['tokens']:.2f}",
                f"{skipped:,}",
                one.how,
                facts["source"],
            ]
        )
    print_rows(["corpus", "documents", "tokens", "bytes", "bytes a token", "skipped", "how", "source"], rows)
    for one in found:
        if one.profile.facts["stand_in"]:
            print(f"† stand-in for {one.profile.corpus}: {one.profile.facts['stand_in']}")


def print_facts(facts: dict[str, str]) -> None:
    """One thing, a fact a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, told in facts.items():
        table.add_row(name, escape(told))
    console().print(table)


def print_rows(header: list[str], rows: list[list[str]], form: str = "table") -> None:
    """A plain table of text."""
    if form == "csv":
        import csv

        csv.writer(sys.stdout, lineterminator="\n").writerows([header, *rows])
    elif form == "json":
        print(json.dumps([dict(zip(header, row, strict=True)) for row in rows], indent=2, ensure_ascii=False))
    elif form == "markdown":
        print(_markdown(header, rows))
    elif form == "latex":
        print(_latex(header, rows))
    else:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for n, name in enumerate(header):
            table.add_column(name, no_wrap=n == 0, overflow="fold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        console().print(table)


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [header, *rows]]
    cells.insert(1, ["---", *["---:"] * (len(header) - 1)])
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "≈": r"$\approx$", "–": "--", "†": r"$\dagger$",
}  # fmt: skip


def _latex(header: list[str], rows: list[list[str]]) -> str:
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


class Counting:
    """Shows counting while it goes on: a bar in a terminal, a line a corpus elsewhere; on stderr."""

    def __init__(self) -> None:
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(20),
            TextColumn("{task.fields[done]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self.task: Any = None
        self.name, self.n_bytes, self.n_tokens, self.began = "", 0, 0, 0.0
        self.fractions: dict[int, float] = {}  # by shard; the slowest one says how far the corpus is

    def __enter__(self) -> "Counting":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def report(self, message: Any) -> None:
        """One of: Started, Progress, Finished, or a plain sentence."""
        if isinstance(message, CountingStarted):
            self.name, self.n_bytes, self.n_tokens, self.began = message.corpus, 0, 0, time.monotonic()
            self.bar.console.print(f"Counting {escape(message.corpus)}: {escape(message.source)}")
            self.fractions.clear()
            self.task = self.bar.add_task(escape(message.corpus), total=1.0, done="")
        elif isinstance(message, Counted):
            self.n_bytes += message.n_bytes
            self.n_tokens += message.n_tokens
            if message.fraction is None:
                self.bar.update(self.task, total=None, done=self._done())
            else:
                self.fractions[message.shard] = message.fraction
                self.bar.update(self.task, completed=min(self.fractions.values()), done=self._done())
        elif isinstance(message, CountingFinished):
            self.bar.remove_task(self.task)
            self.bar.console.print(f"Counted {escape(self.name)}: {self._done()}")
        else:
            self.bar.console.print(escape(message))

    def _done(self) -> str:
        seconds = max(time.monotonic() - self.began, 1e-3)
        return f"{self.n_tokens:,} tokens, {self.n_bytes / 1e6:,.1f} MB, {self.n_bytes / 1e6 / seconds:,.1f} MB/s"


# ---- training --------------------------------------------------------------------------------------------


class Training:
    """Shows training while it goes on: one line that changes in a terminal, a line every few seconds elsewhere."""

    SECONDS = 15.0  # between lines where they stay

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.told, self.phase = 0.0, ""

    def __enter__(self) -> "Training":
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            print(file=sys.stderr)

    def report(self, message: Any) -> None:
        """A Progress of the training loop, or a plain sentence."""
        if isinstance(message, str):
            print(("\r\033[K" if self.live else "") + message, file=sys.stderr, flush=True)
        elif isinstance(message, TrainingProgress):
            last, new = message.step == message.n_steps, message.phase != self.phase
            if not (self.live or last or new or time.monotonic() - self.told > self.SECONDS):
                return
            self.told, self.phase = time.monotonic(), message.phase
            line = (
                f"{message.phase} {message.step:,}/{message.n_steps:,}  loss {message.loss:.3f}"
                f"  lr {message.learning_rate:.2e}  {message.tokens_per_second:,.0f} tokens/s"
                f"  MFU {message.mfu:.0%}  {_left(message.seconds_left)} left"
            )
            ending = "\n" if last or not self.live else ""
            print(("\r\033[K" if self.live else "") + line, end=ending, file=sys.stderr, flush=True)


def _left(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def print_losses(rows: list[dict[str, Any]], form: str) -> None:
    """One line a measurement."""
    header = ["corpus", "split", "loss on", "nats/token", "bits/byte", "documents", "tokens"]
    in_phases = any("phase" in row for row in rows)
    cells = [
        [
            *([row["phase"]] if in_phases else []),
            row["corpus"],
            row["split"],
            row["loss_on"],
            f"{row['nats_per_token']:.4f}",
            f"{row['bits_per_byte']:.4f}",
            f"{row['n_documents']:,}",
            f"{row['n_tokens']:,}",
        ]
        for row in rows
    ]
    print_rows(["phase", *header] if in_phases else header, cells, form)


def print_scores(rows: list[dict[str, Any]], form: str) -> None:
    """One line a metric of a task of lm-evaluation-harness."""
    cells = [
        [
            row["task"],
            row["metric"],
            f"{row['value']:.4f}",
            "" if row["standard_error"] is None else f"{row['standard_error']:.4f}",
        ]
        for row in rows
    ]
    print_rows(["task", "metric", "value", "standard error"], cells, form)
