"""Every pair of 1,000 corpora over 50,000 entries, against SciPy: python benchmarks/pairwise_matrix.py

SciPy's cdist runs on the first few corpora against each other and is scaled to the number of pairs that are
needed: n (n - 1) / 2, each pair once, as its pdist would do; cdist of all would take twice as long. Its time
is proportional to the number of pairs, so the scaling favours neither side. Both read the same float64 rows.
"""

import argparse
import os
import platform
import resource
import statistics
import sys
import time

import numpy as np

from simtool.similarity.kernels import pairwise
from simtool.similarity.metrics import METRICS

RUNS = 3
# our metric, SciPy's, and what turns SciPy's value into ours
PAIRS = {
    "cosine": ("cosine", lambda distance: 1 - distance),
    "js": ("jensenshannon", lambda distance: distance**2 / np.log(2)),  # the root of nats
}


def zipf_distributions(n_corpora: int, n_entries: int, seed: int = 0) -> np.ndarray:
    """float64 (n_corpora, n_entries): Zipf's law, each row bent its own way, 30% of the entries unseen."""
    rng = np.random.default_rng(seed)
    rows = np.empty((n_corpora, n_entries))
    for row in rows:
        row[:] = rng.lognormal(0, 1.5, n_entries) / np.arange(1, n_entries + 1)
        row *= rng.random(n_entries) < 0.7
        row /= row.sum()
    return rows


def timed(function, *arguments) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def peak_gigabytes() -> float:
    """Most memory that this process ever held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(": ")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100 corpora over 5,000 entries")
    n_corpora, n_entries, n_peer = (100, 5_000, 30) if parser.parse_args().quick else (1_000, 50_000, 60)
    P = zipf_distributions(n_corpora, n_entries)

    ours, values = {name: [] for name in PAIRS}, {}
    for _ in range(RUNS):
        for name in PAIRS:
            seconds, values[name] = timed(pairwise, METRICS[name], P)
            ours[name].append(seconds)
    peak = peak_gigabytes()  # before SciPy is loaded

    import scipy
    from scipy.spatial.distance import cdist

    scale = n_corpora * (n_corpora - 1) / 2 / n_peer**2
    rows = []
    for name, (peer, to_ours) in PAIRS.items():
        runs = [timed(cdist, P[:n_peer], P[:n_peer], peer) for _ in range(RUNS)]
        theirs = statistics.median(seconds for seconds, _ in runs) * scale
        error = np.abs(to_ours(runs[0][1]) - values[name][:n_peer, :n_peer]).max()
        assert error < 1e-5, f"{name} differs from SciPy by {error}"
        seconds = statistics.median(ours[name])
        rows.append(f"| {name} | {seconds:.3g} | {theirs:.3g} | {theirs / seconds:.1f} | {error:.1e} |")

    print(f"{n_corpora:,} x {n_corpora:,} over {n_entries:,} entries, float64; medians of {RUNS} runs.")
    print(f"{processor()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; Python", end=" ")
    print(f"{platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}.")
    print(f"Peak memory {peak:.2f} GB, of which the distributions {P.nbytes / 1e9:.2f} GB.")
    print(f"SciPy: cdist of {n_peer} x {n_peer}, scaled by {scale:.3g} to every pair once.\n")
    print("| metric | simtool (s) | SciPy (s, scaled) | ratio | largest difference |")
    print("|---|---:|---:|---:|---:|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
