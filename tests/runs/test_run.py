"""From flags to a recipe; measured at the end of every phase; settings chosen on one split and reported on another."""

import json
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from simtool.errors import SimtoolError  # noqa: E402
from simtool.mixture import Mixture  # noqa: E402
from simtool.runs import run as single  # noqa: E402
from simtool.runs.run import Asked, recipe_for, train_and_measure  # noqa: E402
from simtool.runs.sweep import sweep_fine_tuning  # noqa: E402
from simtool.tokens.tokenizer import load_tokenizer  # noqa: E402
from simtool.training.trainer import Execution  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import toys  # noqa: E402

TOKENIZER = load_tokenizer("default")
C4 = Mixture({"c4": 1.0})
MIX = Mixture({"c4": 0.8, "starcoder": 0.2})
QUIET = Execution("cpu")


def test_a_fork_goes_on_from_the_run_it_names():
    base = recipe_for(Asked(pretrain=C4, tokens=2_000_000, schedule="constant"), TOKENIZER)
    arms = [
        recipe_for(Asked(midtrain=mixture, tokens=500_000, schedule="linear"), TOKENIZER, base) for mixture in (C4, MIX)
    ]
    for arm in arms:
        assert arm.prefix(1, 0) == base.fingerprint
        assert arm.phases[1].learning_rate_at(0.0) == base.phases[0].learning_rate_at(1.0)  # no leap of the rate
    tuned = recipe_for(Asked(sft="gsm8k"), TOKENIZER, arms[1])
    assert [phase.name for phase in tuned.phases] == ["pretrain", "midtrain", "sft"]
    assert tuned.phases[2].optimizer == "fresh" and tuned.phases[1].optimizer == "carry"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(tokens=1000), "Name what to pretrain on (--pretrain c4), or a run to go on from (--from RUN)."),
        (Asked(pretrain=C4), "How many tokens for pretrain? Say so: --tokens 2M."),
        (Asked(pretrain=C4, midtrain=MIX, tokens=10**6), "How many tokens for midtrain? Say so: --midtrain-tokens 2M."),
    ],
)
def test_what_is_missing_is_named(asked, message):
    with pytest.raises(SimtoolError) as error:
        recipe_for(asked, TOKENIZER)
    assert str(error.value) == message


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
    monkeypatch.setattr(single, "evaluate", None)  # what was measured is not measured again
    assert train_and_measure(recipe, toys.STORES, held, tmp_path, QUIET)[1] == rows


def test_a_sweep_chooses_on_one_split_and_reports_another(tmp_path):
    selection, test = (toys.toy_store("sums", 30, seed=seed, examples=True) for seed in (1, 2))
    recipe = toys.recipe(toys.phase(steps=20), toys.sft(epochs=2))
    done = sweep_fine_tuning(recipe, toys.STORES, selection, test, tmp_path, [1e-5, 5e-3], execution=QUIET)
    responses = [row for row in done.rows if row["counted"] == "response"]
    assert [row["learning_rate"] for row in responses] == [1e-5, 5e-3]
    assert [row["chosen"] for row in responses] == [False, True]  # the rate that learns something
    assert done.chosen.phases[-1].learning_rate == 5e-3
    assert {row["store"] for row in done.reported} == {test.fingerprint}
    assert len((tmp_path / "sweep.jsonl").read_text().splitlines()) == len(done.rows) + len(done.reported)
    # a sweep is given where a run is, and stands for the run that was chosen
    assert single.chosen_run(tmp_path) == tmp_path / f"lr{done.chosen.phases[-1].learning_rate:g}-epochs2"
    assert single.last_checkpoint(tmp_path).name == done.chosen.fingerprint


def test_a_sweep_on_the_split_that_is_reported_is_refused(tmp_path):
    store = toys.toy_store("sums", 30, seed=1, examples=True)
    with pytest.raises(SimtoolError, match="What is reported must not be what was selected on"):
        sweep_fine_tuning(toys.recipe(toys.sft()), toys.STORES, store, store, tmp_path, [1e-3])
