"""The long fuzz: a bounded, seeded part of it, and that it sees what it is for."""

import os
import signal
import time
from collections import Counter
from random import Random

import pytest

from benchmarks import fuzz
from benchmarks.fuzz import KINDS, OUTCOMES, Wrong, outcome_of, table_of
from simtool.errors import SimtoolError


def test_no_input_is_a_traceback_or_read_in_two_ways():
    problems = []
    counts = fuzz.fuzz([*KINDS], 1e9, 5, problems.append, most=25)
    assert not problems
    for kind in KINDS:
        assert counts[kind, "read"] + counts[kind, "message"] == 25 and counts[kind, "read"] and counts[kind, "message"]


def end(kind, seed, number):
    os._exit(3)


def sleep(kind, seed, number):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(60)


@pytest.mark.parametrize(("read", "outcome"), [(end, "crash"), (sleep, "hang")])
def test_a_process_that_ends_or_hears_nothing_is_replaced(monkeypatch, read, outcome):
    readers = fuzz.Readers()
    with monkeypatch.context() as patch:
        patch.setattr(fuzz, "SECONDS", 1)
        patch.setattr(fuzz, "outcome_in", read)
        assert readers.outcome("names", 0, 0)[0] == outcome
    assert readers.outcome("names", 0, 0)[0] in ("read", "message")
    readers.pool.shutdown()


def test_the_same_seed_gives_the_same_input(tmp_path):
    files = [fuzz.as_bytes(rng, fuzz.good_rows(rng)) for rng in (Random("3 files 7"), Random("3 files 7"))]
    assert files[0] == files[1] != fuzz.as_bytes(Random(8), fuzz.good_rows(Random(8)))


def test_outcomes_are_what_they_are_called(monkeypatch):
    class Panic(BaseException):
        pass

    def raises(error):
        def read(rng, folder):
            raise error

        return outcome_of(read, Random(1))[0]

    monkeypatch.setattr(fuzz, "SECONDS", 1)
    errors = SimtoolError("no"), SimtoolError(""), Wrong("two"), KeyError("a"), Panic("of a library")
    assert [*map(raises, errors)] == ["message", "wrong", "wrong", "traceback", "traceback"]

    def hang(rng, folder):
        while True:
            pass

    assert outcome_of(hang, Random(1))[0] == "hang" and outcome_of(lambda rng, folder: None, Random(1))[0] == "read"


def test_shards_that_differ_are_wrong(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b"}\n')
    fuzz.read_path(path, None)
    shards = fuzz.file_corpus(str(path)).source.pieces
    monkeypatch.setattr(type(fuzz.file_corpus(str(path)).source), "pieces", lambda self: shards()[:0])
    with pytest.raises(Wrong, match="2 documents, in three shards 0"):
        fuzz.read_path(path, None)


def test_the_table_adds_up():
    counts = Counter({("files", "read"): 3, ("files", "message"): 2, ("rows", "hang"): 1})
    assert table_of(counts, ["files", "rows"]).splitlines()[-1] == "| all | 6 | 0 | 0 | 1 | 0 | 2 | 3 |"
    assert OUTCOMES == ("crash", "traceback", "hang", "wrong", "message", "read")
