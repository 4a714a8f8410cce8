"""A random sample of blocks: as much as was asked for, the same for any number of workers, and little more is read."""

import http.server
import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simtool.corpora import files, steps
from simtool.corpora.catalogue import find_corpus
from simtool.corpora.sources import Files, file_corpus
from simtool.profiles import samples
from simtool.profiles.count import Budget, count_corpus
from simtool.profiles.samples import blocks_of
from simtool.progress import Counted
from simtool.tokens.tokenizer import load_tokenizer
from tests.conftest import sentences, write_jsonl
from tests.corpora.test_pieces import Ranges
from tests.profiles.test_count import same_counts

DEFAULT = load_tokenizer("default")
FEW = ("token", "char3")
TOKENS = Budget(tokens=40_000, seed=1)


@pytest.fixture(params=["jsonl", "parquet"])
def corpus(request, tmp_path, monkeypatch):
    """12,000 documents in blocks of 20 kB, which are 64 kB more where lines are looked for at their ends."""
    monkeypatch.setattr(samples, "SMALLEST_BLOCK", 20_000)
    if request.param == "jsonl":
        return file_corpus(str(write_jsonl(tmp_path / "text.jsonl", sentences(12_000))))
    path = tmp_path / "text.parquet"
    pq.write_table(pa.table({"text": sentences(12_000)}), path, row_group_size=200, compression="none")
    return file_corpus(str(path))


def test_it_fills_its_budget_and_hangs_on_its_seed_alone(corpus):
    first = count_corpus(corpus, DEFAULT, FEW, TOKENS)
    assert 39_000 < first.size["tokens"] <= 40_000
    assert same_counts(count_corpus(corpus, DEFAULT, FEW, TOKENS, workers=3), first)
    other = count_corpus(corpus, DEFAULT, FEW, replace(TOKENS, seed=2))
    assert not same_counts(other, first) and 39_000 < other.size["tokens"] <= 40_000
    assert not same_counts(count_corpus(corpus, DEFAULT, FEW, replace(TOKENS, seed=None)), first)
    assert first.facts["budget"] == {"tokens": 40_000, "documents": None, "seed": 1, "sample": "blocks"}
    documents = count_corpus(corpus, DEFAULT, FEW, Budget(documents=1_000, seed=1))
    assert documents.size["documents"] == 1_000


def test_its_blocks_lie_all_over_the_text(corpus):
    blocks = blocks_of(corpus.source, TOKENS)
    assert len(blocks) > 20 and len({block.name for block in blocks}) == len(blocks)
    starts = np.array([block.source.files[0].span.start for block in blocks[:12]])
    assert starts.std() > 0.15 * starts.max() and (np.diff(starts) < 0).any()


def test_little_more_is_read_than_the_sample(tmp_path, monkeypatch):
    """At the block size of every day: 2 MB of 20 in four blocks; the first is read twice, the last not to its end."""
    path = write_jsonl(tmp_path / "text.jsonl", [" ".join(sentences(30, seed=n)) for n in range(9_000)])
    corpus = file_corpus(str(path))
    n_bytes = [0]
    really_open = files.File.open

    def counted_open(file, ahead=None):
        opened = really_open(file, ahead)
        read = opened.read

        class Counted:
            def read(self, size=-1):
                data = read(size)
                n_bytes[0] += len(data)
                return data

            def __getattr__(self, name):
                return getattr(opened, name)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                opened.close()

        return Counted()

    monkeypatch.setattr(files.File, "open", counted_open)
    profile = count_corpus(corpus, DEFAULT, ["token"], Budget(tokens=500_000, seed=1))
    on_disk = path.stat().st_size * profile.size["documents"] / 9_000
    assert 1.5e6 < on_disk < n_bytes[0] < 2 * on_disk
    assert n_bytes[0] < 0.5 * path.stat().st_size


FILES = {
    "jsonl": {},
    "parquet of many row groups": {"row_group_size": 50},
    "parquet of one row group": {"row_group_size": 4_000},  # pages of 1,024 documents, 4.9 MB
    "parquet of one row group in pages of 320 kB": {"row_group_size": 4_000, "write_batch_size": 64},
}


@pytest.fixture(params=FILES)
def served_file(request, tmp_path):
    """The URL of 4,000 documents of 5 kB, in parquet beside as much else, and what its server has sent."""
    documents = [" ".join(sentences(30, seed=n)) for n in range(4_000)]
    path = write_jsonl(tmp_path / "text.jsonl", documents)
    if how := FILES[request.param]:
        path = tmp_path / "text.parquet"
        table = pa.table({"text": documents, "other": documents[::-1]})
        pq.write_table(table, path, compression="none", use_dictionary=False, data_page_size=1 << 18, **how)
    handler = type("Handler", (Ranges,), {"path_of_file": path})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    steps.forget()
    yield f"http://127.0.0.1:{server.server_port}/{path.name}", handler
    server.shutdown()
    server.server_close()


def test_little_more_is_fetched_than_the_sample(served_file):
    """With the look at the first rows. Of one large row group a beginning is read, page by page."""
    url, handler = served_file
    corpus = file_corpus(url)
    assert handler.n_sent < (1 << 20 if corpus.source.pieces(1 << 20)[1:] else 5 << 20)  # one page; that of lines
    profile = count_corpus(corpus, DEFAULT, ["token"], Budget(tokens=1_500_000, seed=1), workers=2)
    assert profile.size["bytes"] > 6e6 and handler.n_sent < 2 * profile.size["bytes"]
    assert handler.n_sent < 0.8 * handler.path_of_file.stat().st_size


@pytest.mark.parametrize("served_file", ["parquet of one row group in pages of 320 kB"], indirect=True)
@pytest.mark.parametrize("tokens", [150_000, 300_000, 600_000])
def test_of_a_large_row_group_no_more_is_fetched_than_the_pages_of_a_small_sample(served_file, tokens):
    """0.7 MB and more of 20, of which steps of 2 MB were fetched, and a page of each column before."""
    url, handler = served_file
    profile = count_corpus(file_corpus(url), DEFAULT, ["token"], Budget(tokens=tokens, seed=1))
    a_page_more = profile.size["bytes"] + 323_000
    assert 4 * tokens < profile.size["bytes"] < handler.n_sent < 1.25 * a_page_more + steps.FIRST_STEP
    assert handler.n_sent < 2 * profile.size["bytes"]


def test_of_all_of_it_hardly_more_is_fetched_than_the_text(served_file):
    """The look at the first rows included, of columns: what it fetched is not fetched again."""
    url, handler = served_file
    corpus = file_corpus(url)
    n_of_lines = handler.n_sent if url.endswith("jsonl") else 0
    count_corpus(corpus, DEFAULT, ["token"])
    text = handler.path_of_file.stat().st_size * (1.0 if url.endswith("jsonl") else 0.5)  # the other column is as large
    assert 0.99 * text < handler.n_sent - n_of_lines < 1.05 * text


def test_of_many_remote_files_those_are_divided_that_a_sample_may_reach():
    many = tuple(files.File(f"https://example.org/{n}.jsonl", 20 << 20, "version") for n in range(1_000))
    blocks, other = (blocks_of(Files(many, "many"), Budget(tokens=10_000, seed=seed)) for seed in (1, 2))
    parts = [block.source.files[0] for block in blocks]
    first_whole = next(n for n, part in enumerate(parts) if part.span is None)
    assert {part.whole for part in parts[:first_whole]} == set(many) - set(parts[first_whole:])
    assert 64 <= len({part.whole for part in parts[:first_whole]}) < 100
    assert all(part.span is None for part in parts[first_whole:])
    assert sum(block.n_bytes for block in blocks) == 1_000 * (20 << 20)
    assert [block.name for block in other] != [block.name for block in blocks]


def test_first_tokens_are_of_the_first_files_and_those_alone_are_divided():
    many = tuple(files.File(f"https://example.org/{n}.jsonl", 20 << 20, "version") for n in range(1_000))
    parts = [block.source.files[0] for block in blocks_of(Files(many, "many"), Budget(tokens=10_000))]
    assert [part.location for part in parts] == sorted(
        (part.location for part in parts), key=[f.location for f in many].index
    )
    assert {part.whole for part in parts if part.span} == set(many[:26])  # 16 times 64 blocks of 0.5 MB
    assert [part.span.start for part in parts[:3]] == [0, 1 << 19, 1 << 20]


def test_a_first_block_unlike_the_others_costs_a_second_reading_and_no_bit(corpus, monkeypatch):
    first = count_corpus(corpus, DEFAULT, FEW, TOKENS)
    monkeypatch.setattr("simtool.profiles.count.n_sure_blocks", lambda *_: 10_000)
    assert same_counts(count_corpus(corpus, DEFAULT, FEW, TOKENS), first)
    monkeypatch.setattr("simtool.profiles.count.n_sure_blocks", lambda *_: 0)
    assert same_counts(count_corpus(corpus, DEFAULT, FEW, TOKENS), first)


def test_an_interrupted_sample_goes_on_where_it_was(corpus, tmp_path):
    whole, seen, again = count_corpus(corpus, DEFAULT, FEW, TOKENS), [], []

    def interrupt(message):
        seen.append(message)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        count_corpus(corpus, DEFAULT, FEW, TOKENS, parts=tmp_path / "parts", report=interrupt)
    resumed = count_corpus(corpus, DEFAULT, FEW, TOKENS, parts=tmp_path / "parts", report=again.append)
    assert same_counts(resumed, whole)
    assert isinstance(again[0], Counted) and again[0].n_tokens == sum(message.n_tokens for message in seen) > 0


@pytest.mark.parametrize("name", ["python_source", "gen_facts"])
@pytest.mark.parametrize("seed", [None, 1])
def test_text_that_is_no_file_is_sampled_too(name, seed, monkeypatch):
    """What every machine has, and the default study trains on: neither files nor a set of the hub."""
    monkeypatch.setattr("simtool.corpora.packages._own_environment", lambda: ())  # the standard library will do
    profile = count_corpus(find_corpus(name), DEFAULT, ("token",), Budget(tokens=20_000, seed=seed))
    assert 15_000 < profile.size["tokens"] <= 20_000
