"""From names to stores: tokenized once, again where the text changed, and found where no text is at hand."""

import json
from dataclasses import replace

import pytest

from simtool.corpora.corpus import document_hash
from simtool.errors import SimtoolError
from simtool.profiles.resolve import Options, local_text
from simtool.runs import texts
from simtool.runs.texts import enough_of, file_content, overlaps, stores_for, tokenize
from simtool.tokens.tokenizer import load_tokenizer
from tests.conftest import sentences, write_jsonl


@pytest.fixture
def options(tmp_path):
    return Options(tokenizer="small", data=None, cache=tmp_path / "cache")


def test_the_corpora_of_a_mixture_are_tokenized_one_by_one(tmp_path, options):
    a, b = (str(write_jsonl(tmp_path / f"{name}.jsonl", sentences(200, seed))) for seed, name in enumerate("ab"))
    stores = tokenize([f"{a}:0.5+{b}:0.5", a], tmp_path / "stores", options)
    assert list(stores) == [a, b]
    assert list(stores[a]) == ["train", "validation", "test"]
    assert sum(store.n_documents for store in stores[a].values()) == 200


def test_a_split_of_its_own_stays_whole(tmp_path, options):
    rows = "".join(json.dumps({"question": text, "answer": "7"}) + "\n" for text in sentences(50))
    (tmp_path / "gsm8k_test.jsonl").write_text(rows)
    here = replace(options, split="test", data=tmp_path)
    [splits] = tokenize(["gsm8k"], tmp_path / "stores", here).values()
    assert {name: store.n_documents for name, store in splits.items()} == {"test": 50}


def test_a_changed_text_is_tokenized_again_and_without_text_the_store_is_found(tmp_path, options):
    path, root, tokenizer = tmp_path / "a.jsonl", tmp_path / "stores", load_tokenizer("small")
    name = str(write_jsonl(path, sentences(100)))
    first = stores_for([name], "train", root, tokenizer, options)[name]
    assert stores_for([name], "train", root, tokenizer, options)[name].fingerprint == first.fingerprint
    assert stores_for([name], "train", root, tokenizer)[name].fingerprint == first.fingerprint
    write_jsonl(path, sentences(100, seed=1))
    assert stores_for([name], "train", root, tokenizer, options)[name].fingerprint != first.fingerprint
    with pytest.raises(SimtoolError, match="is not tokenized under 'small'"):
        stores_for(["c4"], "train", root, tokenizer)


def test_overlaps_are_with_the_training_split(tmp_path, options):
    path = str(write_jsonl(tmp_path / "a.jsonl", sentences(60)))
    [splits] = tokenize([path], tmp_path / "stores", options).values()
    assert set(overlaps(splits)) == {"validation", "test"}
    assert overlaps({"train": splits["train"], "copy": splits["train"]})["copy"].n_near_duplicates > 0
    assert overlaps({"test": splits["test"]}) == {}


def test_files_are_known_by_what_they_hold(tmp_path, options):
    written = sentences(20)
    assert len({document_hash(text.encode()) for text in written}) == 20
    a, b, other = (
        file_content(local_text(str(write_jsonl(tmp_path / name, lines)), options))
        for name, lines in (("a.jsonl", written), ("b.jsonl", written), ("c.jsonl", written[1:]))
    )
    assert a == b != other and file_content(None) is None


def test_of_text_that_is_made_here_a_run_takes_what_it_needs(tmp_path, options, monkeypatch):
    """gen_chat goes on for a million documents, 4.8 GB of ids."""
    monkeypatch.setattr(texts, "GENERATED_TOKENS", 20_000)
    messages: list[str] = []
    options, root, tokenizer = replace(options, report=messages.append), tmp_path / "stores", load_tokenizer("small")
    corpus = local_text("gen_chat", options)
    few, more = (enough_of(corpus, tokenizer, n) for n in (20_000, 100_000))
    assert few.source.n_documents < more.source.n_documents < 20_000
    assert enough_of(few, tokenizer, 10**9).source == few.source  # no more than there is
    store = stores_for(["gen_chat"], "train", root, tokenizer, options, {"gen_chat": 100_000})["gen_chat"]
    assert 100_000 <= store.n_tokens <= 300_000
    assert messages == [
        f"Tokenizing gen_chat: generated here (chat, version 1, first {more.source.n_documents:,} documents)"
    ]
    same = stores_for(["gen_chat"], "train", root, tokenizer, options, {"gen_chat": 99_000})["gen_chat"]
    assert same.fingerprint == store.fingerprint and len(messages) == 1
    [splits] = tokenize(["gen_chat"], root, options).values()  # without a number: GENERATED_TOKENS
    assert 20_000 <= sum(split.n_tokens for split in splits.values()) <= 60_000


def test_text_of_files_is_taken_whole(tmp_path, options):
    corpus = local_text(str(write_jsonl(tmp_path / "a.jsonl", sentences(20))), options)
    assert enough_of(corpus, load_tokenizer("small"), 1) is corpus


@pytest.mark.parametrize(
    "shares", [{"80,10,10": 1.0}, {"validation": 1.0}, {"train": 0.9, "test": 0.2}, {"train": 1.0, "dev": 0.0}]
)
def test_shares_that_do_not_divide_a_text_are_refused(tmp_path, options, shares):
    with pytest.raises(SimtoolError, match=r"^--shares \S+ does not divide a text\. Give train, validation, test"):
        tokenize(["gen_drills"], tmp_path, options, shares)
    assert not list(tmp_path.iterdir())
