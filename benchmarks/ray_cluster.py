"""What counting on Ray promises, on a cluster of several nodes that are processes of this machine.

    python benchmarks/ray_cluster.py count TEXT      all CPUs are busy; a node is killed: the same counts, the same sum
    python benchmarks/ray_cluster.py moments TEXT    a node is killed as actors start, hand over, and while is added up
    python benchmarks/ray_cluster.py merge           64 simulated parts are added up: memory of the process that asked
    python benchmarks/ray_cluster.py study           train-eval on two nodes, one of which is killed: the same records

Not measured: machines of their own, and what lies on a network between them.
"""

import argparse
import os
import resource
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from simtool.progress import Counted

NODES = 4
NODE = {"num_cpus": 1, "object_store_memory": 1 << 30}  # bytes of objects that a node holds before it spills them
FEATURES = ("token", "token2", "token3", "token4")
N_PARTS = 64
STUDY_STEPS = 192
KILL_AFTER = 3  # runs of a study
MOMENTS = (
    *(("after", "_start_actor"), ("before", "_gathered"), ("after", "_gathered")),
    *(("during", "_added"), ("after", "_added")),
)
SHARE = 0.3  # of the cells of a simulated part are not 0


@contextmanager
def cluster_of(n_nodes: int) -> Iterator[tuple[Any, list[Any]]]:
    """A cluster, and the nodes of it that may be killed; one CPU each."""
    import ray
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    others = [nodes.add_node(**NODE) for _ in range(n_nodes - 1)]
    ray.init(address=nodes.address, log_to_driver=False)
    try:
        yield nodes, others
    finally:
        ray.shutdown()
        nodes.shutdown()


# ---- counting ----


def count(path: str, n_kills: int) -> None:
    """Count a text in this process, on the cluster, and on the cluster while a node of it is killed, so many times."""
    from simtool.corpora.sources import file_corpus
    from simtool.profiles.count import count_corpus
    from simtool.tokens.tokenizer import load_tokenizer

    corpus, tokenizer = file_corpus(path), load_tokenizer("default")
    whole = count_corpus(corpus, tokenizer, FEATURES)
    with cluster_of(NODES) as (nodes, others):
        for n in range(n_kills + 1):
            reports = Reports((lambda: kill_one(nodes, others)) if n else None)
            with timed_actors() as turns:
                profile = count_corpus(corpus, tokenizer, FEATURES, workers=0, run_on="ray", report=reports)
            equal = all((profile.features[name] == whole.features[name]).all() for name in FEATURES)
            print(
                f"{f'kill {n}' if n else 'undisturbed'}: {reports}, counts equal {equal}, bytes reported"
                f" {reports.n_bytes:,} of {whole.size['bytes']:,}{'' if n else busy_shares(turns)}",
                flush=True,
            )
            if n:
                others.append(nodes.add_node(**NODE))


def moments(path: str) -> None:
    """Count a text while a node is killed: in each moment of a count, as far as they can be named."""
    from simtool.corpora.sources import file_corpus
    from simtool.profiles.count import count_corpus
    from simtool.tokens.tokenizer import load_tokenizer

    corpus, tokenizer = file_corpus(path), load_tokenizer("default")
    whole = count_corpus(corpus, tokenizer, FEATURES)
    with cluster_of(NODES) as (nodes, others):
        for when, step in MOMENTS:
            reports = Reports(None)
            with killing(when, step, lambda: kill_one(nodes, others)):
                profile = count_corpus(corpus, tokenizer, FEATURES, workers=0, run_on="ray", report=reports)
            equal = all((profile.features[name] == whole.features[name]).all() for name in FEATURES)
            print(
                f"{when} {step}: {reports}, counts equal {equal}, bytes reported {reports.n_bytes:,} of"
                f" {whole.size['bytes']:,}",
                flush=True,
            )
            others.append(nodes.add_node(**NODE))


@contextmanager
def killing(when: str, step: str, kill: Callable[[], None]) -> Iterator[None]:
    """Kill once, before or after a step of a count is taken for the first time, or 0.1 s after it began."""
    from simtool.profiles.on_ray import _Count

    plain, left = getattr(_Count, step), [kill]

    def killed_at(count: Any, *arguments: Any) -> Any:
        if left and when == "before":
            left.pop()()
        if left and when == "during":
            threading.Timer(0.1, left.pop()).start()
        result = plain(count, *arguments)
        if left and when == "after":
            left.pop()()
        return result

    setattr(_Count, step, killed_at)
    try:
        yield
    finally:
        setattr(_Count, step, plain)


def kill_one(nodes: Any, others: list[Any]) -> None:
    """End a node and all that runs on it with SIGKILL; by themselves its workers would live on for a second."""
    node = others.pop()
    raylet = node.all_processes["raylet"][0].process.pid
    workers = [int(pid) for path in Path(f"/proc/{raylet}/task").glob("*/children") for pid in path.read_text().split()]
    nodes.remove_node(node, allow_graceful=False)
    for pid in workers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Reports:
    """The sum of what is reported, and when each sentence came; `halfway` is called once half of a count is done."""

    def __init__(self, halfway: Callable[[], None] | None):
        self.halfway = halfway
        self.began, self.killed_at = time.monotonic(), 0.0
        self.n_bytes = 0
        self.sentences: list[str] = []

    def __call__(self, message: Any) -> None:
        if isinstance(message, str):
            self.sentences.append(f"{self._seconds():.0f} s: {message}")
        if not isinstance(message, Counted):
            return
        self.n_bytes += message.n_bytes
        if self.halfway and (message.fraction or 0) > 0.4:
            self.halfway, halfway = None, self.halfway
            self.killed_at = self._seconds()
            halfway()

    def _seconds(self) -> float:
        return time.monotonic() - self.began

    def __str__(self) -> str:
        killed = f", a node killed after {self.killed_at:.0f} s" if self.killed_at else ""
        return f"{self._seconds():.0f} s{killed}, {self.sentences}"


Turns = dict[str, list[tuple[float, float, float]]]  # {process: begin, end and processor seconds of each piece}


@contextmanager
def timed_actors() -> Iterator[Turns]:
    """When each actor counted; known once they ended. All are processes of this machine, so they have one clock."""
    from simtool.profiles import on_ray

    turns: Turns = {}
    plain = on_ray.PieceCounter
    with tempfile.TemporaryDirectory() as folder:
        on_ray.PieceCounter = timed_counter(plain, Path(folder))  # type: ignore[misc]
        try:
            yield turns
        finally:
            on_ray.PieceCounter = plain  # type: ignore[misc]
        for path in Path(folder).iterdir():
            turns[path.name] = [tuple(map(float, line.split())) for line in path.read_text().splitlines()]  # type: ignore[misc]


def timed_counter(plain: type, folder: Path) -> type:
    """An actor that writes down when it counted each piece."""

    class TimedCounter(plain):  # type: ignore[misc,valid-type]
        def count(self, piece: Any, gaps: Any) -> None:
            began, seconds = time.monotonic(), time.process_time()
            super().count(piece, gaps)
            with open(folder / str(os.getpid()), "a") as file:
                file.write(f"{began} {time.monotonic()} {time.process_time() - seconds}\n")

    return TimedCounter


def busy_shares(turns: Turns) -> str:
    """Of the time between the first piece's begin and the last one's end, how much each actor was counting."""
    spans = [span for actor in turns.values() for span in actor]
    whole = max(end for _, end, _ in spans) - min(began for began, _, _ in spans)
    shares = sorted(sum(end - began for began, end, _ in actor) / whole for actor in turns.values())
    seconds = sorted(sum(seconds for *_, seconds in actor) for actor in turns.values())
    return (
        f"; of {whole:.1f} s of counting each actor counted {', '.join(f'{share:.0%}' for share in shares)}"
        f" (processor seconds {', '.join(f'{n:.1f}' for n in seconds)})"
    )


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
    from simtool.profiles.resolve import Options
    from simtool.studies.execute import StudyExecution, run_study
    from simtool.studies.records import read_records

    with tempfile.TemporaryDirectory() as near:
        plan = small_study(Path(near))
        local, remote = Path(near) / "local", Path(near) / "ray"
        here = Reports(None)
        outcome = run_study(plan, local, Options(), StudyExecution("cpu", 1))
        print(f"one process: {len(outcome.results)} runs, {here}", flush=True)
        with cluster_of(2) as (nodes, others):
            reports = Reports(None)
            killer = threading.Thread(target=_kill_in_the_middle, args=(remote, nodes, others, reports), daemon=True)
            killer.start()
            outcome = run_study(plan, remote, Options(), StudyExecution("cpu", 0, "ray"), reports)
        rows = [_losses(read_records(folder / "records.jsonl")) for folder in (local, remote)]
    print(
        f"two nodes: {len(outcome.results)} runs, {len(outcome.failed)} failed, {reports}: {len(rows[1])} records,"
        f" the same losses as of one process {rows[0] == rows[1]}"
    )


def small_study(folder: Path) -> Any:
    """Two seeds, a control and an arm, runs of a few seconds each: the smallest model on little text."""
    from simtool.mixture import Mixture
    from simtool.studies.plan import Study, arms_of

    web, code, tasks = (str(_write_text(folder / f"{kind}.jsonl", kind)) for kind in ("web", "code", "tasks"))
    pretrain = Mixture({web: 1.0})
    return Study(
        "killed", "A node dies.", pretrain, arms_of(pretrain, [(code, 0.5)]), (tasks,),
        dict.fromkeys((web, code, tasks)), models=("nano",), seeds=(0, 1), tokens=STUDY_STEPS * 4 * 32,
        sequence_length=32, batch_size=4, sft_batch_size=8, held_out=10, tokenizer="small", max_epochs=50,
    )  # fmt: skip


def _write_text(path: Path, kind: str) -> Path:
    rng = np.random.default_rng([*kind.encode()])
    documents = (" ".join(f"{kind}{n}" for n in rng.integers(0, 50, 30)) for _ in range(120))
    path.write_text("".join(f'{{"text": "{document}"}}\n' for document in documents))
    return path


def _kill_in_the_middle(folder: Path, nodes: Any, others: list[Any], reports: Reports) -> None:
    """Once some runs are done, while others run on both nodes."""
    while len(list(folder.glob("runs/*/done.json"))) < KILL_AFTER:
        time.sleep(0.2)
    reports.killed_at = time.monotonic() - reports.began
    kill_one(nodes, others)


def _losses(records: Any) -> dict[tuple[Any, ...], float]:
    return {
        tuple(row[name] for name in ("node", "arm", "corpus", "split", "loss_on")): row["nats_per_token"]
        for row in records
    }


def main() -> None:
    """One of the four, by its name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("count", "moments", "merge", "study"))
    parser.add_argument("text", nargs="?", help="of count and moments: a file of JSON lines, 100 MB or more")
    parser.add_argument("--kills", type=int, default=3, help="of count: times that it is repeated with a node killed")
    arguments = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    actions: dict[str, Callable[[], None]] = {
        "count": lambda: count(arguments.text, arguments.kills),
        "moments": lambda: moments(arguments.text),
        "merge": merge,
        "study": study,
    }
    actions[arguments.what]()


if __name__ == "__main__":
    main()
