"""Counting ahead, and the lists of what is known by name."""

import json
import re
from pathlib import Path

import pytest

from tests.conftest import sentences, simtool, write_jsonl
from tests.corpora.chat_templates import CHATML


@pytest.fixture
def mine(tmp_path) -> Path:
    return write_jsonl(tmp_path / "mine.jsonl", sentences(400))


def test_profile_then_cached(mine):
    first = simtool("profile", mine)
    assert first.returncode == 0, first.stderr
    assert "counted now" in first.stdout
    assert "cached" in simtool("profile", mine).stdout
    assert "cached" in simtool("matrix", mine, "c4", "--metric", "kl", "--feature", "skeleton3").stdout


def test_parts_are_merged_into_what_other_commands_find(mine, tmp_path):
    parts = tmp_path / "parts"
    for index in range(2):
        done = simtool("profile", mine, "--feature", "token", "--part", f"{index}/2", "--parts", parts)
        assert done.returncode == 0 and done.stdout == "", done.stderr
    merged = simtool("profile", "--merge", parts)
    assert "merged" in merged.stdout and "400" in merged.stdout, merged.stdout + merged.stderr
    assert "cached" in simtool("profile", mine, "--feature", "token").stdout
    refused = simtool("profile", mine, "--feature", "token2", "--part", "0/2", "--parts", parts)
    assert refused.returncode == 2 and "holds parts of another count" in refused.stderr


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


def test_a_chat_is_shown_as_a_template_writes_it_and_added_with_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chatml.jinja").write_text(CHATML)
    turns = [{"role": "user", "content": "two?"}, {"role": "assistant", "content": "three"}]
    (tmp_path / "chat.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    shown = simtool("corpora", "show", "chat.jsonl", "--chat-template", "chatml.jinja").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert ["2.", "user", "(masked)", "two?"] in lines and ["4.", "assistant", "three"] in lines
    assert ["5.", "markup", "<|im_end|>"] in lines  # learnt, as it ends the turn
    assert "#### 6" in simtool("corpora", "show", "gsm8k", "--chat-template", "chatml.jinja").stdout
    simtool("corpora", "add", "talk", "chat.jsonl", "--chat-template", "chatml.jinja")
    assert (tmp_path / "simtool.toml").read_text().endswith('chat_template = "chatml.jinja"\n')
    assert "<|im_end|>" in simtool("corpora", "show", "talk").stdout
    done = simtool("profile", "chat.jsonl", "--chat-template", "chatml")
    assert done.returncode == 2 and "--chat-template chatml: no such file" in done.stderr


def test_empty_rows_are_counted(tmp_path):
    rows = [{"text": ""}] * 7 + [{"text": f"Document {n} of some words."} for n in range(30)]
    (tmp_path / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = simtool("profile", tmp_path / "some.jsonl")
    assert done.returncode == 0, done.stderr
    header, _, values = done.stdout.strip().splitlines()[:3]
    columns = [name.strip() for name in re.split(r"\s{2,}", header.strip())]
    cells = [cell.strip() for cell in re.split(r"\s{2,}", values.strip())]
    assert dict(zip(columns, cells, strict=True))["empty rows"] == "7"
