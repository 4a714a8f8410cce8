"""Where a tokenizer's file is found, and what is said where it cannot be had."""

import json
import os
import subprocess
import sys

import pytest

from simtool.tokens.tokenizer import load_tokenizer
from tests.tokens.definitions import message_of, save, save_sentencepiece, small_definition
from tests.tokens.hub import served


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No data folder, an empty hub cache, and no network."""
    from huggingface_hub import constants

    monkeypatch.delenv("SIMTOOL_DATA", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def test_a_folder_that_holds_a_tokenizer_can_be_named(tmp_path):
    path = save(tmp_path / "tokenizer.json", small_definition())
    assert load_tokenizer(tmp_path).fingerprint == load_tokenizer(path).fingerprint


def test_an_unknown_name_is_answered_with_the_known_ones():
    assert message_of("pythja") == (
        "Unknown tokenizer 'pythja'. Did you mean 'pythia'?\nKnown: deepseek-v3, default, gemma3, gpt-oss, gpt2,"
        " llama2, llama3, llama3.1, llama3.2, olmo2, olmo3, pythia, qwen2.5, qwen3, small, smollm3."
    )


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    assert message_of(tmp_path / "no.json") == f"No tokenizer.json at {tmp_path / 'no.json'}."


def test_without_file_cache_and_network_every_place_tried_is_listed(offline):
    tail = "Name a tokenizer.json, or use --tokenizer default, which needs nothing."
    assert message_of("pythia") == (
        "The tokenizer 'pythia' cannot be had. Tried\n"
        "  data folder: none given (--data DIR or SIMTOOL_DATA)\n"
        f"  cache: nothing of EleutherAI/pythia-70m in {offline / 'hub'}\n"
        "  hub: EleutherAI/pythia-70m at https://huggingface.co: HF_HUB_OFFLINE is set\n" + tail
    )
    assert message_of("llama3", offline) == (
        "The tokenizer 'llama3' cannot be had. Tried\n"
        f"  data folder: {offline / 'tokenizers' / 'llama3_tokenizer.json'}: no such file\n"
        f"  cache: nothing of meta-llama/Meta-Llama-3-8B in {offline / 'hub'}\n"
        "  hub: meta-llama/Meta-Llama-3-8B at https://huggingface.co: HF_HUB_OFFLINE is set\n"
        + tail
        + " meta-llama/Meta-Llama-3-8B is gated: accept its terms there and log in with `hf auth login`."
    )
    assert message_of("some/model") == (
        "The tokenizer 'some/model' cannot be had. Tried\n"
        f"  cache: nothing of some/model in {offline / 'hub'}\n"
        "  hub: some/model at https://huggingface.co: HF_HUB_OFFLINE is set\n" + tail
    )


def test_a_file_in_the_hub_cache_serves_offline(offline, monkeypatch):
    path = save(offline / "tokenizer.json", small_definition())
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda repo, name: {("some/model", "tokenizer.json"): str(path)}.get((repo, name)),
    )
    assert load_tokenizer("some/model").encode(["ab"])[0].tolist() == [3]


# From the hub


ASK = """
import json, sys
from simtool.errors import SimtoolError
from simtool.tokens.chat_templates import load_chat_template
from simtool.tokens.tokenizer import load_tokenizer
def loaded(name):
    tokenizer = load_tokenizer(name)
    return [tokenizer.encode(["ab ba"])[0].tolist(), tokenizer.end_of_text, tokenizer.backend]
for name in json.load(sys.stdin):
    try:
        print(json.dumps(eval(sys.argv[1])))
    except SimtoolError as error:
        print(json.dumps(str(error)))
"""


def answers(names: list[str], home, endpoint: str, ask: str = "loaded(name)", **env: str) -> list:
    """From a fresh process, because the hub's library reads its variables when it is imported."""
    env = {"PATH": os.environ["PATH"], "HF_HOME": str(home), "HF_ENDPOINT": endpoint, **env}
    env |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ASK, ask], input=json.dumps(names), env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_named_tokenizers_come_from_the_hub_and_stay_in_its_cache(tmp_path):
    definition = small_definition()
    definition["added_tokens"][0]["content"] = "<|endoftext|>"
    files = {"tokenizer.json": json.dumps(definition).encode(), "tokenizer_config.json": b'{"eos_token": "<|im_end|>"}'}
    model = save_sentencepiece(tmp_path / "tokenizer.model", "bpe").read_bytes()
    repositories = {
        "Qwen/Qwen3-0.6B-Base": files,
        "some/sentencepiece": {"tokenizer.model": model},
        "some/nothing": {"README.md": b""},
        "gated/model": files,
    }
    names = ["qwen3", "some/sentencepiece", "some/nothing", "gated/model", "deepseek-v3"]
    with served(repositories) as endpoint:
        qwen, pieces, nothing, *refused = answers(names, tmp_path, endpoint)
    assert qwen[:2] == [[3, 2, 1, 0], 4]
    assert pieces[1:] == [2, "sentencepiece"]
    assert f"hub: some/nothing at {endpoint}: it has no tokenizer.json" in nothing
    assert f"hub: gated/model at {endpoint}: gated" in refused[0]
    assert f"hub: deepseek-ai/DeepSeek-V3-Base at {endpoint}: no such repository, or not yours to read" in refused[1]
    offline = answers(names[:2], tmp_path, endpoint, HF_HUB_OFFLINE="1")
    assert offline == [qwen, pieces]
