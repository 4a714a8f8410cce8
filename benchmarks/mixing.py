"""The best mixture of 50 candidates over 50,000 entries, against SciPy's SLSQP: python benchmarks/mixing.py

Both minimise the same cross-entropy of one target over the simplex, from the same even mixture, and SLSQP is given
the exact gradient and its bounds; with a budget of forgetting, that constraint and its gradient too. Each stops by
its own rule at a tolerance of 1e-9 bits, ours under a budget at 1e-7; the excess is over the lower bound that our gap
certifies, so neither is judged by the other. Last, `recommend` on profiles of that size: the counts made into a
problem, the optimum, and 100 half-samples for the intervals.
"""

import argparse
import os
import platform
import statistics
import time

import numpy as np

from simtool.mixing.constraints import Constraints
from simtool.mixing.recommend import recommend
from simtool.mixing.solver import TOLERANCE, ConvexProblem, within_budget
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile
from simtool.similarity.metrics import smooth

RUNS = 3
TARGET_WEIGHTS = np.ones(1)


def zipf_distributions(n_corpora: int, n_entries: int, seed: int = 0) -> np.ndarray:
    """float64 (n_corpora, n_entries): Zipf's law, each row bent its own way, 30% of the entries unseen."""
    rng = np.random.default_rng(seed)
    rows = rng.lognormal(0, 1.5, (n_corpora, n_entries)) / np.arange(1, n_entries + 1)
    rows *= rng.random(rows.shape) < 0.7
    return rows / rows.sum(axis=1, keepdims=True)


def target_of(sources: np.ndarray, seed: int = 1) -> np.ndarray:
    """A target that is half made of eight of the sources, and half its own."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(8))
    own = zipf_distributions(1, sources.shape[1], seed)[0]
    return (shares @ sources[rng.choice(len(sources), 8, replace=False)] + own) / 2


def problem_of(n_candidates: int, n_entries: int) -> ConvexProblem:
    sources = zipf_distributions(n_candidates + 1, n_entries)
    targets = np.stack([target_of(sources), sources[0]])
    K = len(sources)
    return ConvexProblem(smooth(sources, n_entries), np.ones(K), smooth(targets, n_entries), np.zeros(K), np.ones(K))


def slsqp(problem: ConvexProblem, budget: float | None) -> np.ndarray:
    from scipy.optimize import minimize

    S, (targets, pretraining) = problem.sources_KV, problem.target_TV
    most = budget is not None and budget - pretraining @ np.log2(S[0])
    slope = lambda w, q: -S @ (q / (w @ S)) / np.log(2)  # noqa: E731
    constraints = [{"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like}]
    if budget is not None:
        constraints.append(
            {
                "type": "ineq",
                "fun": lambda w: most + pretraining @ np.log2(w @ S),
                "jac": lambda w: -slope(w, pretraining),
            }
        )
    K = len(S)
    solution = minimize(
        lambda w: -targets @ np.log2(w @ S),
        np.full(K, 1 / K),
        jac=lambda w: slope(w, targets),
        bounds=[(0, 1)] * K,
        constraints=constraints,
        method="SLSQP",
        options={"ftol": TOLERANCE, "maxiter": 1000},
    )
    return solution.x


def profiles_of(n_candidates: int, n_entries: int, n_tokens: int = 400_000) -> dict[str, Profile]:
    sources = zipf_distributions(n_candidates + 1, n_entries)
    rng = np.random.default_rng(2)
    profiles = {}
    for name, shares in zip(
        [*map(str, range(n_candidates + 1)), "target"], [*sources, target_of(sources)], strict=True
    ):
        counts = rng.multinomial(n_tokens // N_FOLDS, shares / shares.sum(), size=N_FOLDS)
        sizes = counts.sum(axis=1)
        profiles[name] = Profile(name, "made", "0" * 64, sizes, sizes, sizes, {"token": counts})
    return profiles


def median_of(function, *arguments) -> tuple[float, object]:
    """Seconds, the median of RUNS, and the last result."""
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        result = function(*arguments)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(": ")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10 candidates over 5,000 entries only")
    sizes = [(10, 5_000)] if parser.parse_args().quick else [(10, 5_000), (50, 50_000)]

    import scipy

    rows = []
    for n_candidates, n_entries in sizes:
        problem = problem_of(n_candidates, n_entries)
        bits = lambda w: float(problem.bits(w)[0])  # noqa: B023, E731
        for budget in (None, 0.05):
            ours, optimum = median_of(within_budget, problem, TARGET_WEIGHTS, budget)
            theirs, peer = median_of(slsqp, problem, budget)
            bound = bits(optimum.weights) - optimum.gap
            over = max(float(problem.forgetting(peer)) - budget, 0.0) if budget else 0.0
            rows.append(
                f"| {n_candidates} x {n_entries:,} | {budget or 'none'} | {ours:.3g} | {theirs:.3g} |"
                f" {theirs / ours:.1f} | {optimum.gap:.0e} | {bits(peer / peer.sum()) - bound:.0e} | {over:.0e} |"
                f" {np.abs(peer - optimum.weights).max():.0e} |"
            )
    profiles = profiles_of(*sizes[-1])
    names = list(profiles)[:-1]
    busy = time.process_time()
    whole, _ = median_of(
        recommend, profiles, names[0], names[1:], {"target": 1.0}, Constraints(min_share={names[0]: 0.3})
    )

    busy = (time.process_time() - busy) / RUNS

    print(f"Medians of {RUNS} runs. {processor()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f};")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}.")
    print(f"`recommend` on {sizes[-1][0]} candidates over {sizes[-1][1]:,} entries, 100 half-samples: {whole:.2f} s,")
    print(f"of which the processors worked {busy:.2f} s, on all threads together.\n")
    print(
        "| candidates x entries | budget (bits) | simtool (s) | SLSQP (s) | ratio | our gap (bits) |"
        " SLSQP's excess (bits) | SLSQP over budget (bits) | largest difference of a share |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
