"""What a server sends is what was asked for, or it is an error; a request that fails is repeated."""

import gc
import io
from random import Random

import pytest

from benchmarks import servers
from benchmarks.servers import made_files, outcome, serving, texts_of
from simtool.corpora import remote
from simtool.corpora.files import remote_file
from simtool.corpora.remote import RemoteFile, may_pass, repeated
from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError

TEXTS = texts_of(0)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(remote, "WAITS", (0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def server():
    with serving(made_files(TEXTS)) as (handler, url):
        yield handler, url


def put(handler, fault, is_hit) -> None:
    handler.n_requests, handler.fault, handler.is_hit = 0, staticmethod(fault), staticmethod(is_hit)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet", "a.csv"])
@pytest.mark.parametrize("fault", [servers.cut, servers.no_answer, servers.other_range, servers.whole_file_as_range])
def test_one_answer_that_fails_is_repeated(server, name, fault):
    handler, url = server
    for first in (0, 1, 2, 4):
        put(handler, fault, lambda n, first=first: n == first)
        assert outcome(f"{url}/{fault.__name__}{first}/{name}", TEXTS) == ("equal", "")


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.parquet"])
@pytest.mark.parametrize("fault", [*servers.FAULTS])
def test_a_server_that_goes_on_so_is_a_message_or_makes_no_difference(server, name, fault):
    handler, url = server
    put(handler, fault, lambda n: n >= 3)
    assert outcome(f"{url}/{fault.__name__}/{name}", TEXTS)[0] in ("equal", "message")


def test_the_message_says_what_the_server_answered(server):
    handler, url = server

    def unavailable(reply, rng):
        reply.becomes(503, b"")

    put(handler, unavailable, lambda n: n >= 2)
    with pytest.raises(SimtoolError, match=r"Cannot read .*/a\.jsonl: the server answered 503, Service Unavailable\."):
        list(file_corpus(f"{url}/503/a.jsonl", None, "train", "it").documents())
    put(handler, unavailable, lambda n: True)
    with pytest.raises(SimtoolError, match="the server answered 503, Service Unavailable"):
        file_corpus(f"{url}/never/a.jsonl", None, "train", "it")
    put(handler, lambda reply, rng: reply.becomes(404, b""), lambda n: True)
    with pytest.raises(SimtoolError, match=r"No file .*/a\.jsonl"):
        file_corpus(f"{url}/404/a.jsonl", None, "train", "it")
    assert handler.n_requests <= 2, "a file that is not there is asked for again"


def test_fewer_bytes_than_there_are_are_asked_for_again_and_then_an_error(server):
    handler, url = server
    put(handler, servers.cut_and_said, lambda n: n == 3)
    with remote_file(f"{url}/again/a.jsonl").open(ahead=0) as raw:
        assert raw.read(1000) + raw.read(1000) == handler.files["a.jsonl"][:2000]
    put(handler, servers.cut_and_said, lambda n: n > 1 and n % 2 == 0)
    with (
        remote_file(f"{url}/never/a.jsonl").open(ahead=0) as raw,
        pytest.raises(SimtoolError, match="in place of"),
    ):
        raw.read(1000)


class Short(io.BytesIO):
    """Says that it is longer than it is."""

    size = 9


def test_a_library_that_gives_less_is_an_error():
    with pytest.raises(SimtoolError, match="the server sent 4 bytes in place of 9"):
        RemoteFile(lambda: Short(b"four"), lambda error: SimtoolError(str(error))).read()
    assert RemoteFile(lambda: io.BytesIO(b"four"), lambda error: SimtoolError(str(error))).read() == b"four"


def test_what_cannot_be_opened_is_closed_without_a_word(monkeypatch):
    unraised = []
    monkeypatch.setattr("sys.unraisablehook", unraised.append)

    def fails():
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError):
        RemoteFile(fails, lambda error: SimtoolError(str(error)))
    gc.collect()
    assert not unraised


def test_only_what_may_pass_is_repeated():
    errors = [ConnectionResetError(), TimeoutError(), FileNotFoundError("it"), ValueError()]
    assert [may_pass(error) for error in errors] == [True, False, False, False]
    n_tries = []

    def failing():
        n_tries.append(1)
        raise errors[len(n_tries) > 2 and -1]

    with pytest.raises(ValueError):
        repeated(failing)
    assert len(n_tries) == 3


def test_trials_of_the_benchmark_are_counted(server):
    handler, url = server
    results = [servers.trial(handler, url, TEXTS, Random(seed)) for seed in range(12)]
    assert {what for _, _, what, _ in results} <= {"equal", "message"}
