"""The exact sample: the documents of the smallest hashes, whoever gathers them, and on from where it was."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from simtool.corpora.corpus import MarkedText, document_hash
from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError
from simtool.profiles import exact
from simtool.profiles.count import Budget, count_corpus, manifest_of
from simtool.profiles.exact import Candidates, joined_all, load_candidates
from simtool.tokens.tokenizer import load_tokenizer
from tests.conftest import sentences, write_jsonl
from tests.profiles.test_count import same_counts

DEFAULT = load_tokenizer("default")
FEW = ("token", "char3", "token3")
TEXTS = sentences(9_000)
TOKENS = Budget(tokens=30_000, seed=5, exact=True)
TOKENS_OF_30 = Budget(tokens=30, seed=1, exact=True)
BUDGETS = [TOKENS, Budget(documents=700, seed=5, exact=True), replace(TOKENS, documents=700)]


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Some 20 pieces, of several batches each."""
    monkeypatch.setattr("simtool.corpora.pieces.SMALLEST", 40_000)
    monkeypatch.setattr(exact, "BATCH_BYTES", 10_000)
    return file_corpus(str(write_jsonl(tmp_path / "text.jsonl", TEXTS)))


def chosen_by_hand(budget):
    """The slow way: all documents in the order of their hashes, until one does not fit."""
    ordered = sorted(TEXTS, key=lambda text: document_hash(text.encode(), budget.seed))
    n_tokens = np.cumsum([len(DEFAULT.encode([text])[0]) for text in ordered])
    fitting = np.flatnonzero(n_tokens <= (budget.tokens or np.inf))[: budget.documents]
    return [ordered[i] for i in fitting]


@pytest.mark.parametrize("budget", BUDGETS)
def test_it_is_the_documents_of_the_smallest_hashes_whoever_gathers_them(corpus, budget, tmp_path):
    texts = chosen_by_hand(budget)
    sample = count_corpus(corpus, DEFAULT, FEW, budget)
    plain = count_corpus(file_corpus(str(write_jsonl(tmp_path / "chosen.jsonl", texts))), DEFAULT, FEW)
    assert same_counts(sample, plain) and sample.size["documents"] == len(texts) > 500
    several = count_corpus(corpus, DEFAULT, FEW, budget, workers=3)
    assert same_counts(several, sample) and several.labels == sample.labels
    assert sample.facts["budget"] == {"tokens": budget.tokens, "documents": budget.documents, "seed": 5}


def test_an_interrupted_one_goes_on_behind_the_last_whole_piece(corpus, tmp_path, monkeypatch):
    whole, n_messages, again = count_corpus(corpus, DEFAULT, FEW, TOKENS), [0], []
    monkeypatch.setattr(exact, "SAVE_SECONDS", 1e9)

    def interrupt(message):
        n_messages[0] += 1
        if n_messages[0] == 40:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        count_corpus(corpus, DEFAULT, FEW, TOKENS, parts=tmp_path / "parts", report=interrupt)
    saved = load_candidates(tmp_path / "parts" / "0-of-1.parquet")
    assert 4 < len(saved.pieces) < 15
    resumed = count_corpus(corpus, DEFAULT, FEW, TOKENS, parts=tmp_path / "parts", report=again.append)
    assert same_counts(resumed, whole)
    n_pieces = len(corpus.source.pieces())
    assert len(again) - 1 < 40 * (n_pieces - len(saved.pieces)) / len(saved.pieces)  # and a message for the counts
    # another number of workers uses what is there, and another budget does not
    several = count_corpus(corpus, DEFAULT, FEW, TOKENS, parts=tmp_path / "parts", workers=3, report=again.append)
    assert same_counts(several, whole)
    other = replace(TOKENS, seed=6)
    assert same_counts(
        count_corpus(corpus, DEFAULT, FEW, other, parts=tmp_path / "parts"), count_corpus(corpus, DEFAULT, FEW, other)
    )


def test_what_others_gathered_is_used_and_damage_is_as_if_it_were_not_there(corpus, tmp_path, monkeypatch):
    whole = count_corpus(corpus, DEFAULT, FEW, TOKENS, parts=tmp_path / "parts", workers=3)
    files = sorted((tmp_path / "parts").glob("*-of-3.parquet"))
    assert len(files) == 3
    files[0].write_bytes(files[0].read_bytes()[:-300])
    data = bytearray(files[1].read_bytes())
    data[len(data) // 3] ^= 1
    files[1].write_bytes(data)
    assert [len(load_candidates(file).pieces) > 0 for file in files] == [False, False, True]
    gathered = []
    really_gather = exact.gather

    def noted(task, report):
        gathered.extend(piece.name for piece in task.pieces)
        return really_gather(task, report)

    monkeypatch.setattr("simtool.profiles.count.gather", noted)
    assert same_counts(count_corpus(corpus, DEFAULT, FEW, TOKENS, parts=tmp_path / "parts"), whole)
    assert sorted([*gathered, *load_candidates(files[2]).pieces]) == sorted(p.name for p in corpus.source.pieces())


def test_what_is_saved_is_what_is_read_back(tmp_path):
    marked = MarkedText("<s>two")
    marked.spans = ((0, 3),)
    texts = np.array(["one\ud800 é\0", marked, ""], object)
    skipped = {"count": 2, "reasons": ["line 3"], "empty": 1}
    before = Candidates(np.array([1, 2**64 - 1, 7], np.uint64), texts, np.array([3, 2, 0]), ("a", "b"), skipped)
    before.save(tmp_path / "0-of-1.parquet")
    after = load_candidates(tmp_path / "0-of-1.parquet")
    assert (after.keys == before.keys).all() and (after.sizes == before.sizes).all()
    assert list(after.texts) == list(texts) and after.texts[1].spans == ((0, 3),)
    assert (after.pieces, after.skipped) == (("a", "b"), skipped)


def test_no_changed_bit_is_taken_for_a_document(tmp_path):
    path, texts = tmp_path / "0-of-1.parquet", np.array(TEXTS[:300], object)
    before = Candidates(np.arange(300).astype(np.uint64), texts, np.arange(300), ("a",))
    before.save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), len(whole) // 400):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        after = load_candidates(path)
        assert not after.pieces or [list(getattr(after, name)) for name in ("keys", "texts", "sizes")] == [
            list(getattr(before, name)) for name in ("keys", "texts", "sizes")
        ]


def test_candidates_add_up_in_any_order():
    rng = np.random.default_rng(1)
    parts = []
    for name in "abc":
        keys = np.sort(rng.integers(0, 1000, 50).astype(np.uint64))
        texts = np.array([f"{name}{i}" for i in range(50)], object)
        parts.append(Candidates(keys, texts, rng.integers(1, 9, 50), (name,)))
    forward, backward = (joined_all(order, TOKENS_OF_30) for order in (parts, parts[::-1]))
    assert (forward.keys == backward.keys).all() and forward.sizes.sum() > 30 >= forward.sizes[:-1].sum()


def test_workers_are_no_more_than_memory_allows(corpus, monkeypatch):
    monkeypatch.setattr(exact, "MOST_HELD", 2.5 * 4 * 30_000)  # samples of 4 bytes per token
    manifest, pieces = manifest_of(corpus, DEFAULT, FEW, False)
    tasks, _ = exact.gather_tasks(corpus, manifest, TOKENS, pieces, 8, None, None)
    assert [task.of for task in tasks] == [2, 2]
    assert sorted(piece.name for task in tasks for piece in task.pieces) == sorted(piece.name for piece in pieces)


def test_a_corpus_that_is_smaller_is_an_error(corpus):
    with pytest.raises(SimtoolError, match=r"too few for --documents 20,000"):
        count_corpus(corpus, DEFAULT, ["token"], Budget(documents=20_000, seed=1, exact=True), workers=2)


def test_it_needs_a_seed():
    with pytest.raises(SimtoolError, match="Give it a seed: --seed 1"):
        Budget(tokens=100, exact=True)
