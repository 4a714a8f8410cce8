"""Checkpoints are whole or not there, also when a thread writes them; a recipe finds its longest beginning."""

import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import load_file  # noqa: E402

from simtool.errors import SimtoolError  # noqa: E402
from simtool.mixture import Mixture  # noqa: E402
from simtool.training import checkpoints  # noqa: E402
from simtool.training.checkpoints import (  # noqa: E402
    CheckpointWriter,
    Saved,
    export_checkpoint,
    find_checkpoint,
    load_checkpoint,
    locked,
)
from simtool.training.model import build_model, load_model  # noqa: E402
from simtool.training.position import Position, read_position  # noqa: E402
from simtool.training.recipes import Phase, Recipe  # noqa: E402
from simtool.training.trainer import train  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
import toys  # noqa: E402
from toy_runs import QUIET, weights  # noqa: E402
from toys import MIX, STEP, STORES, phase, recipe, sft  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

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


# ---- in runs ---------------------------------------------------------------------------------------------


def test_two_runs_on_one_folder(tmp_path):
    with locked(tmp_path), pytest.raises(SimtoolError, match="Another run is training in"):
        train(recipe(), STORES, tmp_path, QUIET)


def test_a_damaged_checkpoint_is_found(tmp_path):
    done = train(recipe(phase(steps=8)), STORES, tmp_path, QUIET)
    path = done.checkpoint / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SimtoolError, match="does not match its hash"):
        load_checkpoint(done.checkpoint, build_model("tiny", toys.VOCABULARY, 0), None, done.recipe)
    with pytest.raises(SimtoolError, match="does not match its hash"):
        train(recipe(phase(steps=8), sft()), STORES, tmp_path / "b", QUIET, [tmp_path])
    with pytest.raises(SimtoolError, match="does not match its hash"):  # what `evaluate` reads
        load_model(done.checkpoint)
    with pytest.raises(SimtoolError, match="does not match its hash"):
        export_checkpoint(done.checkpoint, tmp_path / "exported", None, None)
    assert not (tmp_path / "exported").exists()


def test_a_full_disk_leaves_the_checkpoints_before(tmp_path, monkeypatch):
    plain, calls = checkpoints.save_file, []

    def full(*given):
        calls.append(1)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        plain(*given)

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(SimtoolError, match=r"No space left on device\. Make room, and run the same command again"):
        train(recipe(), STORES, tmp_path, replace(QUIET, save_steps=5))
    kept = list((tmp_path / "checkpoints").iterdir())
    assert [path.name for path in kept] == [recipe().prefix(0, 5)]
    monkeypatch.undo()
    assert train(recipe(), STORES, tmp_path, QUIET).began == kept[0]


def test_only_the_last_and_the_kept_stay(tmp_path):
    halves = recipe(phase(steps=12, schedule_tokens=20 * STEP), phase("more", 8, schedule_done=12 * STEP))
    done = train(halves, STORES, tmp_path, replace(QUIET, save_steps=2, keep_last=2))
    there = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert there == {halves.prefix(0, 12), halves.fingerprint, halves.prefix(0, 16), halves.prefix(0, 18)}
    assert [path.name for path in done.ends.values()] == [halves.prefix(0, 12), halves.fingerprint]


def test_what_a_killed_run_left_half_written_is_no_checkpoint(tmp_path):
    run = train(recipe(phase(steps=4)), STORES, tmp_path / "run", QUIET)
    half = run.checkpoint.parent / ".saving.killed"
    half.mkdir()
    (half / "position.json").touch()
    assert find_checkpoint(run.recipe, [half.parent]).folder == run.checkpoint


def test_a_run_that_stayed_longer_is_no_beginning(tmp_path):
    # 20 steps of web and no more cannot be where a recipe goes on that leaves web after 12
    train(recipe(phase(steps=20)), STORES, tmp_path / "long", QUIET)
    left = recipe(phase(steps=12, schedule_tokens=20 * toys.STEP), phase("mid", 8, MIX))
    assert train(left, STORES, tmp_path / "left", QUIET, [tmp_path / "long"]).began is None


def test_a_fork_in_the_middle_of_a_phase(tmp_path):
    whole = train(recipe(phase(steps=12)), STORES, tmp_path / "whole", QUIET)
    early = recipe(phase(steps=8, schedule_tokens=12 * STEP), phase("mid", 4, MIX))
    train(early, STORES, tmp_path / "early", QUIET)
    saved = find_checkpoint(recipe(phase(steps=12)), [tmp_path / "early" / "checkpoints"])
    assert (saved.segment, saved.step) == (0, 8)
    again = train(recipe(phase(steps=12)), STORES, tmp_path / "again", QUIET, [tmp_path / "early"])
    assert again.began == saved.folder
    assert weights(again.checkpoint) == weights(whole.checkpoint)


def test_an_export_is_loaded_by_transformers_and_writes(tmp_path, uninterrupted):
    transformers = pytest.importorskip("transformers")
    folder = export_checkpoint(uninterrupted.checkpoint, tmp_path / "export", None, None)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.tensor([[0, 5, 9]])
    with torch.no_grad():
        assert torch.allclose(theirs(ids).logits, load_model(folder)(ids), atol=1e-4)
    written = theirs.generate(ids, max_new_tokens=4, do_sample=False, pad_token_id=0, eos_token_id=None)
    assert written.shape == (1, 7)


def test_another_text_under_the_same_name(tmp_path):
    train(recipe(phase(steps=8)), STORES, tmp_path / "a", QUIET)
    longer = recipe(phase(steps=8), phase("mid", 4, MIX))
    with pytest.raises(SimtoolError, match="was trained on another text of web"):
        train(longer, {**STORES, "web": toys.toy_store("web", seed=1)}, tmp_path / "b", QUIET, [tmp_path / "a"])


def test_another_tokenizer(tmp_path):
    other = replace(recipe(), tokenizer="e" * 16)
    with pytest.raises(SimtoolError, match=r"web is tokenized under f{16}, the recipe says e{16}"):
        train(other, STORES, tmp_path, QUIET)


@pytest.mark.parametrize(
    ("files", "named", "exported"),
    [
        (["tokenizer.json"], "tokenizer.json", ["tokenizer.json", "tokenizer_config.json"]),
        (["any.model"], "any.model", ["any.model"]),
        (["vocab.json", "merges.txt", "tokenizer_config.json"], "tokenizer_config.json",
         ["merges.txt", "tokenizer_config.json", "vocab.json"]),
    ],
)  # fmt: skip
def test_an_export_has_the_files_of_its_tokenizer(tmp_path, uninterrupted, files, named, exported):
    for name in files:
        (tmp_path / name).write_text(name)
    folder = export_checkpoint(uninterrupted.checkpoint, tmp_path / "export", tmp_path / named, "</s>")
    assert sorted({path.name for path in folder.iterdir()} - {"config.json", "model.safetensors"}) == exported
    assert (folder / exported[0]).read_text() == exported[0]


def test_an_export_on_a_full_disk_leaves_the_one_before(tmp_path, uninterrupted, monkeypatch):
    folder = export_checkpoint(uninterrupted.checkpoint, tmp_path / "export", None, None)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "config.json").write_text("{}")

    def copy(source, target):
        target.write_bytes(source.read_bytes()[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.shutil, "copyfile", copy)
    with pytest.raises(SimtoolError, match=r"Cannot write to .*: No space left on device"):
        export_checkpoint(uninterrupted.checkpoint, folder, None, None)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after == {**before, "config.json": b"{}"}


def test_a_run_is_taken_up_where_it_is_farthest(monkeypatch):
    places = {"early": (0, 90), "late": (1, 10), "later": (1, 20), "elsewhere": None}
    monkeypatch.setattr(checkpoints, "_positions", lambda folders: [(Path(name), None) for name in places])
    at = lambda recipe, folder, _: places[folder.name] and Saved(folder, None, *places[folder.name])  # noqa: E731
    monkeypatch.setattr(checkpoints, "place", at)
    assert find_checkpoint(recipe(phase()), []).folder == Path("later")


def test_a_checkpoint_of_another_tokenizer_is_refused(tmp_path):
    run = train(recipe(phase(steps=1)), STORES, tmp_path, QUIET)
    model = build_model("tiny", toys.VOCABULARY, 0)
    with pytest.raises(SimtoolError, match=r"was trained under the tokenizer .*Use the tokenizer of the checkpoint"):
        load_checkpoint(run.checkpoint, model, None, replace(run.recipe, tokenizer="another"))
