"""A tally is the plain count of its batches, and knows which they are."""

import tracemalloc
from collections import Counter

import numpy as np

from simtool.profiles.tally import CorpusTally
from simtool.tokens.tokenizer import load_tokenizer
from tests.conftest import sentences

DEFAULT = load_tokenizer("default")
NOTHING = {"count": 0, "reasons": [], "empty": 0}
TEXTS = sentences(60)


def test_batches_add_up():
    tally = CorpusTally("a", DEFAULT, ("token",))
    sizes = [tally.add(TEXTS[:25]), tally.add(TEXTS[25:])]
    ids, _ = DEFAULT.encode(TEXTS)
    counts = tally.profile().features["token"].sum(axis=0)
    assert dict(enumerate(counts.tolist())) == {i: Counter(ids.tolist())[i] for i in range(len(counts))}
    assert np.sum(sizes, axis=0).tolist() == [sum(len(text.encode()) for text in TEXTS), len(ids)]


def test_runs_of_batches_are_joined():
    tally = CorpusTally("a", DEFAULT, ())
    for batch in (0, 1, 4):
        tally.cover("x", batch, {"count": 1, "reasons": [f"bad {batch}"], "empty": 2})
    tally.cover_rest("x", 5, NOTHING)
    tally.cover_rest("y", 0, NOTHING)
    assert tally.covers == {"x": [(0, 2), (4, None)], "y": [(0, None)]}
    assert tally.skipped == {"count": 3, "reasons": ["bad 0", "bad 1", "bad 4"], "empty": 6}


def test_it_goes_on_from_a_part():
    first, whole = CorpusTally("a", DEFAULT, ("token", "token2")), CorpusTally("a", DEFAULT, ("token", "token2"))
    first.add(TEXTS[:30], label=True)
    first.cover("x", 0, NOTHING)
    again = CorpusTally("a", DEFAULT, ("token", "token2"))
    again.resume(first.profile())
    again.add(TEXTS[30:])
    whole.add(TEXTS)
    assert all((again.counts[name] == whole.counts[name]).all() for name in whole.counts)
    assert again.covers == {"x": [(0, 1)]} and again.labels == first.labels


def test_hashed_ngrams_have_names():
    tally = CorpusTally("a", DEFAULT, ("token", "token2"))
    tally.add(TEXTS, label=True)
    bucket, ngram = next(iter(tally.labels["token2"].items()))
    assert tally.counts["token2"][:, bucket].sum() > 0
    assert DEFAULT.decode(ngram).strip()


def test_sizes_are_of_documents_tokens_and_utf8_bytes():
    tally = CorpusTally("a", DEFAULT, ())
    assert tally.add(["caf\u00e9 \u4e2d\u6587", "plain"])[0] == 3 + 2 + 1 + 2 * 3 + 5
    profile = tally.profile()
    assert profile.size["bytes"] == 17 and profile.size["documents"] == 2


def test_names_are_of_the_beginning_of_a_long_text(monkeypatch):
    monkeypatch.setattr("simtool.profiles.tally.LONG", 9)
    tally = CorpusTally("a", DEFAULT, ("token2", "char2"))
    tally.add(["abababab" + " and much more" * 20], label=True)
    assert {"".join(map(chr, pair)) for pair in tally.labels["char2"].values()} == {"ab", "ba", "b "}
    assert len(tally.labels["token2"]) <= 8  # of 9 tokens


def test_a_long_text_is_held_once_and_tokenized_once(monkeypatch):
    text = "ab " * 300_000 + "\N{GRINNING FACE}"  # 0.9 MB, and four times as much in Python
    tally = CorpusTally("a", DEFAULT, ("token", "token2", "char2", "skeleton2", "line_length"))
    tally.add(["\N{GRINNING FACE}"])  # makes what is made once
    texts = []
    encode = DEFAULT.encode
    monkeypatch.setattr(type(DEFAULT), "encode", lambda self, batch: texts.append(len(batch)) or encode(batch))
    for module in ("skeleton.SEGMENT", "tally.LONG"):
        monkeypatch.setattr(f"simtool.profiles.{module}", 1 << 12)
    tracemalloc.start()
    try:
        tally.add([text], label=True)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(text)  # 9: code points, ids; 82 before
    finally:
        tracemalloc.stop()
    assert texts == [1]
