"""What counting on Ray promises, on a cluster of several nodes that are processes of this machine.

    python benchmarks/ray_cluster.py count TEXT      all CPUs are busy; a node is killed: the same counts, the same sum
    python benchmarks/ray_cluster.py merge           64 simulated parts are added up: memory of the process that asked
    python benchmarks/ray_cluster.py study           train-eval on two nodes, one of which is killed: the same records

Not measured: machines of their own, and what lies on a network between them.
"""

import argparse
import os
import resource
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

NODES = 4
STORE = 1 << 30  # bytes of objects that a node holds before it writes them to disk
FEATURES = ("token", "token2", "token3", "token4")
N_PARTS = 64
STUDY_TOKENS = 16_384
KILL_SECONDS = 40.0  # after the cluster is up: in the middle of the study
SHARE = 0.3  # of the cells of a simulated part are not 0


@contextmanager
def cluster_of(n_nodes: int) -> Iterator[tuple[Any, list[Any]]]:
    """A cluster, and the nodes of it that may be killed; one CPU each."""
    import ray
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": STORE}
    nodes = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    others = [nodes.add_node(**size) for _ in range(n_nodes - 1)]
    ray.init(address=nodes.address, log_to_driver=False)
    try:
        yield nodes, others
    finally:
        ray.shutdown()
        nodes.shutdown()


# ---- counting ----


def count(path: str) -> None:
    """Count a text in this process, on the cluster, and on the cluster while a node of it is killed."""
    from simtool.corpora.sources import file_corpus
    from simtool.profiles.count import count_corpus
    from simtool.tokens.tokenizer import load_tokenizer

    corpus, tokenizer = file_corpus(path), load_tokenizer("default")
    whole = count_corpus(corpus, tokenizer, FEATURES)
    with cluster_of(NODES) as (nodes, others):
        for kill in (False, True):
            reports = Reports((lambda: nodes.remove_node(others.pop(), allow_graceful=False)) if kill else None)
            with Busy() as busy:
                profile = count_corpus(corpus, tokenizer, FEATURES, workers=0, run_on="ray", report=reports)
            equal = all((profile.features[name] == whole.features[name]).all() for name in FEATURES)
            print(
                f"{'a node killed' if kill else 'undisturbed'}: counts equal {equal}, bytes reported"
                f" {reports.n_bytes:,} of {whole.size['bytes']:,}, processor seconds of each actor: {busy};"
                f" {reports.sentences}"
            )


class Reports:
    """The sum of what is reported; `halfway` is called when half of a count is done."""

    def __init__(self, halfway: Callable[[], None] | None):
        self.halfway = halfway
        self.n_bytes = 0
        self.sentences: list[str] = []

    def __call__(self, message: Any) -> None:
        if isinstance(message, str):
            self.sentences.append(message)
            return
        self.n_bytes += message.n_bytes
        if self.halfway and (message.fraction or 0) > 0.4:
            self.halfway, halfway = None, self.halfway
            halfway()


class Busy:
    """Processor seconds of each actor that counts; looked at twice a second, since actors end with the count."""

    def __enter__(self) -> "Busy":
        self.seconds: dict[str, float] = {}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()
        return self

    def _look(self) -> None:
        while not self.ended.wait(0.5):
            self.seconds |= _seconds_of_actors()

    def __exit__(self, *_: Any) -> None:
        self.ended.set()
        self.thread.join()

    def __str__(self) -> str:
        return ", ".join(f"{seconds:.1f}" for seconds in sorted(self.seconds.values()))


def _seconds_of_actors() -> dict[str, float]:
    """{process: its processor seconds so far}; Ray writes into a worker's command line what it is."""
    seconds = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"PieceCounter" in (process / "cmdline").read_bytes():
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                seconds[process.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue
    return seconds


# ---- adding up ----


def simulated_part(seed: int) -> tuple[str, Any]:
    """The node, and counts of all features, of which so many cells are seen as in some 100 MB of text."""
    from simtool import cluster
    from simtool.profiles.features import FEATURES as ALL
    from simtool.profiles.features import N_FOLDS, empty_counts
    from simtool.profiles.profile import Profile

    rng = np.random.default_rng(seed)
    counts = empty_counts(ALL, 32_768)
    for cells in counts.values():
        cells.ravel()[rng.integers(cells.size, size=int(SHARE * cells.size))] = 1 + seed % 7
    part = Profile("simulated", "default", "", *np.ones((3, N_FOLDS), np.int64), counts)
    return cluster.own_node(), (part, [{"skipped": {"count": 0, "reasons": [], "empty": 0}}])


def merge() -> None:
    """Add up simulated parts as an actor each would have left them."""
    import ray

    from simtool import cluster
    from simtool.profiles.features import FEATURES as ALL
    from simtool.profiles.on_ray import _Count, _Sum
    from simtool.profiles.parts import Manifest
    from simtool.profiles.worker import PartTask

    manifest = Manifest("simulated", "", "default", "", tuple(ALL), 0, (), "", {})
    with cluster_of(NODES):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        remote = ray.remote(num_cpus=1, num_returns=2)(simulated_part)
        calls = [remote.remote(seed) for seed in range(N_PARTS)]
        sums = [_Sum(counts, cluster.result_of(node), {}) for node, counts in calls]
        count = _Count(PartTask(None, manifest, (), 0, 1), 0, print)
        spread = Counter(part.node for part in sums)
        began = time.monotonic()
        (total,) = count._added(sums)
        profile, facts = cluster.result_of(total.handle)
    print(
        f"{N_PARTS} parts on {len(spread)} nodes ({sorted(spread.values())}), {len(facts)} added in"
        f" {time.monotonic() - began:.0f} s; peak of this process {_gigabytes():.2f} GB, before {peak / 1e6:.2f} GB;"
        f" counts of the sum {sum(int(cells.sum()) for cells in profile.features.values()):,}"
    )


def _gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


# ---- training ----


def study() -> None:
    """Run a small study here, and on two nodes while the second is killed with what runs on it."""
    from simtool.api.study import define_study
    from simtool.profiles.resolve import Options
    from simtool.studies.execute import StudyExecution, run_study
    from simtool.studies.records import read_records

    plan = replace(
        define_study(None, "gen_facts", ("gen_drills:0.5",), (), ("gen_problems",), "nano", STUDY_TOKENS, 2),
        batch_size=2, sequence_length=64, held_out=10, tokenizer="small",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as near:
        local, remote = Path(near) / "local", Path(near) / "ray"
        run_study(plan, local, Options(), StudyExecution("cpu", 1))
        with cluster_of(2) as (nodes, others):
            killer = threading.Timer(KILL_SECONDS, lambda: nodes.remove_node(others.pop(), allow_graceful=False))
            killer.start()
            messages: list[Any] = []
            outcome = run_study(plan, remote, Options(), StudyExecution("cpu", 0, "ray"), messages.append)
            killer.cancel()
        rows = [_losses(read_records(folder / "records.jsonl")) for folder in (local, remote)]
        killed = not others
    print(
        f"{len(outcome.results)} runs, {len(outcome.failed)} failed, a node killed {killed}: {len(rows[1])} records,"
        f" the same losses as of one process {rows[0] == rows[1]}"
    )
    print([message for message in messages if isinstance(message, str)])


def _losses(records: Any) -> dict[tuple[Any, ...], float]:
    return {
        tuple(row[name] for name in ("node", "arm", "corpus", "split", "loss_on")): row["nats_per_token"]
        for row in records
    }


def main() -> None:
    """One of the three, by its name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("count", "merge", "study"))
    parser.add_argument("text", nargs="?", help="of count: a file of JSON lines, 100 MB or more")
    arguments = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    {"count": lambda: count(arguments.text), "merge": merge, "study": study}[arguments.what]()


if __name__ == "__main__":
    main()
