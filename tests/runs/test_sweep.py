"""Settings are selected on one split and reported on another."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from simtool.errors import SimtoolError  # noqa: E402
from simtool.runs import sweep as sweep_module  # noqa: E402
from simtool.runs.run import last_checkpoint, selected_run  # noqa: E402
from simtool.runs.sweep import check_disjoint, sweep_fine_tuning  # noqa: E402
from simtool.training.trainer import Execution  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import toys  # noqa: E402

QUIET = Execution("cpu")


def test_a_sweep_selects_on_one_split_and_reports_another(tmp_path):
    selection, test = (toys.toy_store("sums", 30, seed=seed, examples=True) for seed in (1, 2))
    recipe = toys.recipe(toys.phase(steps=20), toys.sft(epochs=2))
    sweep = sweep_fine_tuning(recipe, toys.STORES, selection, test, tmp_path, [1e-5, 5e-3], execution=QUIET)
    responses = [row for row in sweep.rows if row["loss_on"] == "response"]
    assert [row["learning_rate"] for row in responses] == [1e-5, 5e-3]
    assert [row["selected"] for row in responses] == [False, True]  # the rate that learns something
    assert sweep.best.phases[-1].learning_rate == 5e-3
    assert {row["store"] for row in sweep.reported} == {test.fingerprint}
    assert len((tmp_path / "sweep.jsonl").read_text().splitlines()) == len(sweep.rows) + len(sweep.reported)
    # a sweep is given where a run is, and stands for the run that was selected
    assert selected_run(tmp_path) == tmp_path / f"lr{sweep.best.phases[-1].learning_rate:g}-epochs2"
    assert last_checkpoint(tmp_path).name == sweep.best.fingerprint


def test_a_sweep_on_the_split_that_is_reported_is_refused(tmp_path):
    store = toys.toy_store("sums", 30, seed=1, examples=True)
    with pytest.raises(SimtoolError, match="What is reported must not be what was selected on"):
        sweep_fine_tuning(toys.recipe(toys.sft()), toys.STORES, store, store, tmp_path, [1e-3])


def test_documents_that_selected_a_run_are_not_reported_on():
    selection, other = (toys.toy_store("sums", 30, seed=seed, examples=True) for seed in (1, 2))
    check_disjoint(selection, other)
    hashes = other.hashes.copy()
    hashes[3] = selection.hashes[5]
    with pytest.raises(SimtoolError, match="have 1 documents in common"):
        check_disjoint(selection, replace(other, hashes=hashes))


def test_a_run_is_selected_by_the_loss_that_it_trains(tmp_path, monkeypatch):
    nats = {("text", 1e-3): 1.0, ("response", 1e-3): 3.0, ("text", 1e-4): 2.0, ("response", 1e-4): 2.5}

    def measured(checkpoint, stores, *_):
        of = [SimpleNamespace(loss_on=part, nats_per_token=nats[part, checkpoint]) for part in ("text", "response")]
        for losses in of:
            losses.row = lambda losses=losses: {"loss_on": losses.loss_on, "nats_per_token": losses.nats_per_token}
        return of

    rate_of = lambda recipe, *_: SimpleNamespace(checkpoint=recipe.phases[-1].learning_rate)  # noqa: E731
    monkeypatch.setattr(sweep_module, "train", rate_of)
    monkeypatch.setattr(sweep_module, "measure", measured)
    selection, test = (toys.toy_store("sums", 30, seed=seed, examples=True) for seed in (1, 2))
    recipe = toys.recipe(toys.phase(steps=20), toys.sft(epochs=2))
    sweep = sweep_fine_tuning(recipe, toys.STORES, selection, test, tmp_path, [1e-3, 1e-4])
    assert sweep.best.phases[-1].learning_rate == 1e-4
