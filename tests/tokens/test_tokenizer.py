"""Which tokenizer it is: its name, file, fingerprint and backend, and what is said where it cannot be had."""

import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from simtool.errors import SimtoolError
from simtool.tokens import tokenizer as module
from simtool.tokens.tokenizer import (
    BACKEND_VARIABLE,
    EMBEDDED_FOLDER,
    TOKENIZERS,
    Fastokens,
    agree,
    embedded_identity,
    load_tokenizer,
    tokenizer_fingerprint,
)
from tests.tokens.definitions import DATA, REAL, needs_fastokens, save, small_definition


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No data folder, an empty hub cache, and no network."""
    from huggingface_hub import constants

    monkeypatch.delenv("SIMTOOL_DATA", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


# Identity


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


@pytest.mark.parametrize(
    "change",
    [
        {"truncation": {"max_length": 3}},
        {"padding": {"pad_id": 0}},
        {"post_processor": {"type": "ByteLevel"}},
        {"decoder": None},
        {"version": "2.0"},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}},
        {"model": {"vocab": {"ab": 3, "a": 0, "b": 1, "Ġ": 2}, "merges": ["a b"], "unk_token": None}},
    ],
)
def test_the_fingerprint_ignores_what_leaves_ids_alone(change):
    assert tokenizer_fingerprint(small_definition(**change)) == tokenizer_fingerprint(small_definition())


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "NFC"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}},
        {"added_tokens": []},
        {"model": {"type": "BPE", "vocab": {"a": 1, "b": 0, "Ġ": 2, "ab": 3}, "merges": ["a b"]}},
        {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3}, "merges": []}},
        {
            "model": {
                "type": "BPE",
                "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3},
                "merges": ["a b"],
                "ignore_merges": True,
            }
        },
    ],
)
def test_the_fingerprint_sees_what_changes_ids(change):
    assert tokenizer_fingerprint(small_definition(**change)) != tokenizer_fingerprint(small_definition())


def test_a_tokenizer_is_the_same_in_another_process(embedded):
    embedded.encode(["its backend is loaded"])
    again = pickle.loads(pickle.dumps(embedded))
    assert again == embedded
    assert again.encode(["héllo"])[0].tolist() == embedded.encode(["héllo"])[0].tolist()


def test_simtool_is_another_name_of_the_default(embedded):
    assert load_tokenizer("simtool") == embedded


def test_a_folder_that_holds_a_tokenizer_can_be_named(tmp_path):
    path = save(tmp_path / "tokenizer.json", small_definition())
    assert load_tokenizer(tmp_path).fingerprint == load_tokenizer(path).fingerprint


def test_a_file_that_changed_meanwhile_is_refused(tmp_path):
    path = save(tmp_path / "tokenizer.json", small_definition())
    tokenizer = load_tokenizer(path)
    save(path, small_definition(normalizer={"type": "NFC"}))
    changed = load_tokenizer(path).fingerprint
    with pytest.raises(SimtoolError) as error:
        tokenizer.encode(["ab"])
    assert str(error.value) == (
        f"{path} is not the tokenizer {str(path)!r}: its fingerprint is {changed},"
        f" not {tokenizer.fingerprint}.\n"
        f"Name the file itself to use it: --tokenizer {path}"
    )


@pytest.mark.slow
def test_transformers_reads_the_embedded_tokenizer(embedded):
    transformers = pytest.importorskip("transformers")
    path = str(EMBEDDED_FOLDER / "tokenizer.json")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=path)
    assert theirs("Hello, wörld! 123")["input_ids"] == embedded.encode(["Hello, wörld! 123"])[0].tolist()


# The embedded tokenizer's blend


def test_the_provenance_is_that_of_the_file():
    provenance = json.loads((EMBEDDED_FOLDER / "provenance.json").read_text(encoding="utf-8"))
    for about, file in ((provenance, "tokenizer.json"), (provenance["small"], "small.json")):
        assert about["sha256"] == hashlib.sha256((EMBEDDED_FOLDER / file).read_bytes()).hexdigest()
    assert provenance["bytes"] == sum(
        part["bytes"] for parts in provenance["blend"].values() for part in parts.values()
    )


# The seam


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


def test_a_tokenizer_that_fastokens_cannot_read_still_works(tmp_path):
    words = {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "?": 2}, "unk_token": "?"}
    definition = small_definition(added_tokens=[], pre_tokenizer={"type": "Whitespace"}, decoder=None, model=words)
    tokenizer = load_tokenizer(save(tmp_path / "tokenizer.json", definition))
    assert tokenizer.backend == "tokenizers"
    assert tokenizer.encode(["a b c", "b"])[0].tolist() == [0, 1, 2, 1]
    assert (tokenizer.vocabulary_size, tokenizer.end_of_text) == (3, None)


def test_nothing_heavy_is_imported_before_the_first_text():
    code = (
        "import sys; from simtool.tokens.tokenizer import load_tokenizer\n"
        "tokenizers = [load_tokenizer(name) for name in ('default', 'pythia', 'gpt2', 'small')]\n"
        "heavy = {'fastokens', 'tokenizers', 'huggingface_hub', 'torch', 'transformers'} & set(sys.modules)\n"
        "print(sorted(heavy), tokenizers[1].fingerprint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"[] {TOKENIZERS['pythia'].identity.fingerprint}\n"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
def test_one_thread_is_one_thread():
    count = "; import os; print(len(os.listdir('/proc/self/task')))"
    encode = (
        "from simtool.tokens.tokenizer import load_tokenizer, use_one_thread; use_one_thread()\n"
        "load_tokenizer('default').encode(['Some words, again 1234.\\n' * 4000] * 8)"
    )
    without, alone = (
        int(subprocess.run([sys.executable, "-c", code + count], capture_output=True, check=True).stdout)
        for code in ("import numpy", encode)
    )
    assert alone == without


# What goes wrong


def message(name, data_dir=None) -> str:
    with pytest.raises(SimtoolError) as error:
        load_tokenizer(name, data_dir).encode(["text"])
    return str(error.value)


def test_an_unknown_name_is_answered_with_the_known_ones():
    assert message("pythja") == (
        "Unknown tokenizer 'pythja'. Did you mean 'pythia'?\nKnown: default, gpt2, llama2, llama3, pythia, small."
    )


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    assert message(tmp_path / "no.json") == f"No tokenizer.json at {tmp_path / 'no.json'}."


def test_a_file_that_is_no_tokenizer_is_said_to_be_none(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text("{")
    assert message(path) == (
        f"{path} is not a tokenizer.json (JSONDecodeError: Expecting property name enclosed in double quotes:"
        " line 1 column 2 (char 1))."
    )
    assert message(save(path, {"text": "a"})) == f"{path} is not a tokenizer.json (KeyError: 'model')."
    path.write_text("[]")
    assert message(path) == (
        f"{path} is not a tokenizer.json (TypeError: list indices must be integers or slices, not str)."
    )
    odd = {"type": "Odd", "vocab": {"a": 0}}
    assert message(save(path, small_definition(model=odd))).startswith(
        f"{path} is not a tokenizer.json that `tokenizers` reads: "
    )


def test_merges_dropped_at_random_are_refused(tmp_path):
    definition = small_definition()
    definition["model"]["dropout"] = 0.1
    path = save(tmp_path / "tokenizer.json", definition)
    assert message(path) == (
        f"{path} drops merges at random (dropout 0.1), so a text has no fixed ids.\nSet model.dropout to null in it."
    )


def test_an_unknown_backend_is_answered_with_the_known_ones(monkeypatch):
    monkeypatch.setenv(BACKEND_VARIABLE, "fasttokens")
    assert message("default") == (
        "Unknown backend in SIMTOOL_TOKENIZER_BACKEND 'fasttokens'. Did you mean 'fastokens'?\n"
        "Known: fastokens, tokenizers."
    )


def test_without_file_cache_and_network_every_place_tried_is_listed(offline):
    tail = "Name a tokenizer.json, or use --tokenizer default, which needs nothing."
    assert message("pythia") == (
        "The tokenizer 'pythia' cannot be had. Tried\n"
        "  data folder: none given (--data DIR or SIMTOOL_DATA)\n"
        f"  cache: nothing of EleutherAI/pythia-70m in {offline / 'hub'}\n"
        "  hub: EleutherAI/pythia-70m at https://huggingface.co: HF_HUB_OFFLINE is set\n" + tail
    )
    assert message("llama3", offline) == (
        "The tokenizer 'llama3' cannot be had. Tried\n"
        f"  data folder: {offline / 'tokenizers' / 'llama3_tokenizer.json'}: no such file\n"
        f"  cache: nothing of meta-llama/Meta-Llama-3-8B in {offline / 'hub'}\n"
        "  hub: meta-llama/Meta-Llama-3-8B at https://huggingface.co: HF_HUB_OFFLINE is set\n"
        + tail
        + " meta-llama/Meta-Llama-3-8B is gated: accept its terms there and log in with `hf auth login`."
    )
    assert message("some/model") == (
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
