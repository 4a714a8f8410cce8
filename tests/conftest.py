"""What several tests need: text of our own making, and a cache that is not the user's."""

import json
import os
import random
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every machine, however slow or busy it is. For other examples: --hypothesis-profile=explore
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), derandomize=True, database=None)
settings.load_profile("same")

# a thread for each test process, and for those that it starts: tiny models gain nothing from more, and workers beside
# each other lose much. Set before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

WORDS = [
    *("the", "a", "of", "to", "and", "in", "is", "on", "for", "with", "red", "blue", "green", "river", "stone"),
    *("house", "walks", "sings", "counts", "seven", "eleven"),
]


def sentences(n_documents: int, seed: int = 0, words: list[str] = WORDS) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(words, k=rng.randint(5, 60))) + f" {i}.\n" for i in range(n_documents)]


def write_jsonl(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def simtool(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """The command line, as its user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "simtool.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "10000", **environment},
        timeout=300,
    )


@pytest.fixture(autouse=True)
def own_surroundings(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's cache or data folder, or asks the hub."""
    monkeypatch.setenv("SIMTOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("SIMTOOL_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


class OfOneText(BaseHTTPRequestHandler):
    """Serves `body` under any path, with `stamp` as whatever header it is."""

    body, stamp = b"", {}

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        for header in self.stamp.items():
            self.send_header(*header)
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(self.body)

    def log_message(self, *args):
        pass


@pytest.fixture
def served():
    handler = type("Served", (OfOneText,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
