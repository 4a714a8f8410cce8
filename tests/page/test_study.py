"""The tables of a study as they lie in its folder."""

import pytest

from simtool.errors import SimtoolError
from simtool.page.study import load_study
from tests.page.conftest import write_study


def test_sentences_that_are_none(tmp_path):
    folder = write_study(tmp_path / "study")
    assert load_study(folder).sentences == ("Code helps code <b>here</b>.",)
    (folder / "tables" / "conclusions.json").write_text('{"a": 1}')
    with pytest.raises(SimtoolError, match="holds no list of sentences"):
        load_study(folder)


def test_tables_that_are_missing_have_no_rows(tmp_path):
    study = load_study(write_study(tmp_path / "mine"))
    assert study.name == "mine"
    assert study.rows("study_agreement") == []
    assert [row["arm"] for row in study.rows("study_effects")] == ["starcoder 0.2", "math 0.2", "math 0.2"]
    assert study.facts["study_timing"]["machine"] == "a desk"


def test_the_plan_names_the_study(tmp_path):
    folder = write_study(tmp_path / "mine")
    (folder / "study.json").write_text('{"name": "quick"}')
    assert load_study(folder).name == "quick"
    (folder / "study.json").write_text("{")
    with pytest.raises(SimtoolError, match=r"^Cannot read .*study\.json: .* Run the study's command again\.$"):
        load_study(folder)
