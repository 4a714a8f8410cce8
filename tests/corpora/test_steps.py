"""Ranges of a file, fetched in steps: what is read is what lies there, and little more is fetched."""

import io
import random

import pytest

from simtool.corpora import steps
from simtool.corpora.steps import FIRST_STEP, STEP, Steps

DATA = random.Random(1).randbytes(9 << 20)
CHUNKS = [(4, 3 << 20), (3 << 20, 8 << 20), (8 << 20, (8 << 20) + 50_000)]
PAGE = 300_000


class Counted(io.BytesIO):
    """A file that notes what is fetched of it: (place, bytes)."""

    def __init__(self, data):
        super().__init__(data)
        self.fetched = []

    def read(self, size=-1):
        self.fetched.append((self.tell(), len(data := super().read(size))))
        return data


@pytest.fixture(autouse=True)
def nothing_remembered():
    steps.forget()
    yield
    steps.forget()


def pages_of(opened, first, stop):
    """A column as pyarrow reads it: the header of a page, of which it takes 16 kB, then the page."""
    place = first
    opened.seek(first)
    while place < stop:
        yield opened.read(min(1 << 14, stop - place))
        rest = min(place + PAGE, stop) - opened.tell()
        yield opened.read(max(rest, 0))
        place = opened.tell()


@pytest.mark.parametrize("is_sparing", [True, False])
def test_columns_are_what_lies_there_and_are_fetched_once(is_sparing):
    raw = Counted(DATA)
    opened = Steps(raw, CHUNKS[::-1], "a file", is_sparing)
    for first, stop in CHUNKS:
        assert b"".join(pages_of(opened, first, stop)) == DATA[first:stop]
    ends = [place + size for place, size in raw.fetched]
    assert [place for place, _ in raw.fetched] == [4, *ends[:-1]]  # each begins where the last one ended
    assert ends[-1] == CHUNKS[-1][1] and {stop for _, stop in CHUNKS} <= set(ends)  # none reaches into another column
    assert len(raw.fetched) <= (27 if is_sparing else 2 + 3 + 1)


def test_a_reading_that_ends_anywhere_fetches_a_part_more_than_it_read():
    raw = Counted(DATA)
    opened = Steps(raw, CHUNKS, "a file", True)
    n_read = n_fetched = 0
    for data in pages_of(opened, *CHUNKS[1]):
        n_read += len(data)
        n_fetched = sum(size for _, size in raw.fetched)
        assert n_read <= n_fetched <= 1.25 * n_read + 2 * FIRST_STEP
    assert n_read == n_fetched == CHUNKS[1][1] - CHUNKS[1][0]


def test_what_it_fetched_is_not_fetched_again():
    first, stop = CHUNKS[1]
    look = Steps(Counted(DATA), CHUNKS, "a file", True)
    seen = next(pages_of(look, first, stop)), next(pages_of(look, first, stop))
    assert seen[0] == seen[1] and len(look.raw.fetched) == 1
    again = Steps(raw := Counted(DATA), CHUNKS, "a file", False)
    assert b"".join(pages_of(again, first, stop)) == DATA[first:stop]
    assert raw.fetched[0] == (first + FIRST_STEP, STEP)
    other = Steps(raw := Counted(DATA), CHUNKS, "the file in another version", False)
    assert b"".join(pages_of(other, first, stop)) == DATA[first:stop] and raw.fetched[0][0] == first


def test_so_much_is_remembered_and_no_more(monkeypatch):
    monkeypatch.setattr(steps, "MOST_REMEMBERED", 2 * FIRST_STEP)
    for file in "abc":
        Steps(Counted(DATA), CHUNKS, file, True).read(0)
        opened = Steps(Counted(DATA), CHUNKS, file, True)
        opened.seek(4)
        opened.read(10)
    assert [file for file, _ in steps._remembered] == ["b", "c"]


def test_any_place_is_read_as_of_a_file():
    opened, plain = Steps(Counted(DATA), CHUNKS, "a file", True), io.BytesIO(DATA)
    rng = random.Random(2)
    for _ in range(200):
        place, size = rng.randrange(len(DATA)), rng.choice([0, 1, 16, 70_000, 1 << 20])
        assert opened.seek(place) == plain.seek(place)
        assert (opened.read(size), opened.tell()) == (plain.read(size), plain.tell())
    assert opened.seek(-10, io.SEEK_END) == plain.seek(-10, io.SEEK_END)
    assert opened.read() == plain.read()
