"""Ids on disk are the tokenizer's ids, once; splits are disjoint; damage is found; near-duplicates are counted."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest

from simtool import integrity
from simtool.corpora.chat import ChatTemplate
from simtool.corpora.corpus import Corpus, Document, Reading, Segment, prompt_and_response
from simtool.corpora.memory import corpus_in_memory
from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError
from simtool.tokens import store as module
from simtool.tokens.batches import IGNORED, ExampleBatches
from simtool.tokens.store import TokenStore, find_store, load_store, overlap, text_identity, tokenize_corpus
from simtool.tokens.tokenizer import load_tokenizer
from tests.corpora.chat_templates import CHATML
from tests.tokens.definitions import save, small_definition


@dataclass(frozen=True)
class Rows:
    rows: tuple

    def read(self, shard: int, n_shards: int, reading: Reading):
        for start in range(0, len(self.rows), 7):
            yield [{"pair": pair} for pair in self.rows[start : start + 7]]

    def describe(self) -> str:
        return "rows of a test"

    def identity(self) -> str:
        return str(hash(self.rows))


def render(row) -> Document:
    return prompt_and_response(*row["pair"])


def corpus_of(*pairs, name: str = "toy") -> Corpus:
    return Corpus(name, "A test.", "sft", "ours", render, {}, Rows(pairs), train_on="response")


PAIRS = [
    (f"What is {a} and {b}?\n", f"It is {a + b}, because {a} and {b} make that.") for a in range(20) for b in range(20)
]


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("default")


@pytest.fixture(scope="module")
def stores(tokenizer, tmp_path_factory):
    root = tmp_path_factory.mktemp("stores")
    return tokenize_corpus(corpus_of(*PAIRS), tokenizer, root)


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


def test_arrays_are_mapped_and_read_only(stores):
    store = stores["train"]
    assert isinstance(store.ids, np.memmap)
    for name in module.ARRAYS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(store, name)[0] = 1


def test_what_is_there_is_not_made_again(tokenizer, tmp_path, monkeypatch):
    first = tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path)
    monkeypatch.setattr(module, "_write_splits", None)
    second = tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path)
    assert first["train"].fingerprint == second["train"].fingerprint


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
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


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


def test_overlap_counts_shared_13_grams(tokenizer, tmp_path):
    words = [f"word{i} " for i in range(300)]
    train = "".join(words[:200])
    half, none, short = "".join(words[150:250]), "".join(words[200:300]), "A short one."
    kept = {
        name: tokenize_corpus(corpus_of(*[("", text) for text in texts], name=name), tokenizer, tmp_path, {"all": 1.0})
        for name, texts in (("train", [train, short]), ("validation", [train + "more", half, none, short, "Another."]))
    }
    found = overlap(kept["validation"]["all"], kept["train"]["all"])
    assert found.shares[0] > 0.9
    assert 0.35 < found.shares[1] < 0.55
    assert found.shares[2:].tolist() == [0, 1, 0]
    naive = {
        tuple(doc[i : i + 13]) for doc in [kept["train"]["all"].document(0).tolist()] for i in range(len(doc) - 12)
    }
    halved = kept["validation"]["all"].document(1).tolist()
    grams = [tuple(halved[i : i + 13]) in naive for i in range(len(halved) - 12)]
    assert found.shares[1] == pytest.approx(sum(grams) / len(grams))


def test_reading_a_store_loads_no_corpora(stores, tmp_path):
    script = (
        "import sys; from pathlib import Path; from simtool.tokens.store import load_store\n"
        f"load_store(Path({str(module.Path(stores['train'].ids.filename).parent)!r}))\n"
        "heavy = {'polars', 'datasets', 'zstandard', 'orjson', 'xxhash', 'rich', 'typer', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


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
