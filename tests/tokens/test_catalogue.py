"""Tokenizers known by name: what ships is what its provenance says, and known identities are those of the files."""

import hashlib
import json

import pytest

from simtool.tokens.catalogue import EMBEDDED_FILES, EMBEDDED_FOLDER, TOKENIZERS, embedded_identity
from simtool.tokens.definitions import tokenizer_fingerprint
from simtool.tokens.tokenizer import load_tokenizer
from tests.tokens.definitions import DATA, REAL


def test_the_sidecar_tells_the_truth():
    text = (EMBEDDED_FOLDER / "tokenizer.json").read_text(encoding="utf-8")
    definition = json.loads(text)
    fingerprint, size, end = embedded_identity()
    assert fingerprint == tokenizer_fingerprint(definition)
    assert size == len(definition["model"]["vocab"]) == 32_768
    assert definition["model"]["vocab"]["<|endoftext|>"] == end
    assert sorted(definition["model"]["vocab"].values()) == list(range(size))


def test_the_small_one_is_the_beginning_of_the_default():
    whole, small = (
        json.loads((EMBEDDED_FOLDER / file).read_text(encoding="utf-8")) for file in ("tokenizer.json", "small.json")
    )
    fingerprint, size, end = embedded_identity("small")
    vocabulary, merges = small["model"]["vocab"], small["model"]["merges"]
    assert (fingerprint, size, end) == (tokenizer_fingerprint(small), len(vocabulary), vocabulary["<|endoftext|>"])
    assert sorted(vocabulary.values()) == list(range(4_096))
    assert vocabulary.items() <= whole["model"]["vocab"].items()
    assert merges == whole["model"]["merges"][: 4_096 - 257]  # one end of text and 256 bytes come before
    assert [vocabulary["".join(merge)] for merge in merges] == list(range(257, 4_096))
    assert {name: part for name, part in small.items() if name != "model"} == {
        name: part for name, part in whole.items() if name != "model"
    }


@pytest.mark.parametrize("name", [name for name in REAL if TOKENIZERS[name].identity])
def test_a_known_identity_is_that_of_the_real_file(name, tmp_path):
    entry = TOKENIZERS[name]
    by_path = load_tokenizer(DATA / "tokenizers" / entry.file)
    assert entry.identity == (by_path.fingerprint, by_path.vocabulary_size, by_path.end_of_text)
    assert load_tokenizer(name, tmp_path).fingerprint == by_path.fingerprint  # without the file


def test_the_provenance_is_that_of_the_file():
    provenance = json.loads((EMBEDDED_FOLDER / "provenance.json").read_text(encoding="utf-8"))
    for about, file in ((provenance, "tokenizer.json"), (provenance["small"], "small.json")):
        assert about["sha256"] == hashlib.sha256((EMBEDDED_FOLDER / file).read_bytes()).hexdigest()
    assert provenance["bytes"] == sum(
        part["bytes"] for parts in provenance["blend"].values() for part in parts.values()
    )


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_known_tokenizer_says_what_ends_a_text(name):
    entry = TOKENIZERS[name]
    assert entry.end_of_text and entry.about.endswith(".")
    assert entry.hub or name in EMBEDDED_FILES
    if name in REAL or name in EMBEDDED_FILES:
        tokenizer = load_tokenizer(name, DATA)
        assert tokenizer.token_text(tokenizer.end_of_text) == entry.end_of_text
