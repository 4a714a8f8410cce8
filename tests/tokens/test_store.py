"""Stores are read as they were written, or not at all: damage is found."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from simtool import integrity
from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError
from simtool.tokens import store as module
from simtool.tokens.store import TokenStore, find_store, load_store, text_identity
from simtool.tokens.tokenize import tokenize_corpus
from tests.tokens.toys import PAIRS, corpus_of


def test_arrays_are_mapped_and_read_only(stores):
    store = stores["train"]
    assert isinstance(store.ids, np.memmap)
    for name in module.ARRAYS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(store, name)[0] = 1


def test_another_text_under_the_same_name_is_another_store(tokenizer, tmp_path):
    first, second = (tokenize_corpus(corpus_of(*PAIRS[n:]), tokenizer, tmp_path)["train"] for n in (0, 1))
    assert first.n_documents == load_store(first.folder).n_documents > second.n_documents
    with pytest.raises(SimtoolError, match=r"^2 texts were tokenized as toy in .*: rows of a test; rows of a test"):
        find_store(tmp_path, "toy", "train", tokenizer)
    text = text_identity(corpus_of(*PAIRS))
    assert find_store(tmp_path, "toy", "train", tokenizer, text).fingerprint == first.fingerprint


def test_the_same_text_read_in_another_way_is_another_store(tokenizer, tmp_path):
    identities = {text_identity(corpus) for corpus in (corpus_of(*PAIRS), replace(corpus_of(*PAIRS), view="assistant"))}
    assert len(identities) == 2


def test_a_missing_store_says_how_to_make_it(tokenizer, tmp_path, stores):
    with pytest.raises(SimtoolError) as error:
        find_store(tmp_path, "c4", "train", tokenizer)
    assert str(error.value) == (f"c4 is not tokenized under 'default' in {tmp_path}.\nMake it: simtool tokenize c4")
    tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path, {"train": 1.0})
    with pytest.raises(SimtoolError, match=r"toy has no split 'test' in .*\. It has: train\."):
        find_store(tmp_path, "toy", "test", tokenizer)


def refused(folder, problem):
    with pytest.raises(SimtoolError, match=problem) as error:
        load_store(folder)
    assert str(error.value).endswith(module.REMEDY)


def changed_json(path, change):
    """The file with its JSON changed, and what it held before."""
    before = path.read_bytes()
    path.write_text(json.dumps(change(json.loads(before))))
    return before


@pytest.mark.parametrize("name", module.ARRAYS)
def test_a_changed_byte_of_any_array_is_found(tokenizer, tmp_path, name):
    tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path, {"train": 1.0})
    path = find_store(tmp_path, "toy", "train", tokenizer).folder / f"{name}.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    refused(path.parent, rf"{name}\.bin is damaged: it holds")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused(path.parent, rf"{name}\.bin is damaged: its content does not match its hash")
    path.unlink()
    refused(path.parent, rf"{name}\.bin is damaged")


def test_an_array_is_hashed_once_per_process(stores, monkeypatch):
    load_store(stores["train"].folder)
    monkeypatch.setattr(integrity, "file_hash", lambda path: pytest.fail(f"{path} is read again"))
    load_store(stores["train"].folder)


@pytest.mark.parametrize("name", ["train_on", "vocabulary_size", "end_of_text", "tokenizer", "n_tokens", "facts"])
def test_a_changed_header_is_found(tokenizer, tmp_path, name):
    tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path, {"train": 1.0})
    folder = find_store(tmp_path, "toy", "train", tokenizer).folder
    before = changed_json(folder / "header.json", lambda header: {**header, name: None if header[name] else 1})
    refused(folder, r"header\.json is damaged: its content does not match its hash")
    for value in (None, [], {"format": 2}):
        changed_json(folder / "header.json", lambda header, value=value: value)
        refused(folder, r"header\.json is damaged")
    (folder / "header.json").write_bytes(before)
    load_store(folder)


def test_a_header_of_before_it_had_a_hash_is_read(tokenizer, tmp_path):
    tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path, {"train": 1.0})
    folder = find_store(tmp_path, "toy", "train", tokenizer).folder
    changed_json(folder / "header.json", lambda header: {n: v for n, v in header.items() if n != "hash"})
    assert load_store(folder).n_documents == len(PAIRS)
    changed_json(folder / "header.json", lambda header: {**header, "train_on": "text"})
    refused(folder, "it does not match its fingerprint")


def test_a_store_in_memory_has_the_fingerprint_of_the_same_on_disk(stores):
    store = stores["train"]
    arrays = {name: np.array(getattr(store, name)) for name in module.ARRAYS}
    identity = (store.corpus, store.split, store.tokenizer, store.tokenizer_fingerprint)
    here = TokenStore(*identity, store.vocabulary_size, store.end_of_text, **arrays, train_on="response")
    assert here.fingerprint == store.fingerprint


def test_reading_a_store_loads_no_corpora(stores, tmp_path):
    script = (
        "import sys; from pathlib import Path; from simtool.tokens.store import load_store\n"
        f"load_store(Path({str(module.Path(stores['train'].ids.filename).parent)!r}))\n"
        "heavy = {'polars', 'datasets', 'zstandard', 'orjson', 'xxhash', 'rich', 'typer', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_store_is_filed_under_its_text_and_how_it_is_read(tmp_path):
    """Another file, and another field of the same file, are other texts under one name."""
    for name, texts in (("a", ["x"]), ("b", ["y"])):
        rows = [{"text": text, "title": text * 2} for text in texts]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpora = [file_corpus(str(tmp_path / f"{name}.jsonl"), fields, name="own")
               for name in "ab" for fields in ("text", "title", "text,title", "title->text")]  # fmt: skip
    assert len({text_identity(corpus) for corpus in corpora}) == 8
    again = file_corpus(str(tmp_path / "a.jsonl"), "text", name="own")
    assert text_identity(again) == text_identity(corpora[0])
