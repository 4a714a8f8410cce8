"""Processor seconds of a count by 1, 2, 4 and 8 workers: python -m benchmarks.worker_cost text.jsonl

Busy time of the whole machine while `simtool profile` runs, since workers are no children of the process that asks: so
on Linux, with nothing else running; what runs besides is printed. Medians of turns, in which all take their turn.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKERS = (1, 2, 4, 8)
TICKS = os.sysconf("SC_CLK_TCK")


def busy_seconds() -> float:
    """Of all processors since they started: user, nice, system and interrupts."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return sum(fields[i] for i in (0, 1, 2, 5, 6)) / TICKS


def cost_of(path: Path, feature: str, workers: int) -> tuple[float, float]:
    """Processor seconds, and seconds by the clock."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "simtool.cli", "profile", str(path), "--feature", feature, "--workers"]
        busy, start = busy_seconds(), time.perf_counter()
        environment = os.environ | {"SIMTOOL_CACHE": cache}
        subprocess.run([*command, str(workers)], check=True, capture_output=True, env=environment)
        seconds = time.perf_counter() - start
        time.sleep(0.3)  # workers end after the process that asked
        return busy_seconds() - busy, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="a file of JSON lines")
    parser.add_argument("--feature", default="token")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    cost_of(options.path, options.feature, 1)  # compiles, and reads the file into memory
    others = busy_seconds()
    time.sleep(5)
    others = (busy_seconds() - others) / 5
    costs = {n: [] for n in WORKERS}
    for _ in range(options.turns):
        for n in WORKERS:
            costs[n].append(cost_of(options.path, options.feature, n))
    print(
        f"{options.path.stat().st_size / 1e6:.0f} MB, {os.cpu_count()} processors, others take {others:.2f} of one.\n"
    )
    print("| workers | processor seconds | against 1 worker | seconds |\n|---:|---:|---:|---:|")
    busy = {n: statistics.median(cost[0] for cost in costs[n]) for n in WORKERS}
    for n in WORKERS:
        seconds = statistics.median(cost[1] for cost in costs[n])
        print(f"| {n} | {busy[n]:.2f} | {busy[n] / busy[1]:.2f} times | {seconds:.2f} |")


if __name__ == "__main__":
    main()
