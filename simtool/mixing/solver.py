"""The optimum of a mixture problem, and the certificate that it is one; arrays in, arrays out.

**The solver.** Newton's method over the corpora that have a share or deserve one; each step is the exact minimum
of a quadratic under the minimum and maximum shares. A budget becomes a trade-off t: minimise (1 - t) target +
t forgetting, with the t that just meets the budget. Half-samples start from the solution of the whole.

**The certificate.** A convex function lies above its tangents, so from any mixture no allowed one can be better by
more than the best vertex promises on the tangent (Frank and Wolfe 1956, doi:10.1002/nav.3800030109; the gap as in
Jaggi 2013). That vertex has a closed form, and with a budget t/(1 - t) is its Lagrange multiplier.
"""

import math
from dataclasses import dataclass

import numpy as np

# K corpora that may be mixed, the pretraining corpus first; T targets, the pretraining corpus last; V entries

TOLERANCE = 1e-9  # bits: the gap at which the solver stops
BUDGET_TOLERANCE = 1e-7  # bits: likewise under a budget of forgetting
LEAST_TARGET_WEIGHT = 1e-7  # of the targets beside forgetting: where the budget is 0, less would only measure rounding
EDGE = 1e-12  # so close to a minimum or maximum, a share is at it
STEPS = 200


@dataclass(frozen=True)
class ConvexProblem:
    """Distributions to mix, and distributions to come close to.

    sources_KV     float64   distribution of each corpus, nowhere 0, times its per_token_K
    per_token_K    float64   symbols of the feature per token
    target_TV      float64   distribution of each target, the pretraining corpus last
    lower_K, upper_K         minimum and maximum shares that some mixture satisfies

    An entry may stand for many that no source has: a source's value is that of each of these, a target's of all.
    """

    sources_KV: np.ndarray
    per_token_K: np.ndarray
    target_TV: np.ndarray
    lower_K: np.ndarray
    upper_K: np.ndarray

    def bits(self, weights: np.ndarray) -> np.ndarray:
        """Cross-entropy of every target under mixtures (..., K): (..., T)."""
        mixed = mix_rows(weights, self.sources_KV) / (weights @ self.per_token_K)[..., None]
        return -np.einsum("...v,tv->...t", np.log2(mixed), self.target_TV)

    def forgetting(self, weights: np.ndarray) -> np.ndarray:
        """Bits that the pretraining corpus costs more under mixtures (..., K) than under itself: (...)."""
        return self.bits(weights)[..., -1] - self.bits(np.eye(len(self.per_token_K))[0])[-1]


@dataclass(frozen=True)
class Optimum:
    """The best mixture found, and how much better another could be at most.

    gap        bits
    trade_off  t in 0 .. 1: what was minimised is (1 - t) target + t forgetting
    """

    weights: np.ndarray
    gap: float
    trade_off: float = 0.0


def minimise(
    problem: ConvexProblem, target_weights: np.ndarray, start: np.ndarray | None = None, tolerance: float = TOLERANCE
) -> Optimum:
    """The mixture that minimises target_weights @ bits, within minimum and maximum shares.

    Parameters
    ----------
    target_weights
        (T,): weight of each target, 0 or more.
    start
        (K,): a mixture within the constraints (None: between minimum and maximum shares).
    """
    S, r = problem.sources_KV, problem.per_token_K
    target_V = target_weights @ problem.target_TV
    total = target_V.sum()
    w = _between(problem.lower_K, problem.upper_K) if start is None else start
    best, blind = Optimum(w, math.inf), False
    for _ in range(STEPS):
        mixed_V = mix_rows(w, S)
        pull_K = np.einsum("kv,v->k", S, target_V / mixed_V)
        per_token = w @ r
        vertex = _best_vertex(pull_K, r, problem.lower_K, problem.upper_K, total / per_token)
        gap = max((pull_K @ vertex * per_token / (r @ vertex) - total) / math.log(2), 0.0)
        if gap >= best.gap and blind:
            break
        best = min(best, Optimum(w, gap), key=lambda optimum: optimum.gap)
        if gap <= tolerance:
            break
        slope_K = total * r / per_token - pull_K  # nats
        step = _newton_step(problem, w, slope_K, pull_K, np.sqrt(target_V) / mixed_V, total)
        length = _step_length(mix_rows(step, S) / mixed_V, step @ r / per_token, target_V, total, slope_K @ step)
        # near the optimum the objective gains less than it rounds; the gap still tells whether the step was good
        blind = length == 0
        w = w + step * (1.0 if blind else length)
        w = np.where(w - problem.lower_K < EDGE, problem.lower_K, np.minimum(w, problem.upper_K))
    return best


def _between(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """A mixture as far from every minimum as from every maximum, in proportion."""
    room = upper - lower
    return lower + room * ((1 - lower.sum()) / max(room.sum(), EDGE))


def _best_vertex(
    pull_K: np.ndarray, per_token_K: np.ndarray, lower: np.ndarray, upper: np.ndarray, rate: float
) -> np.ndarray:
    """The mixture s within the constraints with the largest (pull @ s) / (per_token @ s), which is at least `rate`.

    Dinkelbach 1967, doi:10.1287/mnsc.13.7.492: the ratio exceeds a rate where (pull - rate per_token) @ s is above
    0, and the largest of those is found by filling the best corpora first.
    """
    while True:
        order = np.argsort(rate * per_token_K - pull_K, kind="stable")
        room = (upper - lower)[order]
        before = np.cumsum(room) - room
        s = lower.copy()
        s[order] += np.clip(1 - lower.sum() - before, 0, room)
        better = pull_K @ s / (per_token_K @ s)
        if better <= rate * (1 + 1e-14):
            return s
        rate = better


# Half-samples are solved in threads of our own, and OpenBLAS, which shares long products among its own threads, then
# waits for them: where other work kept two cores busy, 22 steps over 50 corpora x 50,000 entries took 20 s. In pieces
# that it does not share they take 0.25 s, and on idle cores a quarter more than with its threads.
CHUNK = 8192  # entries
UNSHARED = 4 * 65536  # multiplications of a matrix product that OpenBLAS keeps on one thread


def mix_rows(weights: np.ndarray, table: np.ndarray) -> np.ndarray:
    """weights (K,) or (N, K) @ table (K, V)."""
    if weights.ndim == 1:
        return np.einsum("k,kv->v", weights, table)
    mixed = np.empty((len(weights), table.shape[1]), np.result_type(weights, table))
    width = max(32, UNSHARED // weights.size)
    for start in range(0, table.shape[1], width):
        mixed[:, start : start + width] = weights @ table[:, start : start + width]
    return mixed


def _inner(S_KV: np.ndarray, rows: np.ndarray, scale_V: np.ndarray) -> np.ndarray:
    """A @ A.T with A = S[rows] * scale, over chunks of A that stay in the cache, in blocks of columns."""
    n = len(rows)
    product = np.zeros((n, n))
    width = max(32, UNSHARED // n**2)
    for start in range(0, len(scale_V), CHUNK):
        A = S_KV[rows, start : start + CHUNK] * scale_V[start : start + CHUNK]
        whole = A.shape[1] - A.shape[1] % width
        blocks = A[:, :whole].reshape(n, -1, width).transpose(1, 0, 2)
        product += (blocks @ blocks.transpose(0, 2, 1)).sum(axis=0) + A[:, whole:] @ A[:, whole:].T
    return product


def _newton_step(
    problem: ConvexProblem, w: np.ndarray, slope_K: np.ndarray, pull_K: np.ndarray, root_V: np.ndarray, total: float
) -> np.ndarray:
    """Where the quadratic model is least within the constraints, minus w.

    The curvature is that of the logarithm less the square of its mean slope: a covariance, so never negative, and
    at the optimum that of the objective. Corpora at their minimum that pull less than all others are left out.
    """
    at_minimum = w <= problem.lower_K
    some = np.flatnonzero(~at_minimum | (slope_K < slope_K[~at_minimum].max(initial=-math.inf)))
    curvature = _inner(problem.sources_KV, some, root_V)
    H = curvature - np.outer(pull_K[some], pull_K[some]) / total
    H += np.eye(len(some)) * (1e-9 * np.trace(curvature) / len(some))  # two corpora may be one
    step = np.zeros(len(w))
    step[some] = _quadratic_minimum(H, slope_K[some], (problem.lower_K - w)[some], (problem.upper_K - w)[some])
    return step


def _quadratic_minimum(H: np.ndarray, slope: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """argmin of slope @ d + d @ H @ d / 2 over low <= d <= high, sum of d = 0; low <= 0 <= high, H > 0.

    The primal active-set method (Nocedal and Wright, Numerical Optimization, algorithm 16.3), from d = 0.
    """
    n = len(slope)
    d = np.zeros(n)
    bound_at = np.zeros(n, np.int8)  # -1 at low, 1 at high
    for _ in range(20 * n):
        free = np.flatnonzero(bound_at == 0)
        system = np.ones((len(free) + 1, len(free) + 1))
        system[:-1, :-1], system[-1, -1] = H[np.ix_(free, free)], 0
        gradient = slope + H @ d
        solved = np.linalg.solve(system, np.append(-gradient[free], 0))
        move, level = np.zeros(n), -solved[-1]
        move[free] = solved[:-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(move > 0, (high - d) / move, np.where(move < 0, (low - d) / move, math.inf))
        first = int(np.argmin(reach))
        if reach[first] < 1:
            d += max(reach[first], 0.0) * move
            bound_at[first] = 1 if move[first] > 0 else -1
            d[first] = high[first] if move[first] > 0 else low[first]
            continue
        d += move
        pull_off = bound_at * (slope + H @ d - level)  # above 0: it would rather leave its bound
        worst = int(np.argmax(pull_off))
        if pull_off[worst] <= 1e-12 * (1 + abs(level)):
            break
        bound_at[worst] = 0
    return d


def _step_length(change_V: np.ndarray, change: float, target_V: np.ndarray, total: float, slope: float) -> float:
    """The first of 1, 1/2, 1/4 ... that gains a fair part of what the slope promises (Armijo 1966); 0: none does.

    Parameters
    ----------
    change_V, change
        Relative change of the mixture's entries, and of its symbols per token, by a whole step.
    """
    length = 1.0
    while length > 1e-12:
        # not a dot product, which OpenBLAS shares among threads, see UNSHARED
        gained = (target_V * np.log1p(length * change_V)).sum() - total * math.log1p(length * change)
        if gained > 0 and gained >= -1e-4 * length * slope:
            return length
        length /= 2
    return 0.0


def minimise_at_trade_off(
    problem: ConvexProblem,
    target_weights: np.ndarray,
    trade_off: float,
    start: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
) -> Optimum:
    """Minimise (1 - t) of the targets' bits + t of what is forgotten; t = 1 is the least forgetting."""
    both = np.append((1 - trade_off) * target_weights, trade_off)
    # a small part of the sum stands for the targets, so the gap must be as much smaller
    optimum = minimise(problem, both, start, max(tolerance * (1 - trade_off), 1e-13))
    return Optimum(optimum.weights, optimum.gap, trade_off)


def within_budget(
    problem: ConvexProblem, target_weights: np.ndarray, budget: float | None, start: np.ndarray | None = None
) -> Optimum | None:
    """The mixture that minimises the targets' bits and forgets `budget` bits at most (within 1e-12); None: none does.

    Forgetting falls as the trade-off t rises, so t is found by false position (the Illinois rule). Every t tried
    bounds the optimum from below: target + t/(1 - t) (forgetting - budget), less the gap. The gap returned is that
    from the best bound to the best mixture within the budget.
    """
    best = minimise_at_trade_off(problem, target_weights, 0.0, start)
    if budget is None or problem.forgetting(best.weights) <= budget:
        return best
    within = minimise_at_trade_off(problem, target_weights, 1.0, start)
    if problem.forgetting(within.weights) > budget + BUDGET_TOLERANCE:
        return None

    def bits(optimum: Optimum) -> float:
        return float(target_weights @ problem.bits(optimum.weights)[:-1])

    def excess(forgotten: float) -> float:
        # little is forgotten as the square of what is mixed in, and that goes with 1 - t: so roots are nearly straight
        return math.sqrt(max(forgotten, 0.0)) - math.sqrt(budget)

    ends, start, last_side = [0.0, 1.0], best.weights, None
    heights = [excess(float(problem.forgetting(optimum.weights))) for optimum in (best, within)]
    bound, least = bits(best) - best.gap, bits(within)
    for _ in range(STEPS):
        if least - bound <= BUDGET_TOLERANCE or 1 - ends[0] < LEAST_TARGET_WEIGHT:
            break
        reach = heights[0] / (heights[0] - min(heights[1], 0.0))
        t = ends[0] + (ends[1] - ends[0]) * min(max(reach, 0.02), 0.98)
        optimum = minimise_at_trade_off(problem, target_weights, t, start)
        start, forgotten = optimum.weights, float(problem.forgetting(optimum.weights))
        bound = max(bound, bits(optimum) + (t * (forgotten - budget) - optimum.gap) / (1 - t))
        if forgotten <= budget + EDGE and bits(optimum) < least:
            least, within = bits(optimum), optimum
        side = 0 if forgotten > budget else 1
        if side == last_side:
            heights[1 - side] /= 2
        ends[side], heights[side], last_side = t, excess(forgotten), side
    return Optimum(within.weights, max(least - bound, 0.0), within.trade_off)


def trace(problem: ConvexProblem, target_weights: np.ndarray, points: int) -> list[Optimum]:
    """Optima from the least forgetting to the best for the targets, closest where either changes fastest."""
    optima = [minimise_at_trade_off(problem, target_weights, t) for t in (1.0, 0.0)]
    sums = np.zeros((len(target_weights) + 1, 2))  # of the targets by weight, and of the pretraining corpus
    sums[:-1, 0], sums[-1, 1] = target_weights, 1
    bits = [problem.bits(point.weights) @ sums for point in optima]
    while len(optima) < points:
        curve = np.array(bits)
        steps = (np.abs(np.diff(curve, axis=0)) / np.maximum(np.ptp(curve, axis=0), EDGE)).sum(axis=1)
        steps *= -np.diff([point.trade_off for point in optima]) > LEAST_TARGET_WEIGHT  # a corner has no width to halve
        i = int(np.argmax(steps))
        t = (optima[i].trade_off + optima[i + 1].trade_off) / 2
        optima.insert(i + 1, minimise_at_trade_off(problem, target_weights, t, optima[i + 1].weights))
        bits.insert(i + 1, problem.bits(optima[i + 1].weights) @ sums)
    return optima
