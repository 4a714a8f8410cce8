"""A whole study on toy text: predicted, run, killed and gone on with, recorded once, judged."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from simtool.errors import SimtoolError  # noqa: E402
from simtool.executor import Outcome  # noqa: E402
from simtool.progress import NodeFailed, NodeFinished  # noqa: E402
from simtool.studies import execute as run  # noqa: E402
from simtool.studies.execute import StudyExecution, group_nodes, run_study, steps_of_nodes  # noqa: E402
from simtool.studies.plan import plan  # noqa: E402
from simtool.studies.prepare import plan_runs, prepare  # noqa: E402
from simtool.studies.presets import find_preset  # noqa: E402
from simtool.studies.records import read_records  # noqa: E402
from simtool.studies.worker import NOT_SAVED  # noqa: E402
from simtool.training.trainer import batches_of, steps_of  # noqa: E402


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


def test_seeds_and_arms_as_ensembles_find_what_they_find_one_by_one(study, finished, tmp_path, monkeypatch, options):
    handed, run_nodes = [], run.run_nodes
    monkeypatch.setattr(run, "run_nodes", lambda jobs, report: handed.append(len(jobs)) or run_nodes(jobs, report))
    outcome = run_study(study, tmp_path, options, StudyExecution("cpu", 1, ensemble=16))
    assert handed == [2, 6, 6]  # two trunks; control, midtraining and CPT of both; a leaf of each
    assert len(outcome.results) == 14 and not outcome.failed

    def losses(folder):
        rows = read_records(folder / "records.jsonl")
        return {(row["node"], row["arm"], row["corpus"], row["split"]): row["nats_per_token"] for row in rows}

    assert losses(tmp_path) == pytest.approx(losses(finished[0]), abs=1e-3)
    # an ensemble's end is a checkpoint like another: single runs go on from it
    for node in (tmp_path / "runs").iterdir():
        if not list(node.glob("checkpoints/*/optimizer.safetensors")):
            shutil.rmtree(node)  # leaves: their weights are not saved
    again = run_study(study, tmp_path, options, StudyExecution("cpu", 1))
    assert len(again.results) == 14 and sum(result["tokens"] > 0 for result in again.results.values()) == 6
    assert losses(tmp_path) == pytest.approx(losses(finished[0]), abs=1e-3)


def test_a_member_that_fails_takes_what_goes_on_from_it_along_and_nothing_else(study, tmp_path, monkeypatch, options):
    several = replace(study, learning_rate={"tiny": 5e-3})
    run_nodes = run.run_nodes

    def fail_one(jobs, report):
        results = run_nodes(jobs, report)
        if not jobs[0]["parents"]:
            shutil.rmtree(Path(jobs[0]["folder"]) / "checkpoints")
            results[0] = SimtoolError("a trunk that failed")
        return results

    monkeypatch.setattr(run, "run_nodes", fail_one)
    outcome = run_study(several, tmp_path, options, StudyExecution("cpu", 1, ensemble=16))
    messages = [str(error) for error in outcome.failed.values()]
    assert messages.count("a trunk that failed") == 1 and messages.count(NOT_SAVED) == len(messages) - 1 == 6
    assert len(outcome.results) == 7 and not outcome.skipped


def test_what_is_stacked_in_shared_mini():
    """Per size 3 trunks and 24 arms of equal length in groups of at most 16; leaves by target, 48 of each."""
    study = find_preset("shared-mini")
    whole = plan(study, "f" * 16, dict.fromkeys(study.targets, 1000))
    lengths = {"": 0, **{target: i for i, target in enumerate(study.targets, 1)}}
    steps = {key: lengths[node.target] for key, node in whole.nodes.items()}
    groups = group_nodes(whole.nodes, whole, steps, StudyExecution("cpu", ensemble=16))
    of_text = [[whole.nodes[key] for key in keys] for keys in groups.values() if not whole.nodes[keys[0]].target]
    of_leaves = [[whole.nodes[key] for key in keys] for keys in groups.values() if whole.nodes[keys[0]].target]
    assert sorted(map(len, of_text)) == sorted([3, 16, 8] * 3)
    assert [len(group) for group in of_leaves] == [16] * (3 * 4 * 3)
    for group in of_leaves:
        assert len({(node.model, node.target) for node in group}) == 1
        assert len({node.parent for node in group}) == 8 and len({node.learning_rate for node in group}) == 2
    # equal steps are what counts: targets of equally many stack as well
    together = group_nodes(whole.nodes, whole, dict.fromkeys(whole.nodes, 7), StudyExecution("cpu", ensemble=1000))
    assert sorted(map(len, together.values())) == sorted([3, 24, 192] * 3)
    single = group_nodes(whole.nodes, whole, steps, StudyExecution("cpu"))
    assert all(len(keys) == 1 for keys in single.values())  # on a CPU nothing is gained


def test_steps_of_nodes_are_those_of_the_loop(study, finished, options):
    folder, _ = finished
    stores = prepare(study, folder, options, lambda message: None)
    whole = plan_runs(study, stores, ())
    steps = steps_of_nodes(whole, stores)
    for key, node in whole.nodes.items():
        own = {name: store["train"] for name, store in stores.items()}
        batches = batches_of(node.recipe, own)
        parent = whole.nodes.get(node.parent)
        before = 0 if parent is None or len(parent.recipe.segments()) < len(batches) else steps[parent.key]
        assert steps[key] == steps_of(node.recipe.segments()[-1], batches[-1]) - before


def test_a_study_of_which_all_runs_failed_says_why():
    failed = {
        "a": KeyError("embed"),
        "b": KeyError("embed"),
        "c": SimtoolError("No room.\nMake some."),
        "d": MemoryError(),
    }
    message = str(run.failure_of(Outcome({}, failed, ["e"])))
    assert message == (
        "4 runs failed, 1 could not be tried; none is measured.\n  KeyError: 'embed' (2 runs)\n  No room.\n"
        "  MemoryError\nThe same command tries them again."
    )
    assert "the others are measured" in str(run.failure_of(Outcome({"f": {}}, failed, [])))


def test_another_text_of_any_corpus_is_another_run(study, finished, options):
    folder, _ = finished
    stores = prepare(study, folder, options, lambda message: None)
    node = next(node for node in plan_runs(study, stores, ()).nodes.values() if node.target)
    names = {run._run_name(node, stores)}
    for corpus in run._corpora_of(node):
        other = replace(stores[corpus]["train"], fingerprint="another")
        names.add(run._run_name(node, stores | {corpus: {"train": other}}))
    assert len(run._corpora_of(node)) > 1 and len(names) == 1 + len(run._corpora_of(node))
