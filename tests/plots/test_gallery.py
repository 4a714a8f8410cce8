"""Figures are found by name and drawn to the same bytes each time, in as many processes as there are."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simtool.errors import SimtoolError
from simtool.plots import COMMAND_FIGURES
from simtool.plots.gallery import HOW_TO_MAKE
from simtool.tables import save_table
from tests.plots.example_tables import MADE_UP, losses, matrix

SCRIPT = """
import os, sys
from simtool.cli import main
from simtool.plots import gallery
os.cpu_count, gallery.FIGURES_PER_PROCESS = lambda: 2, int(sys.argv[3])
sys.argv = ["simtool", "figures", "--tables", sys.argv[1], "--out", sys.argv[2]]
main()
"""


def test_two_processes_draw_the_same_bytes(tmp_path):
    for name in ("similarity_matrix", "advantage", "study_timing", "study_effects"):
        save_table(MADE_UP[name](), tmp_path / "tables" / f"{name}.csv", {})
    digests = []
    for seed, per_process in (("1", "99"), ("2", "2")):  # the second time two more processes draw
        out = tmp_path / seed
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "tables"), str(out), per_process],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        digests.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()})
    assert digests[0] == digests[1]
    assert {name.split(".")[0] for name in digests[0]} == {
        *("similarity_matrix", "advantage", "study_timing", "timing_heatmap", "study_effects"),
    }


def test_fonts_are_embedded_in_the_pdf(tmp_path):
    paths = COMMAND_FIGURES.draw("similarity_matrix", {"similarity_matrix": matrix()}, tmp_path)
    pdf = next(path for path in paths if path.suffix == ".pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf


def test_a_name_that_looks_like_markup_stays_text_in_the_svg(tmp_path):
    paths = COMMAND_FIGURES.draw("similarity_matrix", {"similarity_matrix": matrix()}, tmp_path)
    svg = next(path for path in paths if path.suffix == ".svg").read_text()
    assert "&lt;script&gt;" in svg and "<script" not in svg


def test_a_missing_table_is_one_message(tmp_path):
    with pytest.raises(SimtoolError) as caught:
        COMMAND_FIGURES.draw_from_folder("study_timing", tmp_path, tmp_path)
    assert str(caught.value) == f"study_timing is drawn from study_timing, which {tmp_path} lacks.\n{HOW_TO_MAKE}"
    with pytest.raises(SimtoolError, match=r"Unknown figure 'study_timin'. Did you mean 'study_timing'"):
        COMMAND_FIGURES.draw_from_folder("study_timin", tmp_path, tmp_path)
    with pytest.raises(SimtoolError) as caught:
        COMMAND_FIGURES.write_latex("study_timing", tmp_path, tmp_path)
    assert str(caught.value) == "study_timing has no LaTeX table. Those that have one: study_effects."


def test_what_figures_share_is_no_figure():
    assert {"similarity_matrix", "study_effects"} <= set(COMMAND_FIGURES.names())
    assert not {"style", "panels", "heatmap", "scatter", "rows", "latex", "gallery"} & set(COMMAND_FIGURES.names())


def test_a_latex_table_is_written_from_the_tables_that_it_names(tmp_path):
    save_table(losses(), tmp_path / "study_losses.csv", {})  # and no study_effects, which the picture is drawn from
    [path] = COMMAND_FIGURES.write_latex("study_effects", tmp_path, tmp_path)
    assert path.name == "study_effects.tex" and "2.100 ± 0.248" in path.read_text(encoding="utf-8")
