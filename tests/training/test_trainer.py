"""Killed and resumed, forked, split over processes or pieces: the same weights. What goes wrong says what to do."""

import json
import shutil
import signal
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import load_file  # noqa: E402

from simtool.errors import SimtoolError  # noqa: E402
from simtool.mixture import Mixture  # noqa: E402
from simtool.tokens.batches import IGNORED  # noqa: E402
from simtool.training import trainer as loop  # noqa: E402
from simtool.training.model import build_model, load_model  # noqa: E402
from simtool.training.trainer import Execution, train  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
import toys  # noqa: E402
from toy_runs import QUIET, losses, metrics, weights  # noqa: E402
from toys import LONG, STEP, STORES, phase, recipe, sft  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_loss_falls(tmp_path):
    done = train(recipe(phase(steps=60)), STORES, tmp_path, QUIET)
    seen = losses(tmp_path)
    assert seen[0] == pytest.approx(np.log(128), abs=0.3)  # a fresh model knows nothing of 128 entries
    assert np.mean(seen[-5:]) < seen[0] - 1.5
    assert set(done.ends) == {"pre"} and done.began is None


def test_the_loop_is_what_plain_torch_does(tmp_path):
    """The slow way is the specification: all logits, one pass, torch's own AdamW and clipping."""
    given = recipe(phase(steps=5, schedule="linear"))
    done = train(given, STORES, tmp_path, QUIET)
    model = build_model("tiny", toys.VOCABULARY, 0)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95))
    (batches,) = loop.batches_of(given, STORES)
    for i in range(5):
        for group in optimizer.param_groups:
            group["lr"] = given.phases[0].learning_rate_at((i + 0.5) / 5)
        batch = batches.batch(i)
        logits = model(torch.from_numpy(batch.ids))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(batch.targets).flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        assert losses(tmp_path)[i] == pytest.approx(loss.item(), abs=1e-4)
    for name, value in load_file(done.checkpoint / "model.safetensors").items():
        if not name.endswith("query_key_value.bias"):  # a key's bias has no gradient but rounding, which Adam enlarges
            assert torch.allclose(value, model.state_dict()[name], atol=2e-4), name


def test_same_seed_same_bits_and_other_seed_other_bits(tmp_path):
    first, second = (train(recipe(), STORES, tmp_path / name, QUIET) for name in ("a", "b"))
    other = train(recipe(seed=1), STORES, tmp_path / "c", replace(QUIET, deterministic=True))
    again = train(recipe(), STORES, tmp_path / "d", replace(QUIET, deterministic=True))
    assert weights(first.checkpoint) == weights(second.checkpoint) == weights(again.checkpoint)
    assert weights(first.checkpoint) != weights(other.checkpoint)


SCRIPT = """
import os, signal, sys, threading, time, torch
sys.path.insert(0, {tests!r})
torch.set_num_threads(1)
import toys
from pathlib import Path
from simtool.training.trainer import Execution, train
told = []
def slow(message):
    told.append(message)
    if len(told) == {kill_after}:  # while it goes on, so at any place of a step
        threading.Timer(0.06, os.kill, (os.getpid(), signal.SIGKILL)).start()
    time.sleep(0.05)
train(toys.LONG, toys.STORES, Path({folder!r}), Execution("cpu", log_steps=1, save_steps=3), report=slow)
"""


# in the trunk, in midtraining, in SFT; the save of step 6 waits until that of step 3 is on disk
@pytest.mark.parametrize("kill_after", [8, 23, 33])
def test_killed_and_resumed_ends_with_the_same_bits(tmp_path, kill_after, uninterrupted):
    folder = tmp_path / "run"
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder), kill_after=kill_after)
    assert subprocess.run([sys.executable, "-c", script], timeout=300).returncode == -signal.SIGKILL
    done = train(LONG, STORES, folder, replace(QUIET, save_steps=3))
    assert done.began is not None
    assert weights(done.checkpoint) == weights(uninterrupted.checkpoint)
    steps = [(line["phase"], line["step"]) for line in metrics(folder) if line["event"] == "step"]
    assert len(steps) == len(set(steps))  # what was done twice is told once
    assert losses(folder) == losses(uninterrupted.folder)


# of the first release of the format: what is saved under these names is found and gone on from
GOLDEN = {
    "ends": {"pre": "0084586ee10b769a", "mid": "76c3196f82366ea4", "sft": "e7694c3212c24e3f"},
    "position": {"done", "end_of_text", "fingerprint", "kept", "recipe", "sha256", "stores", "tokens"},
    "files": {"config.json", "model.safetensors", "optimizer.safetensors", "position.json"},
    "losses": {0: 5.0741, 19: 2.6435, 29: 2.8735},
}


def test_checkpoints_and_losses_are_those_of_the_first_release(uninterrupted):
    assert {name: folder.name for name, folder in uninterrupted.ends.items()} == GOLDEN["ends"]
    for folder in uninterrupted.ends.values():
        assert {path.name for path in folder.iterdir()} == GOLDEN["files"]
        # the hash came later; who knew none reads past it
        assert json.loads((folder / "position.json").read_text()).keys() == GOLDEN["position"] | {"hash"}
    seen = losses(uninterrupted.folder)
    assert {step: seen[step] for step in GOLDEN["losses"]} == pytest.approx(GOLDEN["losses"], abs=1e-3)


def test_a_finished_run_is_not_run_again(uninterrupted, monkeypatch):
    monkeypatch.setattr(loop._Run, "_train_segment", None)
    again = train(LONG, STORES, uninterrupted.folder, QUIET)
    assert again.ends == uninterrupted.ends


def test_a_fork_is_the_run_it_forks_from(uninterrupted, tmp_path):
    """The same recipe, taken up in another folder from the end of the trunk, ends with the same bits."""
    trunk = train(recipe(LONG.phases[0]), STORES, tmp_path / "trunk", QUIET)
    assert weights(trunk.checkpoint) == weights(uninterrupted.ends["pre"])
    arm = train(recipe(*LONG.phases[:2]), STORES, tmp_path / "arm", QUIET, [trunk.folder])
    assert arm.began == trunk.checkpoint
    assert weights(arm.checkpoint) == weights(uninterrupted.ends["mid"])


def test_an_optimizer_is_carried_or_fresh(uninterrupted, tmp_path):
    fresh = recipe(LONG.phases[0], replace(LONG.phases[1], optimizer="fresh"))
    done = train(fresh, STORES, tmp_path, QUIET, [uninterrupted.folder])
    assert weights(done.checkpoint) != weights(uninterrupted.ends["mid"])
    steps = load_file(done.checkpoint / "optimizer.safetensors")["step.embed_out.weight"]
    carried = load_file(uninterrupted.ends["mid"] / "optimizer.safetensors")["step.embed_out.weight"]
    assert (steps.item(), carried.item()) == (10, 30)


def test_midtraining_does_not_read_the_same_web_text_again():
    first, second, _ = loop.batches_of(LONG, STORES)
    assert second.taken == {"web": 80}  # 20 steps of 4
    assert first.taken == {}


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_pieces_do_not_change_the_numbers(tmp_path, rows, uninterrupted):
    done = train(LONG, STORES, tmp_path, replace(QUIET, micro_batch=rows))
    assert losses(tmp_path) == pytest.approx(losses(uninterrupted.folder), abs=2e-4)
    assert done.ends.keys() == uninterrupted.ends.keys()


def test_out_of_memory_halves_the_rows_and_keeps_the_numbers(tmp_path, monkeypatch, uninterrupted):
    plain = loop.chunked_cross_entropy

    def limited(hidden, *rest):
        if hidden.shape[0] > 1:
            raise torch.OutOfMemoryError("a test")
        return plain(hidden, *rest)

    monkeypatch.setattr(loop, "chunked_cross_entropy", limited)
    told = []
    train(LONG, STORES, tmp_path, QUIET, report=told.append)
    messages = [message for message in told if isinstance(message, str)]
    assert messages == [
        "Out of memory with 4 rows at a time: going on with 2, the same numbers.",
        "Out of memory with 2 rows at a time: going on with 1, the same numbers.",
    ]
    assert losses(tmp_path) == pytest.approx(losses(uninterrupted.folder), abs=2e-4)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_a_retry_finds_the_memory_of_the_attempt_free(tmp_path, monkeypatch, error):
    plain, attempts, alive = loop.chunked_cross_entropy, [], []

    def limited(hidden, *rest):
        alive.append([reference() is not None for reference in attempts])
        attempts.append(weakref.ref(hidden))
        if len(attempts) == 1:
            raise error("CUBLAS_STATUS_ALLOC_FAILED")
        return plain(hidden, *rest)

    monkeypatch.setattr(loop, "chunked_cross_entropy", limited)
    train(recipe(phase(steps=1)), STORES, tmp_path, QUIET)
    assert alive[:2] == [[], [False]]


def test_an_error_that_is_not_memory_is_raised(tmp_path, monkeypatch):
    def broken(*inputs):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(loop, "chunked_cross_entropy", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(recipe(), STORES, tmp_path, QUIET)


def test_a_run_that_halved_its_rows_is_resumed_with_the_same_bits(tmp_path, monkeypatch):
    """Memory runs out at the eighth step, once; the resumed run begins before that, and halves there again."""
    plain, steps = loop._Run._accumulate, []

    def limited(self, pieces, *rest):
        steps.append(len(pieces))
        if len(steps) == 8:
            raise torch.OutOfMemoryError("a test")
        return plain(self, pieces, *rest)

    execution = replace(QUIET, save_steps=5, micro_batch=4, keep_last=9)
    monkeypatch.setattr(loop._Run, "_accumulate", limited)
    whole = train(recipe(phase(steps=12)), STORES, tmp_path / "whole", execution)
    assert steps == [1] * 8 + [2] * 5
    monkeypatch.undo()
    folder = tmp_path / "resumed"
    shutil.copytree(whole.folder, folder)

    def forget_all_but_the_first() -> None:
        for checkpoint in (folder / "checkpoints").iterdir():
            if checkpoint.name != whole.recipe.prefix(0, 5):
                shutil.rmtree(checkpoint)

    forget_all_but_the_first()
    resumed = train(whole.recipe, STORES, folder, execution)
    assert resumed.began.name == whole.recipe.prefix(0, 5)
    assert weights(resumed.checkpoint) == weights(whole.checkpoint)
    (folder / "micro_batches.json").unlink()
    forget_all_but_the_first()
    forgetful = train(whole.recipe, STORES, folder, replace(execution, micro_batch=2))
    assert weights(forgetful.checkpoint) != weights(whole.checkpoint)  # so the bits do depend on it


@pytest.fixture
def reading_late(monkeypatch):
    """As on a GPU: a step's loss is read when the next one's gradients are there."""
    plain = loop._Run._train_segment

    def late(self, *place):
        self.reads_late = True
        plain(self, *place)

    monkeypatch.setattr(loop._Run, "_train_segment", late)


def test_reading_late_changes_nothing(tmp_path, reading_late, uninterrupted):
    done = train(LONG, STORES, tmp_path, replace(QUIET, save_steps=3))
    assert weights(done.checkpoint) == weights(uninterrupted.checkpoint)
    assert losses(tmp_path) == losses(uninterrupted.folder)


def test_an_unsound_step_that_is_read_late_was_not_made(tmp_path, monkeypatch, reading_late):
    plain, calls, models = loop.chunked_cross_entropy, [], []

    def broken(hidden, *rest):
        calls.append(1)
        loss, cross_entropy = plain(hidden, *rest)
        return (loss * torch.nan, cross_entropy * torch.nan) if len(calls) == 8 else (loss, cross_entropy)

    monkeypatch.setattr(loop, "chunked_cross_entropy", broken)
    with pytest.raises(SimtoolError, match=r"Step 7 of phase 'pre': the loss is nan"):
        train(recipe(), STORES, tmp_path / "late", QUIET, watch=models.append)
    assert len(calls) == 9  # the next step had begun
    monkeypatch.undo()
    sound = train(recipe(), STORES, tmp_path / "sound", replace(QUIET, save_steps=7, keep_last=9))
    before = load_model(sound.folder / "checkpoints" / recipe().prefix(0, 7)).state_dict()
    assert all(torch.equal(value, before[name]) for name, value in models[-1].state_dict().items())


def test_a_step_waits_for_nothing(tmp_path, monkeypatch):
    """What would make the CPU wait for a GPU: a tensor's value, or a shape that depends on it."""
    from torch.utils._python_dispatch import TorchDispatchMode

    waiting = []

    class Waits(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, inputs=(), options=None):
            if operation.overloadpacket.__name__ in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "unique"):
                waiting.append(str(operation))
            return operation(*inputs, **(options or {}))

    gradients, step = loop._Run._gradients, loop.guarded_step

    def watched_gradients(self, *rest):
        with Waits():
            return gradients(self, *rest)

    def watched_step(*inputs):
        with Waits():
            return step(*inputs)

    monkeypatch.setattr(loop._Run, "_gradients", watched_gradients)
    monkeypatch.setattr(loop, "guarded_step", watched_step)
    train(recipe(phase(steps=3), z_loss=1e-4, precision="bf16"), STORES, tmp_path / "text", QUIET)
    train(recipe(phase(steps=1), sft(epochs=1)), STORES, tmp_path / "sft", QUIET)
    assert waiting == []
    with Waits():
        torch.tensor(1.0).item()
    assert waiting  # so it would have been seen


def test_nothing_fits(tmp_path, monkeypatch):
    def none(*given):
        raise torch.OutOfMemoryError("a test")

    monkeypatch.setattr(loop, "chunked_cross_entropy", none)
    with pytest.raises(SimtoolError, match="Out of memory: not even one row fits on cpu"):
        train(recipe(), STORES, tmp_path, QUIET)


def test_a_loss_that_is_no_number_stops_before_the_step(tmp_path, monkeypatch):
    plain, calls = loop.chunked_cross_entropy, []

    def broken(hidden, *rest):
        calls.append(1)
        loss, alone = plain(hidden, *rest)
        return (loss * torch.nan, alone * torch.nan) if len(calls) == 8 else (loss, alone)

    monkeypatch.setattr(loop, "chunked_cross_entropy", broken)
    with pytest.raises(SimtoolError) as error:
        train(recipe(), STORES, tmp_path, replace(QUIET, save_steps=5))
    told = str(error.value)
    assert told.startswith("Step 7 of phase 'pre': the loss is nan and its gradient's norm nan. Nothing was changed")
    assert "Documents of the batch, by their numbers: web " in told
    assert f"Last good checkpoint: {tmp_path / 'checkpoints' / recipe().prefix(0, 5)}." in told


def test_a_leap_of_the_loss_stops(tmp_path, monkeypatch):
    plain, calls = loop.chunked_cross_entropy, []

    def leaping(hidden, *rest):
        calls.append(1)
        loss, alone = plain(hidden, *rest)
        return loss, alone + (3 * STEP if len(calls) == 110 else 0)

    monkeypatch.setattr(loop, "chunked_cross_entropy", leaping)
    with pytest.raises(SimtoolError, match=r"Step 109 of phase 'pre': the loss leapt from \d\.\d+ to"):
        train(recipe(phase(steps=120), max_epochs=99), STORES, tmp_path, QUIET)


def test_another_recipe_in_the_folder(tmp_path):
    train(recipe(), STORES, tmp_path, QUIET)
    with pytest.raises(SimtoolError, match=r"holds another recipe \(.*\)\. Name another folder"):
        train(recipe(seed=1), STORES, tmp_path, QUIET)


def test_achieved_tokens_are_told(uninterrupted):
    ends = [line for line in metrics(uninterrupted.folder) if line["event"] == "end"]
    mid = ends[1]["achieved"]
    assert mid["web"]["tokens"] + mid["code"]["tokens"] == 10 * STEP
    assert mid["code"]["share"] == pytest.approx(0.3, abs=1 / 40)  # to one sequence of the 40


def test_sft_counts_what_the_catalogue_says(uninterrupted):
    *_, examples = loop.batches_of(LONG, STORES)
    targets = np.concatenate([examples.batch(i).targets.ravel() for i in range(examples.n_batches)])
    store = STORES["sums"]
    responses = store.n_tokens - store.n_masked_tokens.sum() + store.n_documents  # with each end of text
    assert (targets != IGNORED).sum() == responses


def test_a_late_small_update_is_not_lost():
    """Pure bf16 weights round it away; fp32 masters under bf16 autocast keep it (the paper's rate at its end)."""
    rate, weight = 1e-5, 0.05
    pure = torch.full((8,), weight, dtype=torch.bfloat16)
    assert torch.equal(pure - rate, pure)
    assert not torch.equal(torch.full((8,), weight) - rate, torch.full((8,), weight))


def test_bf16_keeps_fp32_weights_and_moves_them_by_little(tmp_path):
    given = recipe(phase(steps=6, learning_rate=1e-6, warmup_fraction=0.0), precision="bf16")
    done = train(given, STORES, tmp_path, QUIET)
    start = build_model("tiny", toys.VOCABULARY, 0).state_dict()
    after = load_file(done.checkpoint / "model.safetensors")
    assert all(value.dtype == torch.float32 for value in after.values())
    moved = after["gpt_neox.layers.0.mlp.dense_h_to_4h.weight"] != start["gpt_neox.layers.0.mlp.dense_h_to_4h.weight"]
    assert moved.float().mean() > 0.99
    rounded = [state["gpt_neox.layers.0.mlp.dense_h_to_4h.weight"].bfloat16() for state in (start, after)]
    assert (rounded[0] != rounded[1]).float().mean() < 0.1  # what bf16 weights would have seen of it


def test_a_residual_stream_in_bf16_learns_as_one_in_fp32(tmp_path):
    """Text and SFT: each step's loss within 0.02 nats (0.005 was seen), the weights fp32, and a run of its own."""
    wide, narrow = (
        recipe(phase(steps=20), sft(epochs=1), precision="bf16", residual_precision=residual)
        for residual in ("fp32", "bf16")
    )
    runs = [train(given, STORES, tmp_path / given.residual_precision, QUIET) for given in (wide, narrow)]
    in_fp32, in_bf16 = (losses(run.folder) for run in runs)
    assert in_bf16 == pytest.approx(in_fp32, abs=0.02) and in_bf16 != in_fp32
    assert all(value.dtype == torch.float32 for value in load_file(runs[1].checkpoint / "model.safetensors").values())
    assert not {path.name for path in runs[0].ends.values()} & {path.name for path in runs[1].ends.values()}
    with pytest.raises(SimtoolError, match="holds another recipe"):
        train(narrow, STORES, tmp_path / "fp32", QUIET)


def test_a_residual_stream_in_bf16_is_resumed_with_the_same_bits(tmp_path):
    given = recipe(phase(steps=12), precision="bf16", residual_precision="bf16")
    whole = train(given, STORES, tmp_path / "whole", replace(QUIET, save_steps=5, keep_last=9))
    half = whole.folder / "checkpoints" / given.prefix(0, 5)
    shutil.copytree(half, tmp_path / "again" / "checkpoints" / half.name)
    again = train(given, STORES, tmp_path / "again", QUIET)
    assert again.began.name == half.name
    assert weights(again.checkpoint) == weights(whole.checkpoint)


@pytest.mark.parametrize(("bf16", "said"), [(1e9, 1), (4e9, 0)])
def test_a_cpu_that_is_slower_in_bf16_is_told(tmp_path, monkeypatch, bf16, said):
    monkeypatch.setattr(loop, "measured_peak", lambda device, precision: bf16 if precision == "bf16" else 4e9)
    told = []
    train(recipe(phase(steps=1), precision="bf16"), STORES, tmp_path, QUIET, report=told.append)
    sentences = [message for message in told if isinstance(message, str)]
    assert len(sentences) == said
    assert all("bf16 matrices 4 times slower than fp32" in sentence for sentence in sentences)


def test_the_first_step_is_told_and_then_every_tenth(tmp_path):
    told = []
    train(recipe(phase(steps=23)), STORES, tmp_path, Execution("cpu"), report=told.append)
    assert [message.step for message in told] == [1, 10, 20, 23]
    assert [line["step"] for line in metrics(tmp_path) if line["event"] == "step"] == [10, 20, 23]


def test_a_mixture_of_examples_is_refused():
    with pytest.raises(SimtoolError, match="so it needs one corpus"):
        replace(sft(), mixture=Mixture({"sums": 0.5, "web": 0.5}))


def test_attention_ends_at_documents_where_that_is_asked_for(tmp_path):
    given = recipe(phase(steps=1), mask_documents=True)
    train(given, STORES, tmp_path / "masked", QUIET)
    train(replace(given, mask_documents=False), STORES, tmp_path / "plain", QUIET)
    model = build_model("tiny", toys.VOCABULARY, 0)
    (batches,) = loop.batches_of(given, STORES)
    batch = batches.batch(0)
    logits = model(torch.from_numpy(batch.ids), torch.from_numpy(batch.documents))
    masked = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(batch.targets).flatten())
    assert losses(tmp_path / "masked") == pytest.approx([masked.item()], abs=1e-5)
    assert losses(tmp_path / "plain")[0] != pytest.approx(masked.item(), abs=1e-5)


def test_sft_that_is_taken_up_again_goes_on_with_its_moments(tmp_path):
    given = recipe(phase(steps=2), sft(epochs=2))
    whole = train(given, STORES, tmp_path / "whole", QUIET)
    seen = []

    def stop(model):
        seen.append(model)
        if len(seen) == 6:  # the model as it begins, two steps of text, three of SFT
            raise KeyboardInterrupt

    often = replace(QUIET, save_steps=1)
    with pytest.raises(KeyboardInterrupt):
        train(given, STORES, tmp_path / "cut", often, watch=stop)
    again = train(given, STORES, tmp_path / "cut", often)
    assert again.began is not None and weights(again.checkpoint) == weights(whole.checkpoint)
