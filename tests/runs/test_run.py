"""Measured at the end of each phase, once."""

import json
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from simtool.runs import run  # noqa: E402
from simtool.runs.run import train_and_measure  # noqa: E402
from simtool.training.trainer import Execution  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import toys  # noqa: E402

QUIET = Execution("cpu")


def test_losses_fall_where_training_went_and_are_kept(tmp_path, monkeypatch):
    held = [toys.toy_store(name, 40, seed=9) for name in ("web", "code")]
    recipe = toys.recipe(toys.phase(steps=40), toys.phase("mid", 25, toys.Mixture({"code": 1.0})))
    _, rows = train_and_measure(recipe, toys.STORES, held, tmp_path, QUIET)
    loss = {(row["phase"], row["corpus"]): row["nats_per_token"] for row in rows}
    assert len(loss) == 4
    assert loss["mid", "code"] < loss["pre", "code"]  # learnt
    assert loss["mid", "web"] > loss["pre", "web"]  # forgotten
    kept = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    assert [row["nats_per_token"] for row in kept] == [row["nats_per_token"] for row in rows]
    monkeypatch.setattr(run, "evaluate", None)  # what was measured is not measured again
    assert train_and_measure(recipe, toys.STORES, held, tmp_path, QUIET)[1] == rows
