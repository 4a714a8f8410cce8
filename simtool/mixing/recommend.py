"""Which mixture to train on: the one that makes the targets cost fewest bits, certified to be the best.

**The problem.** A mixture of shares w has the distribution m = sum of w_k p_k. Each p_k is smoothed by itself, as
Witten and Bell do (`problem.unseen_share`), so m is linear in w, and the cross-entropy of a target, -sum of q log2 m,
is convex in w. What is forgotten is predicted as the bits that text like the pretraining corpus costs more under the
mixture than under that corpus alone, KL(pretraining || mixture): one more target, smoothed as sources are. Constraints
are minimum and maximum shares of single corpora (repetition becomes a maximum), and a budget of forgetting. It is
counted in `problem`; its certified solver is in `solver`.

**What is certified, and what is significant.** The certificate is of these samples: another sample has another optimum,
and a larger one gives corpora that are far from the pretraining corpus larger shares. Finite samples gain by pooling
documents, whatever they are, so a share above 0 says nothing by itself: candidates that do not do significantly
better than held-out documents of the pretraining corpus (`placebo`) get none. Another sample of that corpus got one in
9 of 240 replicates, 3.8% [1.7, 7.0], where 2.5% are promised (`analyses/placebo_coverage.py`).

**Other features than tokens.** Shares are of tokens, but a corpus may have more symbols (skeletons, say) per token
than another. Shares of symbols are a projective image of shares of tokens: vertices stay vertices, no local optimum
appears, and the gap is taken in shares of symbols, where the problem is convex.
"""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from simtool.errors import SimtoolError
from simtool.mixing.constraints import Constraints, effective_tokens, possible_shares
from simtool.mixing.placebo import gains_over_placebo
from simtool.mixing.problem import RESAMPLES, Problem, build_problem, effects, interval_around, on_half_samples
from simtool.mixing.solver import ConvexProblem, Optimum, minimise_at_trade_off, within_budget
from simtool.mixture import Mixture
from simtool.profiles.profile import Profile
from simtool.results import Tabular, read_only
from simtool.similarity.metrics import TINY

if TYPE_CHECKING:
    import polars as pl

# bits: the gap at which the solver stops on half-samples; shares then err by 0.4% of their spread at most
HALF_TOLERANCE = 1e-4
NO_SHARE = 1e-6  # a smaller share is left out of the mixture


@dataclass(frozen=True, repr=False)
class Recommendation(Tabular):
    """The mixture that makes the targets cost fewest bits within the constraints.

    weights, low, high   float64 (K,)    share of each corpus in tokens, with its 95% interval over half-samples;
                                         the pretraining corpus comes first
    placebo_gain, ...    float64 (K,)    bits by which a corpus does better in its place than held-out documents of the
                                         pretraining corpus, with the 95% interval; NaN for that corpus and for no share
    dropped              candidates that got no share because they do not do significantly better than that
    target_weights       float64 (T,)    weight of each target, sum 1
    bits                 float64 (T,)    cross-entropy of each target under the mixture, per symbol
    gain, ..low, ..high  float64 (T,)    bits by which it is below that under the pretraining corpus alone
    max_gain             float64 (T,)    what training on the target itself would gain; no mixture gains more
    forgetting, ...      bits per symbol that text like the pretraining corpus costs more than under that alone
    gap                  bits by which another mixture within the constraints could be better at most
    trade_off            t: the mixture minimises (1 - t) bits + t forgetting; above 0 where a budget binds
    binding              the constraints without which it would be better
    epochs, effective    float64 (K,)    passes over what is available, and the new tokens that they are worth; NaN
                                         where `available` was not given
    symbols              how many symbols of each source were used
    """

    table = "mixture"
    columns_printed = ("corpus", "share", "low", "high")

    corpora: tuple[str, ...]
    weights: np.ndarray
    low: np.ndarray
    high: np.ndarray
    placebo_gain: np.ndarray
    placebo_low: np.ndarray
    placebo_high: np.ndarray
    dropped: tuple[str, ...]
    targets: tuple[str, ...]
    target_weights: np.ndarray
    bits: np.ndarray
    gain: np.ndarray
    gain_low: np.ndarray
    gain_high: np.ndarray
    max_gain: np.ndarray
    forgetting: float
    forgetting_low: float
    forgetting_high: float
    gap: float
    trade_off: float
    constraints: Constraints
    binding: tuple[str, ...]
    epochs: np.ndarray
    effective: np.ndarray
    feature: str
    symbols: int
    resamples: int
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        read_only(self)

    @property
    def objective(self) -> float:
        """Bits per symbol over the targets by their weights: what was minimised, within the constraints."""
        return float(self.target_weights @ self.bits)

    @property
    def mixture(self) -> Mixture:
        """Without the corpora that get no share."""
        return Mixture(_positive(self.corpora, self.weights))

    def command(self, target: str) -> str:
        """The command line that trains on it and fine-tunes on a target, shares rounded to 1/10,000.

        It belongs to the training wing, and pretrains for as long as it midtrains where `tokens` says how long.
        """
        parts = ["simtool", "train", "--pretrain", self.corpora[0], "--mid", str(rounded(self.mixture))]
        if self.constraints.tokens is not None:
            parts += ["--pretrain-tokens", str(self.constraints.tokens), "--mid-tokens", str(self.constraints.tokens)]
        return shlex.join([*parts, "--sft", target])

    def curve_command(self) -> str | None:
        """The command line that follows the advantage of the largest candidate over its share; None without one."""
        if self.weights[1:].max(initial=0) <= 0:
            return None
        largest = self.corpora[1 + int(self.weights[1:].argmax())]
        parts = ["simtool", "advantage", "--pretrain", self.corpora[0], "--curve", largest]
        return shlex.join([*parts, *(word for target in self.targets for word in ("--target", target))])

    def to_polars(self) -> "pl.DataFrame":
        """One row per corpus: share, its interval and constraints; epochs, effective tokens: null where not known."""
        import polars as pl

        lower, upper = self.constraints.bounds(self.corpora)
        return pl.DataFrame(
            {
                "corpus": self.corpora,
                "share": self.weights,
                "low": self.low,
                "high": self.high,
                "placebo_gain_bits": self.placebo_gain,
                "placebo_gain_low": self.placebo_low,
                "placebo_gain_high": self.placebo_high,
                "dropped": [name in self.dropped for name in self.corpora],
                "min_share": lower,
                "max_share": upper,
                "epochs": self.epochs,
                "effective_tokens": self.effective,
                "feature": self.feature,
            }
        ).with_columns(pl.selectors.float().fill_nan(None))

    def targets_to_polars(self) -> "pl.DataFrame":
        """One row per target: weight, bits per symbol, the gain with its interval, and the most possible."""
        import polars as pl

        return pl.DataFrame(
            {
                "target": self.targets,
                "target_weight": self.target_weights,
                "bits": self.bits,
                "gain_bits": self.gain,
                "gain_low": self.gain_low,
                "gain_high": self.gain_high,
                "max_gain_bits": self.max_gain,
                "feature": self.feature,
            }
        )


def recommend(
    profiles: Mapping[str, Profile],
    pretrain: str,
    candidates: Sequence[str],
    targets: Mapping[str, float],
    constraints: Constraints | None = None,
    feature: str = "token",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Recommendation:
    """The mixture of the pretraining corpus and the candidates that is best for the targets, within the constraints.

    Parameters
    ----------
    profiles
        By name: the pretraining corpus, the candidates and the targets.
    targets
        The weight of each; only their ratios matter.
    feature
        One of FEATURES, or several joined with "+".

    Raises
    ------
    SimtoolError
        When no mixture is within the constraints, saying which of them and by how much.

    Notes
    -----
    Intervals: of each half-sample (see `similarity.resampling`) the sources are read from one half of the documents
    and the targets from the other, and the best mixture is found again, at the trade-off found on the whole; how far
    the half-samples lie about their mean is laid about the value of the whole. Gains are those of the one mixture
    recommended.
    """
    constraints = constraints or Constraints()
    problem = build_problem(profiles, pretrain, candidates, targets, constraints, feature, resamples, seed)
    corpora, target_weights = problem.corpora, problem.target_weights
    optimum, placebo, dropped = _solve_dropping(problem, constraints)
    problem = problem.without(dropped)
    counts, whole = problem.counts, problem.counts.whole()
    w, trade_off = optimum.weights, optimum.trade_off

    def solve_again(half: ConvexProblem) -> tuple[np.ndarray, np.ndarray]:
        best = minimise_at_trade_off(half, target_weights, trade_off, w, HALF_TOLERANCE)
        return best.weights, effects(half, w)

    solved_RK, effects_RT = on_half_samples(solve_again, problem)
    low, high = interval_around(w, solved_RK)
    whole_T = effects(whole, w)
    low_T, high_T = interval_around(whole_T, effects_RT)
    bits = whole.bits(w)[:-1]
    binding = _binding(w, trade_off, constraints, corpora)
    possible = possible_shares(counts.lower_K, counts.upper_K)
    return Recommendation(
        corpora=corpora,
        weights=w,
        low=np.clip(low, *possible),
        high=np.clip(high, *possible),
        placebo_gain=placebo[0],
        placebo_low=placebo[1],
        placebo_high=placebo[2],
        dropped=dropped,
        targets=tuple(targets),
        target_weights=target_weights,
        bits=bits,
        gain=whole_T[:-1],
        gain_low=low_T[:-1],
        gain_high=high_T[:-1],
        max_gain=whole_T[:-1] + bits - _entropies(whole.target_TV[:-1], counts.entries_V),
        forgetting=float(whole_T[-1]),
        forgetting_low=float(low_T[-1]),
        forgetting_high=float(high_T[-1]),
        gap=optimum.gap,
        trade_off=trade_off,
        constraints=constraints,
        binding=binding,
        epochs=_by_available(lambda trained, available: trained / available, w, constraints, corpora),
        effective=_by_available(effective_tokens, w, constraints, corpora),
        feature=feature,
        symbols=round(float(counts.sources[:, 0].sum(dtype=np.float64))),
        resamples=resamples,
        notes=_notes(profiles, corpora, list(targets), feature, w, binding, dropped),
    )


def _solve_dropping(
    problem: Problem, constraints: Constraints
) -> tuple[Optimum, tuple[np.ndarray, np.ndarray, np.ndarray], tuple[str, ...]]:
    """The best mixture without candidates that do no better than the placebo; the gains over it; who was dropped.

    The worst is dropped first, since others take over its share. Candidates that a minimum share or the maximum shares
    of the others demand stay.
    """
    dropped: list[str] = []
    while True:
        current = problem.without(dropped)
        whole = current.counts.whole()
        optimum = within_budget(whole, problem.target_weights, constraints.max_forgetting)
        if optimum is None:
            raise _forgets_too_much(whole, problem.target_weights, constraints, problem.corpora)
        w = np.where(optimum.weights < NO_SHARE, 0.0, optimum.weights)
        placebo = gains_over_placebo(current, w)
        free = (w > 0) & (current.counts.lower_K == 0) & (current.counts.upper_K.sum() - current.counts.upper_K >= 1)
        free[0] = False
        worst = int(np.argmin(np.where(free, placebo[1], np.inf)))
        if not free[worst] or placebo[1][worst] > 0:
            shown = (w > 0) & (np.arange(len(w)) > 0)
            value, low, high = (np.where(shown, bound, math.nan) for bound in placebo)
            return optimum, (value, low, high), tuple(dropped)
        dropped.append(problem.corpora[worst])


def rounded(mixture: Mixture, parts: int = 10_000) -> Mixture:
    """Shares as whole parts that sum to 1; what is less than half of one is dropped, and the largest evens out."""
    whole = {name: round(share * parts) for name, share in mixture.weights.items()}
    largest = max(whole, key=whole.__getitem__)
    whole[largest] += parts - sum(whole.values())
    return Mixture({name: n / parts for name, n in whole.items() if n})


def _positive(corpora: Sequence[str], weights: np.ndarray) -> dict[str, float]:
    used = {name: float(w) for name, w in zip(corpora, weights, strict=True) if w >= NO_SHARE}
    total = math.fsum(used.values())
    return {name: share / total for name, share in used.items()}


def _entropies(target_TV: np.ndarray, entries_V: np.ndarray) -> np.ndarray:
    """In bits; a column that stands for many entries is spread over them."""
    return -(target_TV * np.log2((target_TV + TINY) / np.maximum(entries_V, 1))).sum(axis=1)


def _by_available(
    function: Callable[[float, float], float], w: np.ndarray, constraints: Constraints, corpora: Sequence[str]
) -> np.ndarray:
    """function(tokens trained on, tokens available) of each corpus, NaN where that is not known."""
    return np.array(
        [
            function(share * constraints.tokens, constraints.available[name])
            if constraints.tokens is not None and name in constraints.available
            else math.nan
            for name, share in zip(corpora, w, strict=True)
        ]
    )


def _binding(w: np.ndarray, trade_off: float, constraints: Constraints, corpora: Sequence[str]) -> tuple[str, ...]:
    lower, upper = constraints.bounds(corpora)
    minima, maxima = constraints.min_share_texts(corpora, lower), constraints.max_share_texts(corpora, upper)
    at_minimum = [minima[i] for i in np.flatnonzero((lower > 0) & (w - lower < NO_SHARE))]
    at_maximum = [maxima[i] for i in np.flatnonzero((upper < 1) & (upper - w < NO_SHARE))]
    budget = [f"forgetting<={constraints.max_forgetting:g} bits"] if trade_off > 0 else []
    return (*at_minimum, *at_maximum, *budget)


def _forgets_too_much(
    problem: ConvexProblem, target_weights: np.ndarray, constraints: Constraints, corpora: Sequence[str]
) -> SimtoolError:
    least = minimise_at_trade_off(problem, target_weights, 1.0)
    forgotten = math.ceil(float(problem.forgetting(least.weights)) * 1e4) / 1e4  # upwards, so that it can be allowed
    because = ", ".join(_binding(least.weights, 0.0, constraints, corpora))
    return SimtoolError(
        f"With {because}, {forgotten:g} bits or more are forgotten,"
        f" above the budget of {constraints.max_forgetting:g}.\n"
        "Allow as much, or loosen those constraints."
    )


def _notes(
    profiles: Mapping[str, Profile],
    corpora: Sequence[str],
    targets: Sequence[str],
    feature: str,
    w: np.ndarray,
    binding: Sequence[str],
    dropped: Sequence[str],
) -> tuple[str, ...]:
    name_of_part = feature.split("+")[0]
    notes = []
    for target in targets:
        for corpus in corpora:
            counts, others = (profiles[name].features[name_of_part] for name in (target, corpus))
            if target == corpus or np.array_equal(counts, others):
                named = "is itself" if target == corpus else f"has the same counts as {corpus},"
                role = "the pretraining corpus" if corpus == corpora[0] else "a candidate"
                notes.append(
                    f"Leak: the target {target} {named} {role}. To train on the text that is measured tells nothing;"
                    " give another split of one of them."
                )
    if dropped:
        notes.append(
            f"No share for {', '.join(dropped)}: not significantly better for these targets than as many held-out"
            f" documents of {corpora[0]}."
        )
    if w[0] > 1 - NO_SHARE and not binding:
        notes.append(f"No candidate helps: {corpora[0]} alone is best.")
    return tuple(notes)
