"""What counting 15 trillion tokens on 32 nodes of 64 cores takes: simulated, at rates measured on one core.

    python -m benchmarks.scale_plan
    python -m benchmarks.scale_plan --measure text.jsonl     the rates, anew, of this machine

Pieces of 256 MB go to workers as `simtool profile --part i/n` gives them out, every n-th; nodes differ in speed, some
die and are started again, a worker writes its part every minute, and all read from one store. Not measured: a cluster.
"""

import argparse
import heapq
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.profile_counting import NGRAMS
from simtool.corpora.sources import file_corpus
from simtool.profiles.count import count_corpus
from simtool.profiles.features import FEATURES
from simtool.profiles.parts import PartsFolder
from simtool.profiles.worker import SAVE_SECONDS
from simtool.tokens.tokenizer import load_tokenizer

TEXT_PER_TOKEN = 3.84  # bytes, default tokenizer, on a mix of web, code, novels, dialogues and instructions
PACKED = 3.0  # times smaller under zstd -3 (3.05 on 54 MB of that mix)
PIECE = 256e6  # bytes on disk
SPEEDS = 0.1  # spread of the nodes' speeds, in the logarithm
RESTART = 300.0  # seconds until a task of a dead node runs again
MERGERS = 64  # workers of --merge, on one node


@dataclass(frozen=True)
class Features:
    """Costs of one core, in processor seconds.

    tokens_per_second   read, tokenized and counted
    part                MB of a worker's file; save, load: seconds to write it, to read it and add it to another
    """

    name: str
    tokens_per_second: float
    part: float
    save: float
    load: float


MEASURED = (  # 123 MB of JSON lines, one process, nothing else running, an AMD EPYC (Zen 5)
    Features("unigrams", 34.3e6, 0.4, 0.02, 0.01),
    Features("1- to 4-grams", 30.9e6, 7.9, 0.58, 0.17),
    Features("all 15 features", 7.4e6, 20.2, 0.81, 1.07),
)


@dataclass(frozen=True)
class Cluster:
    """Nodes, their cores, what all of them read together (bytes per second), and how many nodes die on the way."""

    nodes: int = 32
    cores: int = 64
    store: float = 20e9
    n_dying: int = 2

    @property
    def workers(self) -> int:
        return self.nodes * self.cores


def counting_seconds(
    tokens: float, features: Features, cluster: Cluster, rng: np.random.Generator, dynamic: bool = False
) -> float:
    """When the last worker ends; dynamic: each takes the next piece when it is free, and not every n-th."""
    n_pieces = max(1, round(tokens * TEXT_PER_TOKEN / PACKED / PIECE))
    writing = 1 + features.save / SAVE_SECONDS
    seconds = tokens / n_pieces / features.tokens_per_second * writing
    speeds = np.repeat(np.exp(rng.normal(0, SPEEDS, cluster.nodes)), cluster.cores)
    if dynamic:
        free = [(0.0, worker) for worker in range(cluster.workers)]
        for _ in range(n_pieces):
            at, worker = heapq.heappop(free)
            heapq.heappush(free, (at + seconds / speeds[worker], worker))
        ends = np.array([at for at, _ in sorted(free, key=lambda entry: entry[1])])
    else:
        each = np.bincount(np.arange(n_pieces) % cluster.workers, minlength=cluster.workers)
        ends = each * seconds / speeds
    dead = np.isin(np.arange(cluster.workers) // cluster.cores, rng.permutation(cluster.nodes)[: cluster.n_dying])
    ends[dead] += RESTART + SAVE_SECONDS  # and what was counted since the part was last written
    return max(float(ends.max()), reading_seconds(tokens, cluster))


def reading_seconds(tokens: float, cluster: Cluster) -> float:
    """How long the store takes to give all of the text, once."""
    return tokens * TEXT_PER_TOKEN / PACKED / cluster.store


def merging_seconds(features: Features, cluster: Cluster) -> tuple[float, float]:
    """To add up all parts: in one process, and in two steps by MERGERS workers of one node."""
    at_once = cluster.workers * features.load
    first = -(-cluster.workers // MERGERS) * features.load + features.save
    return at_once, first + MERGERS * features.load


def measured(path: Path, name: str, features: tuple[str, ...], turns: int = 3) -> Features:
    """The costs of this machine: medians of turns, of which the first, that warms everything up, is left out."""
    tokenizer, corpus = load_tokenizer("default"), file_corpus(str(path))
    costs = []
    with tempfile.TemporaryDirectory() as place:
        folder = PartsFolder(place)
        for _ in range(turns + 1):
            began = time.process_time()
            profile = count_corpus(corpus, tokenizer, features)
            counted = time.process_time()
            folder.save(profile, "part.parquet")
            saved = time.process_time()
            _ = profile + folder.load("part.parquet", features)
            costs.append((counted - began, saved - counted, time.process_time() - saved))
        part = (Path(place) / "part.parquet").stat().st_size / 1e6
    count, save, load = np.median(costs[1:], axis=0)
    return Features(name, profile.size["tokens"] / count, part, save, load)


def print_rates(path: Path) -> None:
    n_bytes = path.stat().st_size
    print("| features | tokens/s | MB/s | MB of a part | s to write it | s to read and add it |\n|---|" + "---:|" * 5)
    names = (row.name for row in MEASURED)
    for name, features in zip(names, (("token",), NGRAMS, tuple(FEATURES)), strict=True):
        costs = measured(path, name, features)
        speed = costs.tokens_per_second * TEXT_PER_TOKEN / 1e6
        print(
            f"| {name} | {costs.tokens_per_second / 1e6:.1f} M | {speed:.0f} | {costs.part:.1f} | {costs.save:.2f}"
            f" | {costs.load:.2f} |"
        )
    print(f"\n{n_bytes / 1e6:.0f} MB of JSON lines; load {os.getloadavg()[0]:.1f} at the end.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", type=Path, metavar="FILE", help="JSON lines, to measure the rates on")
    parser.add_argument("--tokens", type=float, default=15e12)
    parser.add_argument("--nodes", type=int, default=Cluster.nodes)
    parser.add_argument("--cores", type=int, default=Cluster.cores)
    parser.add_argument("--store", type=float, default=Cluster.store / 1e9, help="GB/s that all read together")
    options = parser.parse_args()
    if options.measure:
        return print_rates(options.measure)
    cluster = Cluster(options.nodes, options.cores, options.store * 1e9)
    text = options.tokens * TEXT_PER_TOKEN
    print(f"{options.tokens:.3g} tokens: {text / 1e12:.1f} TB of text, {text / PACKED / 1e12:.1f} TB to read, once;")
    print(f"the store alone takes {reading_seconds(options.tokens, cluster) / 60:.0f} minutes.\n")
    print("| features | core-hours | minutes, ideal | every n-th piece | next piece when free | GB/s read | ", end="")
    print("parts written, GB/s | merge in one process | in two steps |\n|---|" + "---:|" * 8)
    for features in MEASURED:
        ideal = options.tokens / features.tokens_per_second / cluster.workers
        runs = [
            np.median([counting_seconds(options.tokens, features, cluster, np.random.default_rng(n), dynamic)
                       for n in range(5)]) / 60
            for dynamic in (False, True)
        ]  # fmt: skip
        one_process, steps = (seconds / 60 for seconds in merging_seconds(features, cluster))
        written = cluster.workers * features.part / SAVE_SECONDS / 1e3
        print(
            f"| {features.name} | {ideal * cluster.workers / 3600:,.0f} | {ideal / 60:.0f} | {runs[0]:.0f}"
            f" | {runs[1]:.0f} | {text / PACKED / ideal / 1e9:.0f} | {written:.2f} | {one_process:.1f} | {steps:.1f} |"
        )


if __name__ == "__main__":
    main()
