"""Mirrors of metrics, held against stand-ins of the packages that they are written for."""

import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from simtool.errors import SimtoolError
from simtool.progress import TrainingProgress
from simtool.training.tracking import SHOWN, mirrored

FACTS = {"fingerprint": "abc", "model": "nano"}
STEP = TrainingProgress("pre", 10, 20, 1280, 3.5, 1e-3, 0.7, 99.0, 0.4, 5.0)
VALUES = {
    "pre/loss": 3.5,
    "pre/learning_rate": 1e-3,
    "pre/gradient_norm": 0.7,
    "pre/tokens_per_second": 99.0,
    "pre/mfu": 0.4,
}


class Hosted(SimpleNamespace):
    """wandb and trackio as modules: what was called, in order."""

    def __init__(self):
        super().__init__(told=[])

    def init(self, **given):
        self.told.append(("init", given))

    def define_metric(self, name, step_metric):
        self.told.append(("define", name, step_metric))

    def log(self, values, step=None):
        self.told.append(("log", values, step))

    def finish(self):
        self.told.append(("finish",))


def test_every_shown_value_is_one_of_a_progress():
    assert set(SHOWN) <= set(TrainingProgress.__dataclass_fields__)


def test_wandb(tmp_path, monkeypatch):
    module = Hosted()
    monkeypatch.setitem(sys.modules, "wandb", module)
    with mirrored("wandb", tmp_path / "run", FACTS) as report:
        report("a sentence is not a metric")
        report(STEP)
    (_, begun), *rest = module.told
    assert (begun["name"], begun["id"], begun["resume"], begun["config"]) == ("run", "abc", "allow", FACTS)
    assert rest == [("define", "*", "tokens"), ("log", {**VALUES, "tokens": 1280}, None), ("finish",)]


def test_trackio_is_finished_when_training_stops(tmp_path, monkeypatch):
    module = Hosted()
    monkeypatch.setitem(sys.modules, "trackio", module)
    with pytest.raises(KeyboardInterrupt), mirrored("trackio", tmp_path / "run", FACTS) as report:
        report(STEP)
        raise KeyboardInterrupt
    assert module.told[0][1]["name"] == "run-abc"
    assert module.told[1:] == [("log", {**VALUES, "tokens": 1280}, 1280), ("finish",)]


def test_tensorboard(tmp_path, monkeypatch):
    told = []

    class SummaryWriter:
        def __init__(self, folder):
            told.append(folder)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            told.append("closed")

        def add_scalar(self, *given):
            told.append(given)

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=SummaryWriter))
    with mirrored("tensorboard", tmp_path, FACTS) as report:
        report(STEP)
    assert told == [str(tmp_path / "tensorboard"), *((name, value, 1280) for name, value in VALUES.items()), "closed"]


@pytest.mark.parametrize("name", ["wandb", "trackio", "tensorboard"])
def test_a_package_that_is_not_here(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard" if name == "tensorboard" else name, None)
    message = f"--track {name} needs the package {name}: pip install {name}. metrics.jsonl is written without it."
    with pytest.raises(SimtoolError) as error, mirrored(name, tmp_path, FACTS):
        pass
    assert str(error.value) == message


def test_no_tracker_and_an_unknown_one(tmp_path):
    with mirrored(None, tmp_path / "run", FACTS) as report:
        report(STEP)
    assert not (tmp_path / "run").exists()
    with (
        pytest.raises(SimtoolError, match=r"Unknown tracker 'wand'\. Did you mean 'wandb'"),
        mirrored("wand", tmp_path, {}),
    ):
        pass
