"""The commands, from text to an exported model, on a corpus of the user's own."""

import json
import random

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from typer.testing import CliRunner  # noqa: E402

from simtool import cli  # noqa: E402
from simtool.errors import SimtoolError  # noqa: E402

WORDS = ["the", "a", "cat", "dog", "river", "stone", "sees", "finds", "takes", "leaves", "over", "and", "then"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return stories(tmp_path_factory.mktemp("text"), 300)


def stories(folder, n_documents):
    rng = random.Random(0)
    path = folder / "stories.jsonl"
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(20, 60))) for _ in range(n_documents)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def simtool(*given, expect=0):
    result = CliRunner().invoke(cli.app, [str(one) for one in given], catch_exceptions=False)
    assert result.exit_code == expect, result.output
    return result


def test_tokenize_train_evaluate_export(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("SIMTOOL_STORES", str(tmp_path / "stores"))
    told = simtool("tokenize", corpus, "--format", "json").stdout
    assert [row["split"] for row in json.loads(told)] == ["train", "validation", "test"]
    given = (
        "train",
        "--pretrain",
        corpus,
        "--pretrain-tokens",
        "4k",
        "--sequence-length",
        32,
        "--batch-size",
        8,
        "--device",
        "cpu",
    )
    first = simtool(*given, "--out", tmp_path / "run", "--format", "json").stdout
    assert json.loads(first)[0]["phase"] == "pretrain"
    simtool("evaluate", tmp_path / "run", corpus, "--device", "cpu", "--save", tmp_path / "losses")
    simtool("export", tmp_path / "run", tmp_path / "model")

    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = (kind.from_pretrained(tmp_path / "model") for kind in (AutoModelForCausalLM, AutoTokenizer))
    ids = tokenizer("the cat", return_tensors="pt").input_ids
    written = model.generate(ids, max_new_tokens=3, do_sample=False, pad_token_id=0)
    assert tokenizer.decode(written[0]).startswith("the cat")


def test_every_option_of_train_is_understood(tmp_path, monkeypatch):
    corpus = stories(tmp_path, 70)  # few: many a CPU has no bf16, and takes its time over it
    monkeypatch.setenv("SIMTOOL_STORES", str(tmp_path / "stores"))
    simtool(
        "train", "--pretrain", corpus, "--pretrain-tokens", "1k", "--sequence-length", 32, "--batch-size", 8, "--schedule", "wsd",
        "--learning-rate", 1e-3, "--precision", "bf16", "--residual-precision", "bf16", "--mask-documents", "--z-loss", 1e-4, "--max-epochs", 2,
        "--micro-batch", 4, "--save-seconds", 1, "--deterministic", "--seed", 1, "--evaluate-split", "test",
        "--evaluate-documents", 5, "--tokenizer", "small", "--device", "cpu", "--out", tmp_path / "base",
    )  # fmt: skip
    simtool(
        "train", "--from", tmp_path / "base", "--cpt", corpus, "--fresh", "--mid-tokens", "512", "--max-epochs", 8,
        "--schedule", "linear", "--device", "cpu", "--evaluate", corpus, "--evaluate-documents", 5,
        "--tokenizer", "small", "--out", tmp_path / "cpt",
    )  # fmt: skip
    told = simtool(
        "train", "--from", tmp_path / "cpt", "--sft", corpus, "--train-on", "text", "--sft-epochs", 1,
        "--sft-batch-size", 128, "--sft-learning-rate", 1e-3, "--sft-learning-rate", 1e-4, "--device", "cpu",
        "--out", tmp_path / "sft", "--evaluate-documents", 5, "--tokenizer", "small", "--format", "json",
    ).stdout  # fmt: skip
    rows = json.loads(told)
    assert [row["split"] for row in rows if row["phase"].endswith("selected")] == ["validation", "test"]


def test_a_corpus_that_is_not_here(tmp_path):
    with pytest.raises(SimtoolError, match=r"c4 is not tokenized under 'default'"):
        simtool("train", "--pretrain", "c4", "--pretrain-tokens", "8k", "--stores", tmp_path, "--out", tmp_path / "run")
