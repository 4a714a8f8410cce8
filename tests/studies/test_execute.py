"""A whole study on toy text: predicted, run, killed and gone on with, recorded once, judged."""

import shutil
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from simtool.errors import SimtoolError  # noqa: E402
from simtool.progress import NodeFailed, NodeFinished  # noqa: E402
from simtool.studies import execute as run  # noqa: E402
from simtool.studies.execute import StudyExecution, run_study  # noqa: E402
from simtool.studies.records import read_records  # noqa: E402


def test_everything_is_trained_and_recorded_once(study, finished):
    folder, told = finished
    # two seeds x (trunk + control, midtraining, CPT + a leaf of each)
    assert sum(isinstance(one, NodeFinished) for one in told) == 2 * (1 + 3 + 3)
    rows = read_records(folder / "records.jsonl")
    after = [row for row in rows if row["phase"] == "sft" and row["role"] == "target"]
    assert len(after) == 6 and {row["seed"] for row in after} == {0, 1}
    for row in rows:
        assert sum(row["achieved"].values()) >= row["tokens"]


def test_the_prediction_is_older_than_the_first_run(finished):
    folder, _ = finished
    first = min(path.stat().st_mtime for path in (folder / "runs").glob("*/recipe.json"))
    assert (folder / "prediction.json").stat().st_mtime <= first


def test_a_study_that_is_done_trains_nothing_again(study, finished, monkeypatch, options):
    folder, _ = finished
    monkeypatch.setattr(run, "run_nodes", lambda jobs, report: pytest.fail("a run that is done was handed out"))
    before = (folder / "records.jsonl").read_bytes()
    outcome = run_study(study, folder, options, StudyExecution("cpu", 1))
    assert (folder / "records.jsonl").read_bytes() == before
    assert len(outcome.results) == 14 and all(result["tokens"] == 0 for result in outcome.results.values())


def test_gone_on_with_after_a_kill_it_finds_the_same(study, finished, tmp_path, options):
    """Half of the runs gone, one of the others damaged, and the records cut in the middle of a line."""
    folder = tmp_path / "again"
    shutil.copytree(finished[0], folder)
    for path in sorted((folder / "runs").iterdir())[::2]:
        shutil.rmtree(path)
    next((folder / "runs").glob("*/done.json")).write_text("{")
    text = (folder / "records.jsonl").read_text()
    (folder / "records.jsonl").write_text(text[: len(text) // 2])
    run_study(study, folder, options, StudyExecution("cpu", 1))

    def losses(where):
        rows = read_records(where / "records.jsonl")
        return {(r["node"], r["arm"], r["corpus"], r["split"]): r["nats_per_token"] for r in rows}

    assert losses(folder) == losses(finished[0])
    assert len(read_records(folder / "records.jsonl")) == len(read_records(finished[0] / "records.jsonl"))


def test_another_study_shares_the_runs(study, finished, tmp_path, options):
    outcome = run_study(study, tmp_path, options, StudyExecution("cpu", 1, runs=finished[0] / "runs"))
    assert len(outcome.results) == 14 and all(result["tokens"] == 0 for result in outcome.results.values())


def test_part_of_it_can_be_asked_for(study, tmp_path, options):
    outcome = run_study(study, tmp_path, options, StudyExecution("cpu", 1, only=("control/*",)))
    assert len(outcome.results) == 2 * 3
    with pytest.raises(SimtoolError, match=r"^Nothing of the study matches nobody\."):
        run_study(study, tmp_path, options, StudyExecution("cpu", 1, only=("nobody",)))


def test_a_failed_run_is_reported_and_the_others_go_on(study, finished, tmp_path, monkeypatch, options):
    def sometimes(jobs, report):
        if jobs[0]["recipe"]["seed"] == 1:
            raise SimtoolError("no room")
        return run_nodes(jobs, report)

    run_nodes = run.run_nodes
    monkeypatch.setattr(run, "run_nodes", sometimes)
    messages = []
    outcome = run_study(study, tmp_path, options, StudyExecution("cpu", 1), messages.append)
    assert len(outcome.results) == 7 and len(outcome.failed) == 1 and len(outcome.skipped) == 6
    assert NodeFailed("tiny seed 1: trunk", "no room") in messages


def test_rates_as_an_ensemble_find_what_they_find_one_by_one(study, tmp_path, monkeypatch, options):
    several = replace(study, sft_rates=(1e-4, 1e-3, 3e-3), seeds=(0,))
    only = ("control/*",)
    run_study(several, tmp_path / "alone", options, StudyExecution("cpu", 1, only=only))
    handed, run_nodes = [], run.run_nodes
    monkeypatch.setattr(run, "run_nodes", lambda jobs, report: handed.append(len(jobs)) or run_nodes(jobs, report))
    told = []
    run_study(several, tmp_path / "together", options, StudyExecution("cpu", 1, only=only, ensemble=2), told.append)
    assert handed == [1, 1, 2, 1]  # the trunk, the control, two of its leaves and the third

    def losses(folder):
        rows = read_records(folder / "records.jsonl")
        assert len(rows) == len({(row["node"], row["corpus"], row["split"]) for row in rows})
        return {(row["node"], row["corpus"], row["split"]): row["nats_per_token"] for row in rows}

    alone, together = losses(tmp_path / "alone"), losses(tmp_path / "together")
    assert together == pytest.approx(alone, abs=1e-4)
    devices = {row["device"] for row in read_records(tmp_path / "together" / "records.jsonl")}
    assert sum("2 models as an ensemble" in device for device in devices) == 1


def test_a_rate_at_which_training_diverges_leaves_the_others_measured(study, tmp_path, options):
    several = replace(study, sft_rates=(1e-3, 1e30, 3e-3), seeds=(0,))
    place = StudyExecution("cpu", 1, only=("control/*",), ensemble=3)
    told = []
    outcome = run_study(several, tmp_path, options, place, told.append)
    (failed,) = outcome.failed.values()
    assert "the loss is nan" in str(failed)
    assert len(outcome.results) == 4 and not outcome.skipped
    rows = read_records(tmp_path / "records.jsonl")
    assert {row["learning_rate"] for row in rows if row["phase"] == "sft"} == {1e-3, 3e-3}
    assert any("3 models as an ensemble" in str(message) for message in told)
