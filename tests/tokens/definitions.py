"""Which real tokenizers are at hand, and small ones of each kind, made here."""

import base64
import io
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from simtool.corpora.catalogue import CATALOGUE
from simtool.errors import SimtoolError
from simtool.tokens.backends import TRICKY
from simtool.tokens.catalogue import TOKENIZERS
from simtool.tokens.tokenizer import load_tokenizer

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


def message_of(name, data_dir=None) -> str:
    """What is said where a tokenizer cannot serve."""
    with pytest.raises(SimtoolError) as error:
        load_tokenizer(name, data_dir).encode(["text"])
    return str(error.value)


def text_lines() -> list[str]:
    """Text in several scripts, with what tokenizers differ about."""
    generated = [document.text for document in CATALOGUE["gen_facts"].documents(200)]
    return [
        *generated,
        *TRICKY,
        "naïve café — 中文字 हिन्दी 👩‍👩‍👧 1234567\n\tdef f(x):  return x",
        "  two  spaces ",
        "ﬁ ½",
    ]


def save_sentencepiece(path: Path, kind: str, **settings) -> Path:
    """A model of SentencePiece trained on the text above: "unigram" or "bpe"."""
    import sentencepiece

    with io.BytesIO() as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line for text in text_lines() for line in text.splitlines() if line.strip()),
            model_writer=model, model_type=kind, vocab_size=400, byte_fallback=True, character_coverage=0.98,
            minloglevel=2, **settings,
        )  # fmt: skip
        path.write_bytes(model.getvalue())
    return path


def save_ranks(path: Path, *merges: bytes) -> Path:
    """A file of tiktoken's: all bytes, then these."""
    tokens = [*(bytes([byte]) for byte in range(256)), *merges]
    path.write_bytes(b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens)))
    return path
