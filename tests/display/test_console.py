"""Tables in a terminal: no cell is broken, empty columns go, narrow terminals get stacked rows."""

import pytest

from simtool.display.console import (
    as_latex,
    as_markdown,
    packed,
    print_data,
    print_notes,
    print_rows,
    print_saved,
    without_empty,
)

HEADER = ["corpus", "share", "note"]
ROWS = [["c4", "0.500", ""], ["star|coder_1", "0.500", ""]]


def test_empty_columns_are_left_out():
    assert without_empty(HEADER, ROWS) == (["corpus", "share"], [["c4", "0.500"], ["star|coder_1", "0.500"]])
    assert without_empty(HEADER, []) == (HEADER, [])


def test_cells_are_packed_into_lines_and_never_broken():
    assert packed(["aaaa", "bbb", "cc"], 10) == ["aaaa · bbb", "cc"]  # 4 + 3 + 3 letters fill the line
    assert packed(["a" * 20, "b"], 10) == ["a" * 20, "b"]


@pytest.mark.parametrize(("columns", "stacked"), [("80", False), ("32", True)])
def test_a_narrow_terminal_gets_stacked_rows(columns, stacked, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    print_rows(HEADER, [["c4", "0.500 [0.490, 0.510]", "first"]], "table")
    out = capsys.readouterr().out
    assert "0.500 [0.490, 0.510]" in out
    assert ("share 0.500 [0.490, 0.510]" in out) is stacked


def test_a_key_that_no_row_has_leaves_the_other_cells_their_names(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    print_rows(["arm", "size", "pycode", "gsm8k"], [["starcoder:0.25", "", "+19.9*", "+2.1"]], keys=2)
    assert capsys.readouterr().out.split("\n")[1:3] == ["starcoder:0.25", "  pycode +19.9*"]


def test_markdown_and_latex_escape_what_they_would_read():
    assert as_markdown(HEADER[:2], [row[:2] for row in ROWS]).splitlines()[-1] == "| star\\|coder_1 | 0.500 |"
    assert r"star|coder\_1 & 0.500 \\" in as_latex(HEADER[:2], [row[:2] for row in ROWS])


def test_an_interval_is_not_broken(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "24")
    print_notes(["the loss fell by 19.9% [19.0%, 20.8%] there"])
    assert capsys.readouterr().out.splitlines() == ["the loss fell by 19.9%", "[19.0%, 20.8%] there"]
    print_notes(["a [long] word: " + "x" * 30])
    assert max(map(len, capsys.readouterr().out.splitlines())) == 24


def test_notes_below_latex_are_comments(capsys):
    print_notes(["One.", "Two."], "latex")
    assert capsys.readouterr().out == "\n% One.\n% Two.\n"


def test_data_for_other_programs_holds_its_provenance(capsys):
    polars = pytest.importorskip("polars")
    print_data(polars.DataFrame({"a": [1]}), {"seed": 0}, "json")
    import json

    assert json.loads(capsys.readouterr().out) == {"provenance": {"seed": 0}, "rows": [{"a": 1}]}


def test_a_name_neither_moves_the_terminal_nor_leaves_a_comment(capsys):
    name = "a\x1b[31mb\x9b2J\nnext.jsonl"
    for form in ("table", "csv", "markdown", "latex"):
        print_rows(["corpus", "share"], [[name, "1"]], form)
        print_notes([name], form)
        out = capsys.readouterr().out
        assert "\x1b[31m" not in out and "\x9b" not in out and r"\x1b[31mb" in out
    assert "% a\\x1b[31mb\\x9b2J⏎next.jsonl" in out and "\nnext" not in out


def test_saved_files_are_seen_from_one_folder(tmp_path, capsys):
    print_saved([tmp_path / "a.csv", tmp_path / "size_free" / "a.csv"])
    assert capsys.readouterr().err == f"Saved a.csv, size_free/a.csv in {tmp_path}.\n"
