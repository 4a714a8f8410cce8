"""What one matrix of many corpora takes: python -m benchmarks.many_corpora --corpora 50

Made corpora of equally many documents, each its own bend of Zipf's law, so that every pair is tested against its noise
ceilings. One process; processor seconds of all its threads, and its peak memory. No peer: none gives intervals.
"""

import argparse
import os
import time

import numpy as np

from benchmarks.pairwise_matrix import peak_gigabytes, processor, zipf_distributions
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile
from simtool.similarity.matrix import RESAMPLES, similarity_matrix


def made_profiles(n_corpora: int, n_entries: int, n_tokens: int) -> dict[str, Profile]:
    rng = np.random.default_rng(1)
    profiles = {}
    for i, shares in enumerate(zipf_distributions(n_corpora, n_entries)):
        counts = rng.multinomial(n_tokens // N_FOLDS, shares, size=N_FOLDS)
        documents, sizes = np.full(N_FOLDS, 60), counts.sum(axis=1)
        name = f"corpus{i}"
        profiles[name] = Profile(name, "made", "0" * 64, documents, sizes, sizes, {"token": counts})
    return profiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpora", type=int, default=50)
    parser.add_argument("--entries", type=int, default=50_257)
    parser.add_argument("--tokens", type=int, default=400_000, help="of each corpus")
    parser.add_argument("--resamples", type=int, default=RESAMPLES)
    parser.add_argument("--metric", default="token")
    options = parser.parse_args()
    profiles = made_profiles(options.corpora, options.entries, options.tokens)
    before, busy, start = peak_gigabytes(), time.process_time(), time.perf_counter()
    similarity_matrix(profiles, metric=options.metric, resamples=options.resamples)
    busy, seconds = time.process_time() - busy, time.perf_counter() - start
    print(f"{processor()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; NumPy {np.__version__}.\n")
    print("| corpora | entries | half-splits | metric | processor seconds | seconds | peak, GB | before, GB |")
    print("|" + "---:|" * 8)
    print(
        f"| {options.corpora} | {options.entries:,} | {options.resamples} | {options.metric} | {busy:.1f} |"
        f" {seconds:.1f} | {peak_gigabytes():.2f} | {before:.2f} |"
    )


if __name__ == "__main__":
    main()
