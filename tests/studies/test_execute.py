"""A whole study on toy text: predicted, run, killed and gone on with, recorded once, judged."""

import json
import shutil
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("statsmodels")

from simtool.errors import SimtoolError, TrainingDiverged  # noqa: E402
from simtool.page.study import load_study  # noqa: E402
from simtool.page.study_section import trained  # noqa: E402
from simtool.progress import NodeFinished  # noqa: E402
from simtool.studies import execute as run  # noqa: E402
from simtool.studies import worker as node  # noqa: E402
from simtool.studies.conclusions import analyze, save_conclusions  # noqa: E402
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
    # what a study writes is what a report reads
    given = load_study(finished[0])
    assert given.sentences == found.sentences
    shown = trained(given).html()
    assert set(given.tables) >= {"study_effects", "study_losses"}
    assert all(f"{name}.csv, {len(rows)} rows" in shown for name, rows in given.tables.items())


def test_a_failed_run_is_reported_and_the_others_go_on(study, finished, tmp_path, monkeypatch, options):
    def sometimes(jobs, report):
        if jobs[0]["recipe"]["seed"] == 1:
            raise SimtoolError("no room")
        return run_nodes(jobs, report)

    run_nodes = run.run_nodes
    monkeypatch.setattr(run, "run_nodes", sometimes)
    outcome = run_study(study, tmp_path, options, StudyExecution("cpu", 1))
    assert len(outcome.results) == 7 and len(outcome.failed) == 1 and len(outcome.skipped) == 6


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


def test_an_ensemble_that_diverges_is_trained_in_halves_and_the_last_one_is_told(monkeypatch):
    tried = []

    def side_by_side(jobs):
        tried.append(list(jobs))
        if 3 in jobs:
            raise TrainingDiverged("The loss is nan.")
        return [{"job": job} for job in jobs]

    def alone(job):
        if job == 3:
            raise SimtoolError("Still nan.")
        return {"job": job}

    monkeypatch.setattr(node, "finished_result", lambda job: {"job": job} if job == 0 else None)
    monkeypatch.setattr(node, "_run_ensemble", side_by_side)
    monkeypatch.setattr(node, "_run_single", alone)
    told = []
    found = node.run_nodes([0, 1, 2, 3, 4], told.append)
    assert [str(one) if isinstance(one, SimtoolError) else one["job"] for one in found] == [0, 1, 2, "Still nan.", 4]
    assert tried == [[1, 2, 3, 4], [1, 2], [3, 4]]
    assert told[0] == "4 models as an ensemble: The loss is nan. Going on with half as many."
    with pytest.raises(SimtoolError, match="Still nan"):
        node.run_nodes([3], told.append)


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


@pytest.mark.parametrize(
    ("error", "halved"),
    [
        (TrainingDiverged("The loss is nan."), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("element 0 of tensors does not require grad"), False),
        (SimtoolError("What they go on from is not saved."), False),
        (KeyError("embed_out.weight"), False),
    ],
)
def test_only_memory_and_divergence_make_an_ensemble_go_on_in_halves(error, halved, monkeypatch):
    def fail(jobs):
        raise error

    monkeypatch.setattr(node, "finished_result", lambda job: None)
    monkeypatch.setattr(node, "_run_ensemble", fail)
    monkeypatch.setattr(node, "_run_single", lambda job: {"job": job})
    messages = []
    if halved:
        assert node.run_nodes([1, 2], messages.append) == [{"job": 1}, {"job": 2}]
        assert messages == [f"2 models as an ensemble: {error} Going on with half as many."]
    else:
        with pytest.raises(type(error)) as raised:
            node.run_nodes([1, 2], messages.append)
        assert raised.value is error and not messages
