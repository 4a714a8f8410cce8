"""A source says three things of itself; the rest follows, until it knows better."""

from dataclasses import dataclass

import pytest

from simtool.corpora.corpus import Corpus, plain_text
from simtool.corpora.generators import Generated
from simtool.corpora.hub import Hub
from simtool.corpora.reading import N_SHARES, Reading, Source
from simtool.corpora.sources import find_files
from simtool.errors import SimtoolError
from simtool.profiles.count import count_corpus
from simtool.profiles.samples import Budget, InTurn
from simtool.tokens.tokenizer import load_tokenizer


@dataclass(frozen=True)
class Numbers(Source):
    """All that a new source needs."""

    n: int

    def read(self, shard, n_shards, reading):
        yield [{"text": f"the number {i} comes after {i - 1}"} for i in range(shard, self.n, n_shards)]

    def describe(self):
        return "numbers"

    def identity(self):
        return f"numbers:{self.n}"


@dataclass(frozen=True)
class FarNumbers(Numbers):
    @property
    def is_remote(self):
        return True


def corpus_of(source: Source) -> Corpus:
    return Corpus("numbers", "A test.", "general", "ours", lambda row: plain_text(row["text"]), {}, source)


def texts_of(source: Source) -> list[str]:
    return [row["text"] for rows in source.read(0, 1, Reading()) for row in rows]


def test_what_follows_from_three_things():
    source = Numbers(100)
    assert source.version() == source.identity() and source.content() is None and source.n_bytes is None
    assert source.sparing() is source and not source.is_remote
    pieces = source.pieces()
    assert len(pieces) == N_SHARES == len({piece.name for piece in pieces})
    assert sorted(text for piece in pieces for text in texts_of(piece.source)) == sorted(texts_of(source))
    assert len({piece.source.identity() for piece in pieces}) == N_SHARES


def test_a_source_without_one_of_them_cannot_be_made():
    class Mute(Source):
        def read(self, shard, n_shards, reading):
            yield []

    with pytest.raises(TypeError, match="describe"):
        Mute()


def test_generated_text_has_shares():
    source = Generated("drills", 12_000)
    assert sorted(text for piece in source.pieces() for text in texts_of(piece.source)) == sorted(texts_of(source))


@pytest.mark.parametrize("budget", [Budget(), Budget(documents=30), Budget(documents=30, seed=1)])
def test_a_new_source_is_counted_and_sampled(budget):
    profile = count_corpus(corpus_of(Numbers(200)), load_tokenizer("default"), ["token"], budget)
    assert profile.size["documents"] == (budget.documents or 200)
    assert profile.facts["source"] == "numbers"


def test_what_is_remote_is_so_in_parts():
    for source, is_remote in ((Numbers(9), False), (FarNumbers(9), True), (Hub("us/toy"), True)):
        assert source.is_remote == is_remote
    parts = FarNumbers(9).pieces
    assert all(piece.source.is_remote for piece in parts()) and InTurn(FarNumbers(9), tuple(parts())).is_remote


def test_files_know_their_size_and_version(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n')
    source = find_files(str(path))
    version = source.version()
    assert source.n_bytes == 16 and not source.is_remote and source.content() != version
    path.write_text('{"text": "another"}\n')
    assert find_files(str(path)).version() != version


def test_a_bad_row_ends_a_reading_or_is_noted():
    with pytest.raises(SimtoolError, match="no text\nFix it"):
        Reading().bad("no text")
    reading = Reading(skip_bad=True)
    for n in range(7):
        reading.bad(f"row {n}")
    assert reading.n_skipped == 7 and reading.reasons == [f"row {n}" for n in range(5)]
