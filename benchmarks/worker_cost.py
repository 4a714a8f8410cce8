"""Processor seconds of a count by 1, 2, 4 and 8 workers: python -m benchmarks.worker_cost --data ../shared/data

Of `simtool profile` and all its processes, user and system together. Workers are no children of the process that asks:
on Linux they become this one's when they are orphans, and so what runs besides is not counted, though it slows them
down. Medians of turns, in which all take their turn.

`simtool profile` starts no more workers than processors for files of this machine: here it is told that there are
enough, and the last row is what it does by itself. In the row before, each of eight workers is a process of its own, of
which two run at a time: what eight cost where none waits for a processor, as far as two can tell.

The text repeats no document: of one that is repeated, one worker has most words in its cache from the second time on,
and eight have not.
"""

import argparse
import ctypes
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

from simtool.corpora.sources import file_corpus
from simtool.profiles.resolve import Options, local_text

CORPORA = (
    "wikipedia", "starcoder", "flan", "openstax_textbooks", "knowledgeqa", "novels", "imdb_reviews", "pycode",
    "math_deepmind",
)  # fmt: skip
AS_IT_IS = "from simtool.cli import main; main()"
ENOUGH = f"from simtool import executor; executor.n_processors = lambda: 8; {AS_IT_IS}"
TWO_AT_A_TIME = (
    "from simtool import executor; pool = executor.ProcessPoolExecutor; "
    "executor.ProcessPoolExecutor = lambda n, *rest: pool(2, *rest, max_tasks_per_child=1); " + ENOUGH
)
ROWS = [
    *((str(n), n, ENOUGH) for n in (1, 2, 4, 8)),
    ("8, two at a time", 8, TWO_AT_A_TIME),
    ("`--workers 8`", 8, AS_IT_IS),
]
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def write_text(path: Path, data: Path) -> None:
    """All documents of all corpora once, shuffled: JSON lines."""
    texts = []
    for name in CORPORA:
        corpus = local_text(name, Options(data=data))
        assert corpus is not None, f"{name} is not in {data}"
        texts += [document.text for document in corpus.documents()]
    random.Random(0).shuffle(texts)
    with path.open("wb") as file:
        file.writelines(orjson.dumps({"text": text}) + b"\n" for text in texts)


def seconds_of_children() -> float:
    """Of all processors, of children that have ended and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cost_of(path: Path, feature: str, workers: int, program: str) -> tuple[float, float]:
    """Processor seconds, and seconds by the clock."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-c", program, "profile", str(path), "--feature", feature, "--workers"]
        busy, start = seconds_of_children(), time.perf_counter()
        environment = os.environ | {"SIMTOOL_CACHE": cache}
        subprocess.run([*command, str(workers)], check=True, capture_output=True, env=environment)
        seconds = time.perf_counter() - start
        wait_for_orphans()
        return seconds_of_children() - busy, seconds


def wait_for_orphans() -> None:
    """Workers end after the process that asked."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def measure(path: Path, feature: str, n_turns: int) -> None:
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name, *_ in ROWS}
    for _ in range(n_turns):
        for name, n, program in ROWS:
            costs[name].append(cost_of(path, feature, n, program))
    n_documents = sum(1 for _ in file_corpus(str(path)).documents())
    print(f"{path.stat().st_size / 1e6:.0f} MB in {n_documents:,} documents, {os.cpu_count()} processors,")
    print(f"load average {os.getloadavg()[0]:.1f} at the end, medians of {n_turns} turns.\n")
    print("| workers | processor seconds | against 1 worker | seconds |\n|---:|---:|---:|---:|")
    medians = {
        name: [statistics.median(column) for column in zip(*turns, strict=True)] for name, turns in costs.items()
    }
    for name, (busy, seconds) in medians.items():
        print(f"| {name} | {busy:.2f} | {busy / medians['1'][0]:.2f} times | {seconds:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, nargs="?", help="a file of JSON lines; or else")
    parser.add_argument("--data", type=Path, help="the folder of corpora that such a file is made of")
    parser.add_argument("--feature", default="token")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    if (options.path is None) == (options.data is None):
        parser.error("Name a file, or the folder of --data.")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = options.path or Path(folder) / "text.jsonl"
        if options.data:
            write_text(path, options.data)
        cost_of(path, options.feature, 1, AS_IT_IS)  # compiles, and reads the file into memory
        measure(path, options.feature, options.turns)


if __name__ == "__main__":
    main()
