"""Figures from the command line: what cannot be drawn is said, and is no error."""

from simtool.tables import save_table
from tests.conftest import simtool
from tests.plots.example_tables import matrix


def test_what_lacks_a_table_is_said_and_the_rest_is_drawn(tmp_path):
    save_table(matrix(), tmp_path / "similarity_matrix.csv", {})
    done = simtool("figures", "--tables", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("similarity_matrix: similarity_matrix.png, ")
    assert "study_prediction: not drawn, no table study_effects, study_agreement" in done.stderr.splitlines()
    assert (tmp_path / "out" / "similarity_matrix.pdf").exists()


def test_an_unknown_figure_is_one_message(tmp_path):
    done = simtool("figures", "similarity_matrx", "--tables", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("simtool: Unknown figure 'similarity_matrx'. Did you mean 'similarity_matrix'?")
