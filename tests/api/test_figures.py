"""Figures as a function: what is drawn, and what is missing for the others."""

from pathlib import Path

import simtool
from simtool.plots import COMMAND_FIGURES
from simtool.tables import save_table
from tests.plots.example_tables import matrix


def test_all_that_can_be_drawn_is_and_the_rest_says_what_it_lacks(tmp_path: Path):
    save_table(matrix(), tmp_path / "similarity_matrix.csv", {})
    messages = []
    missing = simtool.figures(tables=tmp_path, out=tmp_path / "out", report=messages.append)
    files = ", ".join(f"similarity_matrix.{ending}" for ending in ("png", "svg", "pdf"))
    assert messages == [f"similarity_matrix: {files} in {tmp_path / 'out'}"]
    assert missing["study_prediction"] == ["study_effects", "study_agreement"]
    assert set(missing) == set(COMMAND_FIGURES.names()) - {"similarity_matrix"}


def test_a_figure_by_name_has_nothing_missing(tmp_path: Path):
    save_table(matrix(), tmp_path / "similarity_matrix.csv", {})
    assert simtool.figures(["similarity_matrix"], tmp_path) == {}
    assert (tmp_path / "similarity_matrix.pdf").exists()
