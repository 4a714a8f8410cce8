"""Settings are selected on one split and reported on another."""

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from simtool.errors import SimtoolError  # noqa: E402
from simtool.runs.run import last_checkpoint, selected_run  # noqa: E402
from simtool.runs.sweep import sweep_fine_tuning  # noqa: E402
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
