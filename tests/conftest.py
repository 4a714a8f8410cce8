"""What several tests need: text of our own making, and a cache that is not the user's."""

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


# a node that is killed is noticed within seconds; usually it takes half a minute
NOTICE = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}


@contextmanager
def ray_nodes(n: int) -> Iterator[Callable[[], None]]:
    """A Ray cluster of this machine alone, of nodes of a CPU each and a head without; what is yielded kills a node."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    from benchmarks.ray_cluster import kill_one
    from simtool.cluster import connected

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    store = {"object_store_memory": 80 << 20}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": NOTICE, **store}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes = [cluster.add_node(num_cpus=1, **store) for _ in range(n)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_ADDRESS", cluster.address)
            connected()
        yield lambda: kill_one(cluster, nodes)
    finally:
        ray.shutdown()
        cluster.shutdown()


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
