"""What training gave, on a page: each table it has, a note for each it lacks, and no number made up."""

from simtool.page.study import StudyTables, load_study
from simtool.page.study_section import grouped, trained
from tests.page.conftest import effect, write_study


def test_rows_are_grouped_in_order_of_appearance():
    rows = [{"arm": "b", "x": 1}, {"arm": "a", "x": 2}, {"arm": "b", "x": 3}]
    assert grouped(rows, "arm") == {("b",): [rows[0], rows[2]], ("a",): [rows[1]]}
    assert list(grouped(rows, "arm")) == [("b",), ("a",)]


def test_each_table_is_shown_or_said_to_be_missing(tmp_path):
    page = trained(load_study(write_study(tmp_path / "study"))).html()
    assert "study_effects.csv, 3 rows; a desk" in page
    assert "study_timing.csv, 6 rows" in page
    assert "The study has no table study_agreement.csv, so this is left out." in page
    # the two seeds' losses after SFT, 2.5 and 2.51
    assert "2.505 (2.500 to 2.510)" in page
    assert "Code helps code &lt;b&gt;here&lt;/b&gt;." in page


def test_what_was_not_measured_is_no_number():
    study = StudyTables("s", {"study_effects": [effect("math 0.2", "gsm8k", None, None)]}, {"study_effects": {}})
    page = trained(study).html()
    assert "not measured" in page and "<svg" not in page


def test_of_many_arms_the_best_has_its_sentence_and_the_others_are_folded():
    rows = [effect(f"arm{i} 0.2", "gsm8k", 0.01 * i, 0.005 * i) for i in range(4)]
    page = trained(StudyTables("s", {"study_effects": rows}, {"study_effects": {}})).html()
    shown, folds = page.split("The 3 others in words")
    assert "<li>arm3" in shown and "<li>arm1" not in shown
    assert all(f"<li>arm{i}" in folds for i in range(3))
