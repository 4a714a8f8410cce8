"""Training as functions: stores, a run that goes on where it was, and losses of it."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")


import simtool
from simtool.api.train import is_main_process
from simtool.profiles.resolve import Options
from simtool.training.trainer import Execution
from tests.conftest import sentences, write_jsonl


@pytest.mark.parametrize(("rank", "prints"), [(None, True), ("0", True), ("1", False)])
def test_the_first_process_prints(rank, prints, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    assert is_main_process() is prints


def test_a_run_is_gone_on_with_and_measured(tmp_path):
    corpus = str(write_jsonl(tmp_path / "stories.jsonl", sentences(150)))
    request = simtool.Request(pretrain=corpus, pretrain_tokens=2_048, sequence_length=32, batch_size=8)
    messages: list = []
    options = Options(tokenizer="small", data=None, cache=tmp_path / "cache", report=messages.append)
    where = {"execution": Execution("cpu"), "stores": tmp_path / "stores", "options": options}
    rows = simtool.train(request, tmp_path / "run", **where)
    assert [(row["phase"], row["corpus"], row["split"]) for row in rows] == [("pretrain", corpus, "validation")]
    assert any(isinstance(message, str) and message.startswith("Tokenizing") for message in messages)
    assert simtool.train(request, tmp_path / "run", **where) == rows
    [losses] = simtool.evaluate(
        tmp_path / "run", [corpus], device="cpu", stores=tmp_path / "stores", options=options, save=tmp_path / "losses"
    )
    assert losses.nats_per_token == pytest.approx(rows[0]["nats_per_token"], rel=1e-5)
    assert [path.suffix for path in (tmp_path / "losses").iterdir()] == [".npz"]
