"""The seam: the ids of each tokenizer's own library, whichever backend encodes."""

import subprocess
import sys
from pathlib import Path

import pytest

from simtool.errors import SimtoolError
from simtool.tokens import backends as module
from simtool.tokens.backends import BACKEND_VARIABLE, TRICKY, Fastokens, agree
from simtool.tokens.catalogue import EMBEDDED_FOLDER
from simtool.tokens.tokenizer import load_tokenizer
from tests.tokens.definitions import message_of, needs_fastokens, save, small_definition


@needs_fastokens
def test_a_backend_that_disagrees_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "agree", lambda backend, reference: False)
    path = save(tmp_path / "tokenizer.json", small_definition())
    assert load_tokenizer(path).backend == "tokenizers"
    monkeypatch.setenv(BACKEND_VARIABLE, "fastokens")
    with pytest.raises(SimtoolError) as error:
        load_tokenizer(path).encode(["ab"])
    assert str(error.value) == (
        f"fastokens cannot serve {path}: its ids differ from those of `tokenizers`.\n"
        "Unset SIMTOOL_TOKENIZER_BACKEND or set it to tokenizers."
    )


@needs_fastokens
def test_the_check_sees_one_wrong_id(reference):
    class Wrong(Fastokens):
        def encode(self, texts):
            ids, offsets = super().encode(texts)
            ids = ids.copy()
            ids[-1] ^= 1
            return ids, offsets

    definition = (EMBEDDED_FOLDER / "tokenizer.json").read_text(encoding="utf-8")
    assert agree(Fastokens(definition), reference)
    assert not agree(Wrong(definition), reference)


@needs_fastokens
@pytest.mark.parametrize("n", range(1, len(TRICKY)))  # the first is empty
def test_the_check_sees_one_wrong_id_of_any_tricky_text(reference, n):
    class Wrong:
        def encode(self, texts):
            ids, offsets = reference.encode(texts)
            ids[offsets[n]] ^= 1
            return ids, offsets

    assert not agree(Wrong(), reference)


def test_a_tokenizer_that_fastokens_cannot_read_still_works(tmp_path):
    words = {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "?": 2}, "unk_token": "?"}
    definition = small_definition(added_tokens=[], pre_tokenizer={"type": "Whitespace"}, decoder=None, model=words)
    tokenizer = load_tokenizer(save(tmp_path / "tokenizer.json", definition))
    assert tokenizer.backend == "tokenizers"
    assert tokenizer.encode(["a b c", "b"])[0].tolist() == [0, 1, 2, 1]
    assert (tokenizer.vocabulary_size, tokenizer.end_of_text) == (3, None)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
def test_one_thread_is_one_thread():
    count = "; import os; print(len(os.listdir('/proc/self/task')))"
    encode = (
        "from simtool.tokens.backends import use_one_thread; from simtool.tokens.tokenizer import load_tokenizer\n"
        "use_one_thread()\n"
        "load_tokenizer('default').encode(['Some words, again 1234.\\n' * 4000] * 8)"
    )
    without, alone = (
        int(subprocess.run([sys.executable, "-c", code + count], capture_output=True, check=True).stdout)
        for code in ("import numpy", encode)
    )
    assert alone == without


def test_an_unknown_backend_is_answered_with_the_known_ones(monkeypatch):
    monkeypatch.setenv(BACKEND_VARIABLE, "fasttokens")
    assert message_of("default") == (
        "Unknown backend in SIMTOOL_TOKENIZER_BACKEND 'fasttokens'. Did you mean 'fastokens'?\n"
        "Known: fastokens, tokenizers."
    )
