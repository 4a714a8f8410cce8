"""A matrix in every form holds the same numbers; a narrow terminal leaves the intervals out and says so."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

import simtool
from simtool.display.compare import notes, print_comparison, print_matrices, print_matrix


@pytest.fixture(scope="module")
def result():
    return simtool.matrix(["c4", "starcoder", "gsm8k"], metric="js", tokens=20_000, resamples=20)


def test_every_form_has_every_cell(result, capsys):
    print_matrix(result, "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    print_matrix(result, "json")
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert len(rows) == len(cells) == 9
    for row, cell in zip(rows, cells, strict=True):
        assert (row["row"], row["column"]) == (cell["row"], cell["column"])
        assert float(row["value"]) == pytest.approx(cell["value"])


@pytest.mark.parametrize(
    ("columns", "full", "compact"), [("200", False, False), ("30", False, True), ("30", True, False)]
)
def test_a_narrow_terminal_shows_no_intervals_unless_told_to(result, columns, full, compact, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    print_matrix(result, "table", full=full)
    shown = capsys.readouterr().out
    assert ("Intervals: --full" in shown) is compact
    assert (f"{result.low[0, 1]:.3f}–{result.high[0, 1]:.3f}" in shown) is not compact
    assert "starcoder *" in shown  # a proxy corpus


@pytest.mark.parametrize(("value", "shown"), [(0.87, ".87"), (9.41, "9.4"), (12.34, "12")])
def test_thirteen_corpora_fit_into_80_columns(result, value, shown, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = tuple(f"knowledge_qa{i:02}" for i in range(13))  # as long as names of the catalogue
    values = np.full((13, 13), value) * (1 - np.eye(13)) + np.eye(13)
    of_all = {name: np.resize(getattr(result, name), (13, 13)) for name in ("low", "high", "is_tested")}
    at_ceiling = np.zeros((13, 13), bool)
    at_ceiling[0, 1] = at_ceiling[1, 0] = True
    many = replace(
        result, corpora=names, values=values, at_ceiling=at_ceiling, **of_all
    )  # fmt: skip
    print_matrix(many, "table")
    first, *lines = [line for line in capsys.readouterr().out.splitlines() if line.lstrip()[:2].strip().isdigit()][:14]
    assert first.split() == [f"{i + 1}" for i in range(13)]
    assert len(lines) == 13 and max(map(len, lines)) <= 80
    assert lines[0].replace("≈", " ≈").split()[2:5] == ["1.0", f"≈{shown}", shown]  # a mark takes the gap


@pytest.mark.parametrize(("term", "is_shaded"), [("xterm-256color", True), ("xterm", False)])
def test_cells_are_shaded_where_there_are_shades(result, term, is_shaded, capsys, monkeypatch):
    for name, value in {"COLUMNS": "30", "FORCE_COLOR": "1", "TERM": term, "COLORTERM": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_matrix(result, "table")
    assert (";48;5;" in capsys.readouterr().out) is is_shaded


def test_two_metrics_are_one_table_of_data(result, capsys):
    print_matrices([result, result], "json")
    told = json.loads(capsys.readouterr().out)
    assert told["provenance"]["metric"] == ["js", "js"] and len(told["cells"]) == 18


def test_notes_say_the_size_and_which_end_is_alike(result):
    text = " ".join(notes(result))
    assert "20,000 tokens" in text and "20" in text and "lower" in text.lower()


def test_a_comparison_prints_as_many_entries_as_it_is_to(capsys):
    result = simtool.compare("c4", "gsm8k", features=("token",), resamples=20)
    print_comparison(result, 3, "markdown")
    lines = capsys.readouterr().out.splitlines()
    print_comparison(result, 3, "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(lines) < 12 < 1_000 < len(rows)  # csv holds every entry
    assert sum(float(row["bits"]) for row in rows) == pytest.approx(result.differences[0].total, rel=1e-3)
