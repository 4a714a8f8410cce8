"""Ids on disk are the tokenizer's ids, once; splits are disjoint; masks are those of the segments."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from simtool.corpora.chat import ChatTemplate
from simtool.corpora.corpus import Corpus, Document, Segment
from simtool.corpora.memory import corpus_in_memory
from simtool.corpora.reading import Reading
from simtool.errors import SimtoolError
from simtool.tokens import tokenize
from simtool.tokens.batches import IGNORED, ExampleBatches
from simtool.tokens.store import text_identity
from simtool.tokens.tokenize import tokenize_corpus
from simtool.tokens.tokenizer import load_tokenizer
from tests.corpora.chat_templates import CHATML
from tests.tokens.definitions import save, small_definition
from tests.tokens.toys import PAIRS, Rows, corpus_of, render


def test_every_document_is_in_one_split_with_the_tokenizers_ids(stores, tokenizer):
    texts = {"".join(pair): pair for pair in PAIRS}
    seen = []
    for store in stores.values():
        for d in range(store.n_documents):
            text = tokenizer.decode(store.document(d))
            ids, _ = tokenizer.encode([text])
            assert store.document(d).tolist() == ids.tolist()
            assert store.n_bytes[d] == len(text.encode())
            prompt, response = texts[text]
            assert store.n_masked_bytes[d] == len(prompt)
            assert tokenizer.decode(store.document(d)[~store.is_masked(d)]) == response
            seen.append(text)
    assert sorted(seen) == sorted(texts)


def test_splits_have_their_shares_and_no_document_in_common(stores):
    sizes = {split: store.n_documents for split, store in stores.items()}
    assert sum(sizes.values()) == len(PAIRS)
    assert abs(sizes["train"] - 360) < 4 * (400 * 0.9 * 0.1) ** 0.5  # four standard deviations of a binomial
    hashes = [set(store.hashes.tolist()) for store in stores.values()]
    assert not (hashes[0] & hashes[1] or hashes[0] & hashes[2] or hashes[1] & hashes[2])


def test_a_copy_is_in_the_split_of_its_original_and_order_does_not_matter(tokenizer, tmp_path, stores):
    other = tokenize_corpus(corpus_of(*reversed(PAIRS), *PAIRS[:50]), tokenizer, tmp_path)
    for split, store in other.items():
        assert set(store.hashes.tolist()) == set(stores[split].hashes.tolist())


def test_splits_do_not_follow_the_folds(stores):
    folds = np.bincount((stores["train"].hashes % np.uint64(16)).astype(int), minlength=16)
    assert (folds > 0).all()


def test_splits_do_not_follow_the_order_in_which_samples_are_drawn(stores):
    """Folds and samples go by the hash with seed 0; a split by the same hash would hold its highest values only."""
    for store in stores.values():
        assert store.hashes.min() < 1 << 63 < store.hashes.max()


@pytest.mark.parametrize(
    ("segments", "learnt"),
    [  # the tokens: What| is| it|?| international| trade
        ([("What is it? inter", False), ("national trade", True)], [4, 5]),
        ([("What is it?", False), (" international trade", True)], [4, 5]),
        ([("What is it? inter", True), ("national trade", False)], [0, 1, 2, 3, 4]),
        ([("What is it?", True), (" international trade", False)], [0, 1, 2, 3]),
        ([("What is it? inter", False), ("nation", True), ("al trade", False)], [4]),
        ([("What is it? inter", True), ("nation", False), ("al trade", True)], [0, 1, 2, 3, 4, 5]),
    ],
)
def test_a_token_that_straddles_a_border_is_learnt(tokenizer, tmp_path, segments, learnt):
    document = Document(tuple(Segment("text", text, counted) for text, counted in segments))
    corpus = Corpus("toy", "A test.", "sft", "ours", lambda row: document, {}, Rows((0,)))
    store = tokenize_corpus(corpus, tokenizer, tmp_path, {"train": 1.0})["train"]
    assert [tokenizer.decode([i]) for i in store.ids] == ["What", " is", " it", "?", " international", " trade"]
    assert np.flatnonzero(~store.is_masked(0)).tolist() == learnt


def test_what_is_there_is_not_made_again(tokenizer, tmp_path, monkeypatch):
    first = tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path)
    monkeypatch.setattr(tokenize, "_write_splits", None)
    second = tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path)
    assert first["train"].fingerprint == second["train"].fingerprint


def test_another_division_of_the_same_text_is_an_error(tokenizer, tmp_path):
    tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path)
    with pytest.raises(SimtoolError, match=r"holds another division of the text: rows of a test"):
        tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path, {"train": 0.5, "test": 0.5})


CHAT = Document(
    (
        Segment("system", "Be brief.", False),
        Segment("template", "\n", False),
        Segment("user", "What is two and two?", False),
        Segment("template", "\n", False),
        Segment("assistant", "Four, I believe."),
        Segment("template", "\n", False),
        Segment("user", "And what is that doubled?", False),
        Segment("template", "\n", False),
        Segment("assistant", "Eight."),
    )
)


@pytest.mark.parametrize("last_is_user", [False, True])
def test_every_turn_of_the_assistant_is_learnt_and_nothing_else(tokenizer, tmp_path, last_is_user):
    document = Document(CHAT.segments[:-2] if last_is_user else CHAT.segments)
    corpus = Corpus("chat", "A test.", "sft", "ours", lambda row: document, {}, Rows((0,)), train_on="response")
    store = tokenize_corpus(corpus, tokenizer, tmp_path, {"train": 1.0})["train"]
    ids, masked = store.document(0), store.is_masked(0)
    assert tokenizer.decode(ids) == document.text
    learnt = tokenizer.decode(ids[~masked])
    # the full stop and the line break behind it are one token: it straddles the border, so it is learnt
    assert learnt == ("Four, I believe.\n" if last_is_user else "Four, I believe.\nEight.")
    assert store.n_masked_tokens.tolist() == [masked.sum()] and store.n_masked_tokens[0] < store.n_tokens
    assert store.n_masked_bytes.tolist() == [len(document.text) - len(learnt.replace("\n", ""))]
    targets = ExampleBatches(store, 0, 128, 1).batch(0).targets[0]
    answers = targets[targets != IGNORED].tolist()
    # the end of the text follows only where the last turn is the assistant's
    assert answers == [*ids[~masked].tolist(), *([] if last_is_user else [store.end_of_text])]


def test_nothing_is_left_when_the_text_cannot_be_read(tokenizer, tmp_path):
    with pytest.raises(SimtoolError):
        tokenize_corpus(corpus_of(*PAIRS[:9], (1, 2, 3)), tokenizer, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]


def test_an_empty_corpus_is_an_error(tokenizer, tmp_path):
    with pytest.raises(SimtoolError, match="toy holds no text"):
        tokenize_corpus(corpus_of(), tokenizer, tmp_path)


def test_a_budget_ends_with_the_document_that_reaches_it(tokenizer, tmp_path):
    lengths = np.cumsum([len(tokenizer.encode(["".join(pair)])[0]) for pair in PAIRS])
    stores = tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path, {"train": 1.0}, tokens=int(lengths[9]))
    assert stores["train"].n_tokens == lengths[9]


def test_a_small_budget_does_not_read_the_whole_corpus(tokenizer, tmp_path):
    read = []

    class Counting(Rows):
        def read(self, shard: int, n_shards: int, reading: Reading):
            for rows in super().read(shard, n_shards, reading):
                read.extend(rows)
                yield rows

    corpus = Corpus("toy", "A test.", "sft", "ours", render, {}, Counting(tuple(PAIRS)))
    tokenize_corpus(corpus, tokenizer, tmp_path, {"train": 1.0}, tokens=100)
    assert len(read) == 14  # some 17 tokens and 50 characters a document: two lists of 7, not all 400


def test_a_store_of_rendered_chats_masks_what_the_template_masks(tmp_path):
    special, model = small_definition()["added_tokens"][0], small_definition()["model"]
    model["vocab"] |= {letter: 4 + n for n, letter in enumerate("userĊitn<|m_>d")}
    start, end = (len(model["vocab"]) + n for n in range(2))
    added = [special | {"id": start, "content": "<|im_start|>"}, special | {"id": end, "content": "<|im_end|>"}]
    tokenizer = load_tokenizer(save(tmp_path / "tokenizer.json", small_definition(added_tokens=added, model=model)))
    turns = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "b<|im_end|>a"}]
    plain = replace(corpus_in_memory([{"messages": [*turns, *turns]}], "chat", None), train_on="response")
    corpus = replace(plain, template=ChatTemplate("toy", CHATML))
    assert text_identity(corpus) != text_identity(plain)
    store = tokenize_corpus(corpus, tokenizer, tmp_path / "stores", {"train": 1.0})["train"]
    ids, is_masked = store.document(0), store.is_masked(0)
    assert ((ids == start).sum(), (ids == end).sum()) == (4, 4)  # the marker that is said stays text
    runs = np.split(ids, np.flatnonzero(np.diff(is_masked)) + 1)
    learnt = [*tokenizer.encode(["b<|im_end|>a"])[0].tolist(), end]
    assert [run.tolist() for run in runs[1::2]] == [learnt, learnt]
    assert len(runs) == 5 and is_masked[0] and is_masked[-1]


def test_what_a_killed_process_left_is_removed(tokenizer, tmp_path):
    folder = tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path)["train"].folder
    for split in folder.parent.iterdir():
        if split.is_dir():
            shutil.rmtree(split)
    leftover = folder.parent / ".tokenizing.abc" / "train"
    leftover.mkdir(parents=True)
    tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path)
    assert sorted(path.name for path in folder.parent.iterdir()) == [".lock", "test", "train", "validation"]


def test_two_at_once_with_other_budgets_do_not_take_each_others_store(tokenizer, tmp_path, monkeypatch):
    begun, may_end = threading.Event(), threading.Event()
    write = tokenize._write_splits

    def slow(*arguments):
        begun.set()
        assert may_end.wait(60)
        write(*arguments)

    monkeypatch.setattr(tokenize, "_write_splits", slow)
    messages = []
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(tokenize_corpus, corpus_of(*PAIRS), tokenizer, tmp_path)
        assert begun.wait(60)
        second = pool.submit(tokenize_corpus, corpus_of(*PAIRS), tokenizer, tmp_path, tokens=10, report=messages.append)
        while not messages:
            assert not second.done()
            time.sleep(0.01)
        may_end.set()
        assert first.result()["train"].n_tokens > 10
        with pytest.raises(SimtoolError, match="holds another division of the text"):
            second.result()
    assert messages[0].endswith("is being tokenized by another simtool; waiting for it.")


def test_a_store_that_nobody_may_write_to_is_read(tokenizer, tmp_path, monkeypatch):
    tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path)
    monkeypatch.setattr("filelock.FileLock", None)
    assert tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path)["train"].n_documents
