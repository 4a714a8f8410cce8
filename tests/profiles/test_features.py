"""What is counted, against naive twins: a Counter over tuples, a reading character by character."""

import itertools
import re
from collections import Counter
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simtool.errors import SimtoolError
from simtool.profiles import features as module
from simtool.profiles.features import (
    FEATURES,
    N_FOLDS,
    VIEWS,
    DocumentBatch,
    Feature,
    add_counts,
    coarsen,
    count_features,
    empty_counts,
    find_feature,
    frequent_ngrams,
    length_symbols,
    split_by_tokenizer,
)
from simtool.profiles.skeleton import skeleton_symbols
from tests.profiles.test_skeleton import naive_skeleton, texts

VOCABULARY = 300
# tables of 300 MB take long to compare
FEW_BUCKETS = {name: replace(feature, n_buckets=1 << 12) for name, feature in FEATURES.items() if feature.n_buckets}


def batch_of(texts, tokens, folds=None):
    """A batch with these texts, these token ids (a list a document) and these folds (all 0)."""
    offsets = np.cumsum([0, *map(len, tokens)])
    ids = np.array([i for document in tokens for i in document], np.uint16)
    return DocumentBatch(list(texts), ids, offsets, np.array(folds or [0] * len(texts), np.uint8))


documents = st.tuples(texts, st.lists(st.integers(0, VOCABULARY - 1), max_size=12), st.integers(0, N_FOLDS - 1))
batches = st.lists(documents, max_size=8).map(
    lambda rows: batch_of([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])
)


# --- The naive twins ---


def naive_length_class(n):
    """How many of 1, 2, 3, 4, 6, 8, 12, 16, 23 ... are reached: powers of the root of two, rounded up."""
    edges = sorted({-int(-(2 ** (k / 2)) // 1) for k in range(63)})
    return sum(n >= edge for edge in edges)


def naive_lines(text):
    lines = text.split("\n")
    last = lines.pop()
    return [line.removesuffix("\r") for line in lines] + ([last] if last else [])


def naive_sequence(view, text, ids):
    names = skeleton_symbols()
    return {
        "token": lambda: ids,
        "char": lambda: [ord(c) for c in text],
        "skeleton": lambda: [names.index(symbol) for symbol in naive_skeleton(text)],
        "document_length": lambda: [naive_length_class(len(ids))],
        "line_length": lambda: [naive_length_class(len(line)) for line in naive_lines(text)],
    }[view]()


def naive_bucket(ngram, feature, alphabet):
    if feature.n_buckets is None:
        number = 0
        for symbol in ngram:
            number = number * alphabet + symbol
        return number
    h = ngram[0]
    for symbol in ngram[1:]:
        h = (h * 0x9E3779B1 + symbol) % 2**32
    h ^= h >> 15
    h = h * 0x85EBCA77 % 2**32
    return h * feature.n_buckets // 2**32


def naive_counts(batch, feature):
    counts = Counter()
    alphabet = VIEWS[feature.view].alphabet or VOCABULARY
    for d, text in enumerate(batch.texts):
        ids = batch.ids[batch.offsets[d] : batch.offsets[d + 1]].tolist()
        sequence = naive_sequence(feature.view, text, ids)
        for i in range(len(sequence) - feature.order + 1):
            ngram = tuple(sequence[i : i + feature.order])
            counts[int(batch.folds[d]), naive_bucket(ngram, feature, alphabet)] += 1
    return counts


def as_counter(counts):
    folds, columns = np.nonzero(counts)
    return Counter({(int(f), int(c)): int(counts[f, c]) for f, c in zip(folds, columns, strict=True)})


# --- Counts ---


@pytest.mark.parametrize("name", FEATURES)
@given(batch=batches)
@settings(max_examples=30, deadline=None)
def test_counts_match_a_plain_counter(name, batch):  # the slow way is the specification
    assert as_counter(count_features(batch, [name], VOCABULARY)[name]) == naive_counts(batch, FEATURES[name])


@pytest.mark.parametrize("name", [name for name in FEATURES if FEATURES[name].n_buckets])
@pytest.mark.parametrize("n_buckets", [1 << 3, 1 << 18])  # in 32 bits first, and at once
@given(batch=batches)
@settings(max_examples=10, deadline=None)
def test_counts_do_not_hang_on_how_many_ngrams_are_counted_at_once(name, n_buckets, batch):
    feature = replace(FEATURES[name], n_buckets=n_buckets)
    with mock.patch.object(module, "PART", 3), mock.patch.dict(FEATURES, {name: feature}):
        assert as_counter(count_features(batch, [name], VOCABULARY)[name]) == naive_counts(batch, feature)


@given(batch=batches, seed=st.integers(0, 99), cut=st.integers(0, 8))
@settings(max_examples=10, deadline=None)
@mock.patch.dict(FEATURES, FEW_BUCKETS)
def test_batches_add_up_however_documents_are_ordered_and_split(batch, seed, cut):
    order = np.random.default_rng(seed).permutation(len(batch.texts)).tolist()
    halves = empty_counts(FEATURES, VOCABULARY)
    for half in (order[:cut], order[cut:]):
        tokens = [batch.ids[batch.offsets[d] : batch.offsets[d + 1]] for d in half]
        part = batch_of([batch.texts[d] for d in half], tokens, [int(batch.folds[d]) for d in half])
        add_counts(halves, part, VOCABULARY)
    whole = count_features(batch, FEATURES, VOCABULARY)
    for name in FEATURES:
        np.testing.assert_array_equal(whole[name], halves[name])


@given(batch=batches)
def test_a_fold_is_its_documents(batch):
    for fold in range(N_FOLDS):
        part = batch.fold(fold)
        chosen = [d for d in range(len(batch.texts)) if batch.folds[d] == fold]
        assert part.texts == [batch.texts[d] for d in chosen]
        assert [part.ids[a:b].tolist() for a, b in itertools.pairwise(part.offsets)] == [
            batch.ids[batch.offsets[d] : batch.offsets[d + 1]].tolist() for d in chosen
        ]


@pytest.mark.parametrize("name", [name for name in FEATURES if FEATURES[name].n_buckets])
def test_coarsened_counts_are_those_of_fewer_buckets(name, monkeypatch):
    batch = batch_of(["def area(r):\n    return 3.14 * r", "He said so."], [range(40), [7, 7, 7, 299]], [3, 5])
    fine = count_features(batch, [name], VOCABULARY)[name]
    feature = FEATURES[name]
    fewer = Feature(name, feature.about, feature.view, feature.order, 1 << 14)
    monkeypatch.setitem(FEATURES, name, fewer)
    np.testing.assert_array_equal(coarsen(fine, 1 << 14), count_features(batch, [name], VOCABULARY)[name])
    assert coarsen(fine, 1).tolist() == fine.sum(axis=1, keepdims=True).tolist()


@pytest.mark.parametrize(("n_fine", "n_buckets"), [(8, 16), (8, 3), (12, 4), (8, 0)])
def test_only_powers_of_two_coarsen(n_fine, n_buckets):
    with pytest.raises(ValueError, match=f"^Cannot coarsen {n_fine} buckets to {n_buckets}: powers of two"):
        coarsen(np.zeros(n_fine, np.int64), n_buckets)


def test_counts_by_hand():
    batch = batch_of(["a\nbc", "", "\n"], [[1, 2, 1, 2, 1], [], [9]], [0, 1, 15])
    counts = count_features(batch, ["token", "document_length", "line_length"], 10)
    assert counts["token"][0].tolist() == [0, 3, 2, 0, 0, 0, 0, 0, 0, 0]
    assert counts["token"][15].tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    names = length_symbols()
    assert [names[c] for c in counts["document_length"].argmax(axis=1)[[0, 1, 15]]] == ["4-5", "0", "1"]
    assert counts["line_length"][0, :3].tolist() == [0, 1, 1]  # "a", "bc"
    assert counts["line_length"][1].sum() == 0  # an empty document has no line
    assert counts["line_length"][15, :3].tolist() == [1, 0, 0]  # one line, empty


def test_lengths_are_in_half_octaves():
    assert length_symbols()[:10] == ["0", "1", "2", "3", "4-5", "6-7", "8-11", "12-15", "16-22", "23-31"]
    assert length_symbols()[-1] == "2147483648+"


@pytest.mark.parametrize("name", FEATURES)
def test_every_feature_is_known_by_its_name_and_fits_32_bits(name):
    feature = find_feature(name)
    assert feature.name == name
    assert feature.about.endswith(".")
    assert feature.dimension(50_000) <= 2**18
    if feature.n_buckets is None:
        assert (VIEWS[feature.view].alphabet or 2**18) ** feature.order <= 2**32


def test_a_view_spells_its_symbols_unless_only_the_tokenizer_can():
    unspelled = [name for name, view in VIEWS.items() if view.spell is None]
    assert unspelled == ["token"] and VIEWS["token"].needs_tokenizer
    shown = {"char": (ord("a"), "a"), "skeleton": (0, skeleton_symbols()[0]), "line_length": (8, "16-22")}
    assert {name: VIEWS[name].spell(symbol) for name, (symbol, _) in shown.items()} == {
        name: text for name, (_, text) in shown.items()
    }


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_that_needs_no_tokenizer_counts_the_same_under_any(name):
    texts = ["The cat sat.\nOn the mat.", "x = 1"]
    one_each, many = batch_of(texts, [[1], [2]]), batch_of(texts, [[1, 2, 3, 4, 5, 6], [7, 8, 9]])
    counts = [count_features(batch, [name], VOCABULARY)[name] for batch in (one_each, many)]
    of_text, of_tokens = split_by_tokenizer([name])
    assert of_text + of_tokens == [name]
    assert np.array_equal(*counts) == (of_text == [name])


def test_an_unknown_feature_names_the_known_ones():
    with pytest.raises(SimtoolError) as error:
        count_features(batch_of([], []), ["token", "skeletn3"], VOCABULARY)
    assert str(error.value) == (
        "Unknown feature 'skeletn3'. Did you mean 'skeleton3'?\n"
        "Known: char1, char2, char3, char4, char5, document_length, line_length, "
        "skeleton1, skeleton2, skeleton3, skeleton4, token, token2, token3, token4."
    )


def test_a_token_beyond_the_vocabulary_is_refused():
    with pytest.raises(IndexError):
        count_features(batch_of(["x"], [[10]]), ["token"], 10)


@pytest.mark.parametrize(
    ("texts", "n_ids", "offsets", "folds", "message"),
    [
        (["a"], 2, [0, 2], [], "1 texts, 2 offsets, 0 folds"),
        (["a"], 3, [0, 2], [0], "Offsets run 0 .. 2, ids 0 .. 3"),
        (["a"], 2, [0, 2], [16], "Folds run 16 .. 16, not 0 .. 15"),
    ],
)
def test_a_batch_that_does_not_fit_together_is_refused(texts, n_ids, offsets, folds, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        DocumentBatch(texts, np.zeros(n_ids, np.uint16), np.array(offsets), np.array(folds, np.int64))


# --- The most frequent n-grams ---


@pytest.mark.parametrize("name", ["token", "token3", "char2", "skeleton2", "skeleton3"])
@given(batch=batches)
@settings(max_examples=20, deadline=None)
def test_frequent_ngrams_match_a_plain_counter(name, batch):
    feature = FEATURES[name]
    counts = Counter()
    for d, text in enumerate(batch.texts):
        ids = batch.ids[batch.offsets[d] : batch.offsets[d + 1]].tolist()
        sequence = naive_sequence(feature.view, text, ids)
        counts.update(zip(*(sequence[i:] for i in range(feature.order)), strict=False))
    alphabet = VIEWS[feature.view].alphabet or VOCABULARY
    expected = sorted(counts, key=lambda ngram: (-counts[ngram], ngram))[:5]
    assert frequent_ngrams(batch, name, 5, VOCABULARY) == [
        (naive_bucket(ngram, feature, alphabet), ngram, counts[ngram]) for ngram in expected
    ]
