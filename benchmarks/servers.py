"""Texts from servers that answer wrongly: python -m benchmarks.servers --inputs 500 --seed 0

A server holds one text as files of several kinds, and answers some requests with a fault. The text is read in pieces,
as workers do, and requests are repeated without a wait. What comes of it:

equal       the text as it is: the fault did not matter, or the request was repeated
message     one message
wrong       another text, and no word
traceback   an exception that is no message
hang        no end in time
"""

import argparse
import gzip
import io
import json
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from benchmarks.injection import TooLong, place_of
from simtool.corpora import remote
from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError

SECONDS = 60  # in which a text is read
N_DOCUMENTS = 2_000
PIECE_BYTES = 20_000  # on disk, at least: several of each file
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


# ---- the text --------------------------------------------------------------------------------------------------


def texts_of(seed: int) -> list[str]:
    rng = Random(seed)
    return [
        f"{n} " + " ".join(f"{rng.randrange(10_000)}" for _ in range(rng.randrange(30))) for n in range(N_DOCUMENTS)
    ]


def made_files(texts: list[str]) -> dict[str, bytes]:
    lines = [json.dumps({"text": text}).encode() + b"\n" for text in texts]
    whole = b"".join(lines)
    frames = (zstandard.compress(b"".join(lines[n : n + 100])) for n in range(0, len(lines), 100))
    table = io.BytesIO()
    pq.write_table(pa.table({"text": texts, "n": list(range(len(texts)))}), table, row_group_size=200)
    return {
        "a.jsonl": whole,
        "a.jsonl.gz": gzip.compress(whole),
        "a.jsonl.zst": b"".join(frames),
        "a.parquet": table.getvalue(),
        "a.csv": ("text,n\n" + "".join(f'"{text}",{n}\n' for n, text in enumerate(texts))).encode(),
    }


# ---- the server ------------------------------------------------------------------------------------------------


class Reply:
    """What a server is about to answer; a fault changes it.

    content   the whole file, of which `start` to `stop` is asked for
    body      what is sent of it
    """

    def __init__(self, content: bytes, start: int, stop: int, is_range: bool):
        self.content, self.start, self.stop = content, start, stop
        self.status = 206 if is_range else 200
        self.body = content[start:stop]
        self.headers = {"Content-Length": str(len(self.body)), "ETag": '"1"', "Accept-Ranges": "bytes"}
        if is_range:
            self.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"

    def becomes(self, status: int, body: bytes, **headers: str) -> None:
        self.status, self.body = status, body
        self.headers = {"Content-Length": str(len(body))} | headers


def refused(reply: Reply, rng: Random) -> None:
    reply.becomes(rng.choice([400, 401, 403, 404, 408, 410, 416, 429, 500, 502, 503, 504]), PAGE)


def page_in_place(reply: Reply, rng: Random) -> None:
    """An error page that is called a success."""
    reply.becomes(200, PAGE)


def cut(reply: Reply, rng: Random) -> None:
    """The connection ends before the body does."""
    reply.body = reply.body[: rng.randrange(len(reply.body) or 1)]


def cut_and_said(reply: Reply, rng: Random) -> None:
    """Less than was asked for, as if that were all."""
    reply.body = reply.body[: rng.randrange(len(reply.body) or 1)]
    reply.headers["Content-Length"] = str(len(reply.body))


def whole_file(reply: Reply, rng: Random) -> None:
    """The range is ignored."""
    reply.becomes(200, reply.content, ETag='"1"')


def whole_file_as_range(reply: Reply, rng: Random) -> None:
    reply.body = reply.content
    reply.headers["Content-Length"] = str(len(reply.body))


def other_range(reply: Reply, rng: Random) -> None:
    """Bytes of another place, and it says so."""
    length = reply.stop - reply.start
    start = rng.randrange(max(len(reply.content) - length, 1))
    reply.body = reply.content[start : start + length]
    reply.headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{len(reply.content)}"


def other_version(reply: Reply, rng: Random) -> None:
    """The file is another one now, as its tag says."""
    reply.body = reply.body[::-1]
    reply.headers["ETag"] = '"2"'


def other_length(reply: Reply, rng: Random) -> None:
    reply.headers["Content-Length"] = str(max(0, len(reply.body) + rng.choice([-1000, -1, 1, 1000, 10**12])))


def no_length(reply: Reply, rng: Random) -> None:
    reply.headers.pop("Content-Length", None)
    reply.headers["Connection"] = "close"


def no_answer(reply: Reply, rng: Random) -> None:
    reply.status = 0


def nowhere(reply: Reply, rng: Random) -> None:
    """Sent on to a place that has nothing."""
    reply.becomes(302, b"", Location="gone/")


def packed(reply: Reply, rng: Random) -> None:
    """Compressed on the way, though nobody asked."""
    reply.body = gzip.compress(reply.body)
    reply.headers |= {"Content-Encoding": "gzip", "Content-Length": str(len(reply.body))}


FAULTS: tuple[Callable[[Reply, Random], None], ...] = (
    refused, page_in_place, cut, cut_and_said, whole_file, whole_file_as_range, other_range, other_version,
    other_length, no_length, no_answer, nowhere, packed,
)  # fmt: skip


class Faulty(BaseHTTPRequestHandler):
    """Answers with a fault where `is_hit` says so, of the n-th request since the beginning."""

    protocol_version = "HTTP/1.1"
    files: ClassVar[dict[str, bytes]] = {}
    fault: Callable[[Reply, Random], None] | None = None
    is_hit: Callable[[int], bool] = staticmethod(lambda n: False)
    n_requests, lock = 0, threading.Lock()

    def do_GET(self) -> None:
        cls = type(self)
        with cls.lock:
            n, cls.n_requests = cls.n_requests, cls.n_requests + 1
        reply = self._reply(self.files.get(name := self.path.rsplit("/", 1)[-1], b""))
        if name not in self.files:
            reply.becomes(404, PAGE)
        if self.fault is not None and self.is_hit(n):
            cls.fault(reply, Random(n))  # type: ignore[misc]
        self._send(reply)

    do_HEAD = do_GET

    def _reply(self, content: bytes) -> Reply:
        if not (span := self.headers.get("Range", "")).startswith("bytes="):
            return Reply(content, 0, len(content), False)
        first, _, last = span.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(len(content) - int(last), 0)
        stop = int(last) + 1 if first and last else len(content)
        return Reply(content, start, min(stop, len(content)), True)

    def _send(self, reply: Reply) -> None:
        self.close_connection = reply.status != 206
        if not reply.status:
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(reply.body)
        if str(len(reply.body)) != reply.headers.get("Content-Length"):
            self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked has gone."""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[tuple[type[Faulty], str]]:
    handler = type("Serving", (Faulty,), {"files": files, "lock": threading.Lock()})
    with Quiet(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield handler, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


# ---- readings --------------------------------------------------------------------------------------------------


def read_texts(url: str) -> list[str]:
    """The text of all pieces."""
    corpus = file_corpus(url, None, "train", "it")
    texts = [
        document.text
        for piece in corpus.source.pieces(PIECE_BYTES)  # type: ignore[union-attr]
        for document in replace(corpus, source=piece.source).documents()
    ]
    if not texts:
        raise SimtoolError("it is empty")  # as whatever counts it says
    return texts


def outcome(url: str, texts: list[str]) -> tuple[str, str]:
    """What came of reading, and where."""

    def stop(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        read = read_texts(url)
    except SimtoolError as error:
        return "message", str(error).splitlines()[0]
    except TooLong:
        return "hang", ""
    except Exception as error:
        return "traceback", place_of(error)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return ("equal", "") if read == texts else ("wrong", f"{len(read)} documents")


def trial(handler: type[Faulty], url: str, texts: list[str], rng: Random) -> tuple[str, str, str, str]:
    """Name of the file, fault, outcome and where, of one reading in which some requests are answered with a fault."""
    import fsspec

    fsspec.filesystem("http").invalidate_cache()
    name, fault = rng.choice([*handler.files]), rng.choice(FAULTS)
    first, share = rng.randrange(12), rng.choice([0, 0, 0.2, 1])
    hits = {n for n in range(first, 1000) if n == first or rng.random() < share}
    handler.n_requests, handler.is_hit = 0, staticmethod(hits.__contains__)
    handler.fault = staticmethod(fault)
    return name, fault.__name__, *outcome(f"{url}/{rng.randrange(10**9)}/{name}", texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = Random(options.seed)
    remote.WAITS = (0.0,) * len(remote.WAITS)  # type: ignore[misc]
    texts = texts_of(options.seed)
    counts: dict[str, Counter] = {}
    with serving(made_files(texts)) as (handler, url):
        for name in handler.files:
            assert outcome(f"{url}/whole/{name}", texts) == ("equal", ""), name
        for _ in range(options.inputs):
            name, fault, what, where = trial(handler, url, texts, rng)
            counts.setdefault(fault, Counter())[what] += 1
            if what not in ("equal", "message"):
                print(f"{what}: {name}, {fault}: {where}", file=sys.stderr, flush=True)
    kinds = ("equal", "message", "wrong", "traceback", "hang")
    print("| fault | readings |", " | ".join(kinds), "|\n|---|" + "---:|" * (len(kinds) + 1))
    for fault, came in sorted(counts.items()):
        print(f"| {fault} | {came.total()} | {' | '.join(str(came[kind]) for kind in kinds)} |")


if __name__ == "__main__":
    main()
