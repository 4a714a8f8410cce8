"""Which real tokenizers are at hand, and a tokenizer.json of five tokens, to be changed and saved."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from simtool.tokens.tokenizer import TOKENIZERS

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_fastokens = pytest.mark.skipif(find_spec("fastokens") is None, reason="no wheel for this machine")
REAL = [name for name, entry in TOKENIZERS.items() if entry.file and (DATA / "tokenizers" / entry.file).exists()]


def small_definition(**changes) -> dict:
    """A byte-level BPE of five tokens, in the newest spelling."""
    special = {"id": 4, "content": "</s>", "special": True, "single_word": False, "lstrip": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special | {"rstrip": False, "normalized": False}],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3},
            "merges": [["a", "b"]],
        },
    } | changes


def save(path: Path, definition: dict) -> Path:
    path.write_text(json.dumps(definition), encoding="utf-8")
    return path
