"""What a study concludes: tables with provenance, sentences, and what a page reads of them."""

import json

import pytest

pytest.importorskip("torch")

from simtool.api.study import train_eval
from simtool.errors import SimtoolError
from simtool.page.study import load_study
from simtool.page.study_section import trained
from simtool.studies import execute
from simtool.studies.conclusions import analyze, save_conclusions
from simtool.studies.execute import StudyExecution


def test_what_was_found_is_in_tables_with_provenance(study, finished):
    found = analyze(finished[0])
    effects = found.tables["study_effects"]
    assert effects.height == 2 and set(effects["n_seeds"]) == {2}
    assert (effects["low"] <= effects["relative_improvement"]).all()
    paths = save_conclusions(found, finished[0] / "tables")
    for path in paths:
        told = json.loads(path.with_suffix(".json").read_text())
        assert told["prediction"] == json.loads((finished[0] / "prediction.json").read_text())["content_sha256"]
    assert len(found.sentences) >= 2
    assert str(found).splitlines() == [f"Conclusions of the study {study.name}", *found.sentences]
    assert found.to_polars().equals(effects)
    # what a study writes is what a report reads
    given = load_study(finished[0])
    assert given.sentences == found.sentences
    shown = trained(given).html()
    assert set(given.tables) >= {"study_effects", "study_losses"}
    assert all(f"{name}.csv, {len(rows)} rows" in shown for name, rows in given.tables.items())


def test_a_study_in_which_each_run_fails_is_reported_as_that(study, tmp_path, monkeypatch, options):
    """It has no effects, and "no arm and its control are done" would hide why."""

    def fail(jobs, report):
        raise SimtoolError("no room")

    monkeypatch.setattr(execute, "run_nodes", fail)
    outcome, conclusions = train_eval(study, tmp_path, options, StudyExecution("cpu", 1))
    assert conclusions is None
    assert {str(error) for error in outcome.failed.values()} == {"no room"} and len(outcome.skipped) == 12


def test_without_records_a_study_has_no_conclusions(study, tmp_path):
    with pytest.raises(SimtoolError, match=r"^No study at .*: it has no study\.json\.$"):
        analyze(tmp_path)
