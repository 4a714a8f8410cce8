"""A checkpoint that is written by a thread is of the step that it was begun at, and whole or not there."""

import threading

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import load_file  # noqa: E402

from simtool.errors import SimtoolError  # noqa: E402
from simtool.mixture import Mixture  # noqa: E402
from simtool.training import checkpoints  # noqa: E402
from simtool.training.checkpoints import CheckpointWriter, Position, read_position  # noqa: E402
from simtool.training.recipes import Phase, Recipe  # noqa: E402

RECIPE = Recipe("nano", "f" * 16, (Phase("pre", Mixture({"c4": 1.0}), 640, 1e-3, batch_size=4),), sequence_length=16)


def position(step: int) -> Position:
    return Position(f"step{step}", (step,), 64 * step, {"c4": "abc"}, False, 0)


def state(value: float) -> dict[str, dict[str, torch.Tensor]]:
    return {"model.safetensors": {"w": torch.full((3,), value)}, "optimizer.safetensors": {"m": torch.zeros(1)}}


@pytest.fixture
def slow(monkeypatch):
    """Writing waits until it is let go."""
    go, plain = threading.Event(), checkpoints.save_file

    def waiting(*inputs):
        assert go.wait(10)
        plain(*inputs)

    monkeypatch.setattr(checkpoints, "save_file", waiting)
    return go


def test_training_goes_on_while_a_copy_is_written(tmp_path, slow):
    with CheckpointWriter(tmp_path, 2) as writer:
        weights = state(1.0)
        writer.save(weights, {}, position(1), RECIPE)
        weights["model.safetensors"]["w"].fill_(2.0)  # the next update
        assert not (tmp_path / "step1").exists() and writer.last_saved is None
        slow.set()
    assert writer.last_saved == tmp_path / "step1"
    assert load_file(tmp_path / "step1" / "model.safetensors")["w"].tolist() == [1.0] * 3
    assert read_position(tmp_path / "step1")[0] == position(1)


def test_checkpoints_are_written_in_order_and_pruned(tmp_path):
    with CheckpointWriter(tmp_path, 2) as writer:
        for step in range(1, 6):
            writer.save(state(float(step)), {}, position(step), RECIPE)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["step4", "step5"]


def test_what_goes_wrong_in_the_thread_is_raised_at_the_next_call(tmp_path, monkeypatch):
    def full(*inputs):
        raise OSError(28, "No space left on device")

    writer = CheckpointWriter(tmp_path, 2)
    monkeypatch.setattr(checkpoints, "save_file", full)
    writer.save(state(1.0), {}, position(1), RECIPE)
    with pytest.raises(SimtoolError, match="No space left on device"):
        writer.save(state(2.0), {}, position(2), RECIPE)
    writer.save(state(3.0), {}, position(3), RECIPE)
    with pytest.raises(SimtoolError, match="No space left on device"), writer:
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_training_waits_for_the_writer_and_is_raised_itself(tmp_path, slow):
    def training_stops():
        with CheckpointWriter(tmp_path, 2) as writer:
            writer.save(state(1.0), {}, position(1), RECIPE)
            threading.Timer(0.1, slow.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training_stops()
    assert (tmp_path / "step1" / "position.json").exists()
