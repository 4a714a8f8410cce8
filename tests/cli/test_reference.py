"""Counting ahead, and the lists of what is known by name."""

import json
import re
from pathlib import Path

import pytest

from tests.conftest import sentences, simtool, write_jsonl


@pytest.fixture
def mine(tmp_path) -> Path:
    return write_jsonl(tmp_path / "mine.jsonl", sentences(400))


def test_profile_then_cached(mine):
    first = simtool("profile", mine)
    assert first.returncode == 0, first.stderr
    assert "counted now" in first.stdout
    assert "cached" in simtool("profile", mine).stdout
    assert "cached" in simtool("matrix", mine, "c4", "--metric", "kl", "--feature", "skeleton3").stdout


def test_a_data_folder_serves_a_catalogue_name(tmp_path):
    (tmp_path / "gsm8k_train.jsonl").write_text(
        "".join(json.dumps({"question": text, "answer": "#### 7"}) + "\n" for text in sentences(300))
    )
    done = simtool("profile", "gsm8k", "--feature", "token", SIMTOOL_DATA=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"file {tmp_path}/gsm8k_train.jsonl" in done.stdout
    assert "300" in done.stdout
    # counted here before: it now serves the name, before the profile that ships
    assert "cached, file" in simtool("matrix", "gsm8k", "c4", "--resamples", "20", "--provenance").stdout


def test_listings():
    assert "GSM8K" in simtool("corpora").stdout or "gsm8k" in simtool("corpora").stdout
    assert "example prompt" in simtool("corpora", "gsm8k").stdout
    assert "Jensen-Shannon" in simtool("metrics").stdout
    assert "pythia" in simtool("tokenizers").stdout
    listed = {row["tokenizer"]: row for row in json.loads(simtool("tokenizers", "--format", "json").stdout)}
    assert listed["gemma3"]["ends a text with"] == "<eos>"
    assert re.fullmatch(r"simtool \d+\.\d+\.\d+\n", simtool("--version").stdout)
