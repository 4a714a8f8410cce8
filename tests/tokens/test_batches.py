"""Batch i depends on i alone; shares are exact in every block; every sequence and every example comes once an epoch."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.tokens.batches import (
    BLOCK,
    IGNORED,
    ExampleBatches,
    TextBatches,
    packed,
    permuted,
)
from simtool.tokens.store import TokenStore, mask_arrays

END = 0


def store_of(documents, corpus="toy", prompts=None, fingerprint="f" * 16, end_of_text=END) -> TokenStore:
    """A store of these lists of ids, in memory."""
    lengths = [len(document) for document in documents]
    zeros = np.zeros(len(documents), np.int64)
    return TokenStore(
        corpus, "train", "toy", fingerprint, 1 << 16, end_of_text,
        ids=np.array([i for document in documents for i in document], np.uint16),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        n_bytes=np.array(lengths, np.int64) * 4,
        **mask_arrays([[(0, n)] if n else [] for n in prompts or zeros]),
        n_masked_bytes=zeros if prompts is None else np.array(prompts, np.int64) * 4,
        hashes=np.arange(len(documents), dtype=np.uint64),
        train_on="text" if prompts is None else "response",
    )  # fmt: skip


def random_store(corpus: str, n_tokens: int, first: int, seed: int = 0) -> TokenStore:
    """Documents of 1 to 80 tokens; no id stands twice, and all are first .. first + n_tokens - 1."""
    cuts = np.cumsum(np.random.default_rng(seed).integers(1, 80, n_tokens))
    return store_of(np.split(np.arange(first, first + n_tokens), cuts[cuts < n_tokens]), corpus)


A, B = random_store("a", 9_000, 1), random_store("b", 9_000, 20_000, 1)
STORES = {"a": A, "b": B}
MIX = Mixture({"a": 0.8, "b": 0.2})


def text_batches(mixture=MIX, stores=STORES, seed=0, length=16, batch_size=8, n_batches=64, **options) -> TextBatches:
    return TextBatches(stores, mixture, seed, length, batch_size, n_batches, **options)


def naive_stream(store: TokenStore) -> list[int]:
    stream = []
    for d in range(store.n_documents):
        stream += [END, *store.document(d).tolist()]
    return [*stream, END]


def test_rows_are_sequences_of_the_stream():
    stream = naive_stream(A)
    batches = text_batches(Mixture({"a": 1.0}), n_batches=40)
    known = {tuple(stream[k : k + 17]) for k in range(0, len(stream) - 17, 16)}
    for i in range(40):
        batch = batches.batch(i)
        for ids, targets in zip(batch.ids.tolist(), batch.targets.tolist(), strict=True):
            assert ids[1:] == targets[:-1]
            assert (*ids, targets[-1]) in known


def test_an_epoch_has_every_sequence_once():
    stream = naive_stream(A)
    n = (len(stream) - 1) // 16
    batches = text_batches(Mixture({"a": 1.0}), batch_size=1, n_batches=2 * n)
    for epoch in (0, 1):
        firsts = Counter(tuple(batches.batch(epoch * n + i).ids[0].tolist()) for i in range(n))
        assert firsts == Counter(tuple(stream[k * 16 : k * 16 + 16]) for k in range(n))
    assert [batches.batch(i).ids[0, 1] for i in range(9)] != [batches.batch(n + i).ids[0, 1] for i in range(9)]


def test_batches_do_not_depend_on_their_size_or_on_what_was_read_before():
    small, large = text_batches(batch_size=2, n_batches=256), text_batches(batch_size=8)
    for i in (63, 0, 17):
        split = np.concatenate([small.batch(4 * i + k).ids for k in range(4)])
        assert (split == large.batch(i).ids).all()


def test_seeds_differ():
    assert (text_batches(seed=0).batch(0).ids != text_batches(seed=1).batch(0).ids).any()


def test_shares_are_exact_in_every_block():
    batches = text_batches(n_batches=3 * BLOCK // 8, max_epochs=100)
    ids = np.concatenate([batches.batch(i).ids for i in range(3 * BLOCK // 8)])
    owner = (ids.max(axis=1) >= 20_000).astype(int)
    for block in range(3):
        assert owner[block * BLOCK : (block + 1) * BLOCK].sum() == 200  # a fifth of a thousand
    for window in range(0, 2 * BLOCK, 40):  # evenly spread: 8 of 40, and at most one more or less
        assert abs(owner[window : window + 40].sum() - 8) <= 1


def test_achieved_tokens_are_what_was_read():
    batches = text_batches(n_batches=137, max_epochs=100)
    for n in (0, 1, 125, 137):
        ids = [batches.batch(i).ids for i in range(n)]
        n_b = sum(int((one.max(axis=1) >= 20_000).sum()) for one in ids)
        achieved = batches.achieved(n)
        assert achieved["b"]["tokens"] == n_b * 16
        assert achieved["a"]["tokens"] == (n * 8 - n_b) * 16


def test_a_later_phase_goes_on_behind_the_earlier():
    first = text_batches(Mixture({"a": 1.0}), n_batches=20)
    second = text_batches(Mixture({"a": 1.0}), n_batches=20, taken=first.taken_after(20))
    whole = text_batches(Mixture({"a": 1.0}), n_batches=40)
    assert (second.batch(3).ids == whole.batch(23).ids).all()
    assert second.taken_after(20) == whole.taken_after(40) == {"a": 320}


def test_too_few_tokens_says_how_many_are_missing():
    n = (9_000 + A.n_documents) // 16
    with pytest.raises(SimtoolError) as error:
        text_batches(Mixture({"a": 1.0}), batch_size=1, n_batches=2 * n + 3, max_epochs=2)
    assert str(error.value) == (
        f"a is too small: {(2 * n + 3) * 16:,} tokens of it are asked for, and it holds {n * 16:,}"
        " (2.0 passes, 2 allowed).\nAdd 32 tokens of text, ask for less, or allow more: --max-epochs."
    )  # 2n + 3 sequences in 2 passes need n + 1.5 sequences, so 2 more, of 16 tokens


def test_bad_mixtures_are_told():
    with pytest.raises(SimtoolError, match=r"Not tokenized: c\. Make them: simtool tokenize c\nAt hand: a, b\."):
        text_batches(Mixture({"a": 0.5, "c": 0.5}))
    with pytest.raises(SimtoolError, match=r"The share of b in .* is too small: at least 0.001"):
        text_batches(Mixture({"a": 0.9999, "b": 0.0001}))
    with pytest.raises(SimtoolError, match="different tokenizers cannot be mixed"):
        text_batches(stores={"a": A, "b": store_of([[1, 2]], "b", fingerprint="e" * 16)})
    with pytest.raises(SimtoolError, match="no end-of-text token"):
        text_batches(Mixture({"a": 1.0}), stores={"a": store_of([[1, 2]], "a", end_of_text=None)})


def test_documents_of_packed_rows():
    store = store_of([[11, 12], [21], [31, 32, 33]])
    stream = [END, 11, 12, END, 21, END, 31, 32, 33, END]
    batch = text_batches(Mixture({"toy": 1.0}), {"toy": store}, length=9, batch_size=1, n_batches=1).batch(0)
    assert batch.ids.tolist() == [stream[:-1]]
    assert batch.targets.tolist() == [stream[1:]]
    assert batch.documents.tolist() == [[1, 1, 1, 2, 2, 3, 3, 3, 3]]


def test_origins_name_the_documents_of_a_row():
    batches = text_batches()
    for origin, ids in zip(batches.origins(5), batches.batch(5).ids, strict=True):
        inside = set(ids.tolist()) - {END}
        held = set().union(*(STORES[origin.corpus].document(d).tolist() for d in origin.documents))
        assert inside <= held


@given(st.integers(1, 3000), st.integers(0, 2**40))
def test_permutations_permute(n, key):
    assert sorted(permuted(np.arange(n), n, (key,)).tolist()) == list(range(n))


def test_permutations_look_random():
    moved = permuted(np.arange(10_000), 10_000, (0,))
    assert abs(np.corrcoef(np.arange(10_000), moved)[0, 1]) < 0.05  # 5 standard deviations of a fair shuffle
    assert abs((np.diff(moved) == 1).mean()) < 0.002


EXAMPLES = store_of(
    [[100 + k] * (k % 5 + 1) + [200 + k] * (k % 7 + 1) for k in range(53)], "gsm8k", [k % 5 + 1 for k in range(53)]
)


def test_every_example_comes_once_an_epoch_and_whole():
    batches = ExampleBatches(EXAMPLES, 0, 32, 8)
    assert batches.n_batches == 7  # 53 in eights
    for epoch in (0, 1):
        learned = Counter()
        for i in range(epoch * 7, epoch * 7 + 7):
            targets = batches.batch(i).targets
            learned.update(targets[targets != IGNORED].tolist())
        assert learned == Counter({200 + k: k % 7 + 1 for k in range(53)} | {END: 53})
    assert batches.documents(0).tolist() != batches.documents(7).tolist()


def test_examples_are_packed_whole():
    store = store_of([[1, 2, 3], [4, 5, 6, 7]], prompts=[2, 1])
    batch = ExampleBatches(store, 0, 9, 2).batch(0)
    assert batch.ids.tolist() == [[END, 4, 5, 6, 7, END, 1, 2, 3]]
    assert batch.targets.tolist() == [[IGNORED, 5, 6, 7, END, IGNORED, IGNORED, 3, END]]
    assert batch.documents.tolist() == [[1] * 5 + [2] * 4]
    whole = ExampleBatches(store, 0, 9, 2, train_on="text").batch(0)
    assert whole.targets.tolist() == [[4, 5, 6, 7, END, 1, 2, 3, END]]


def test_padding_is_not_counted_and_not_seen():
    store = store_of([[1, 2, 3], [4, 5, 6, 7]], prompts=[0, 0])
    batch = ExampleBatches(store, 0, 5, 2).batch(0)
    assert batch.ids.shape == (2, 5)
    assert batch.targets[1].tolist() == [1, 2, 3, END, IGNORED]
    assert batch.documents[1].tolist() == [1, 1, 1, 1, 2]


def test_long_examples_are_cut_and_hopeless_ones_left_out():
    store = store_of([[1] * 9, [2, 2, 2], [3] * 9], prompts=[8, 1, 2])
    batches = ExampleBatches(store, 0, 5, 4)
    assert (batches.n_truncated, batches.n_left_out) == (1, 1)
    assert sorted(batches.documents(0).tolist()) == [1, 2]
    with pytest.raises(SimtoolError, match="no example with anything to learn in its first 5 tokens"):
        ExampleBatches(store_of([[1] * 9], prompts=[8]), 0, 5, 4)


def test_a_text_that_is_all_prompt_is_left_out():
    batches = ExampleBatches(store_of([[1, 2, 3], [4, 5, 6]], prompts=[3, 2]), 0, 8, 4)
    assert batches.examples.tolist() == [1] and batches.n_left_out == 1


def test_seeds_and_epochs_differ_in_the_order_of_examples():
    store = store_of([[n, n] for n in range(1, 41)])
    orders = {
        tuple(ExampleBatches(store, seed, 8, 40).documents(epoch).tolist()) for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(orders) == 4 and all(sorted(order) == list(range(40)) for order in orders)


@pytest.mark.parametrize(("runs", "targets"), [
    ([(0, 2)], [IGNORED, IGNORED, 3, 4, END]),  # prompt, response
    ([(0, 1), (3, 4)], [IGNORED, 2, 3, IGNORED, IGNORED]),  # a chat that ends with the user's turn
])  # fmt: skip
def test_the_end_is_learnt_behind_what_is_learnt_only(runs, targets):
    store = replace(store_of([[1, 2, 3, 4]], prompts=[1]), **mask_arrays([runs]), fingerprint="")
    assert ExampleBatches(store, 0, 5, 1).batch(0).targets.tolist() == [targets]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_packing_keeps_every_item_within_capacity(lengths):
    lengths = np.array(lengths)
    bins = packed(lengths, 50)
    assert sorted(item for one in bins for item in one) == list(range(len(lengths)))
    assert all(lengths[one].sum() <= 50 for one in bins)
    assert len(bins) <= 11 / 9 * lengths.sum() / 50 * 2 + 1  # all but one row are over half full
