"""Which mixture to train on: the one that makes the targets cost fewest bits, certified to be the best.

**The problem.** A mixture of shares w has the distribution m = sum of w_k p_k, with the 1% uniform of
`metrics.cross_entropy`: linear in w, so the cross-entropy of a target, -sum of q log2 m, is convex in w. What is
forgotten is predicted as the bits that text like the pretraining corpus costs more under the mixture than under
that corpus alone, KL(pretraining || mixture): one more target. Limits are floors and caps of single corpora
(repetition becomes a cap), and a budget of forgetting. Its certified solver is in `optimum`.

**Other features than tokens.** Shares are of tokens, but a corpus may have more symbols (skeletons, say) a token
than another. Shares of symbols are a projective image of shares of tokens: vertices stay vertices, no local optimum
appears, and the gap is taken in shares of symbols, where the problem is convex.
"""

import math
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from simtool.errors import SimtoolError, unknown
from simtool.mixture import Mixture
from simtool.profiles.features import find_feature
from simtool.profiles.profile import Profile, check_same_tokenizer
from simtool.similarity.limits import Limits, effective_tokens
from simtool.similarity.matrix import feature_counts
from simtool.similarity.metrics import TINY, UNIFORM_SHARE
from simtool.similarity.optimum import Problem, at_trade_off, mix_rows, trace, within_budget
from simtool.similarity.uncertainty import half_splits, interval, thin
from simtool.tables import Tabular

if TYPE_CHECKING:
    import polars as pl

# K corpora that may be mixed, the pretraining corpus first; T targets, the pretraining corpus last; V entries

RESAMPLES = 100
HALF_TOLERANCE = (
    1e-4  # bits: the gap at which the solver stops on half-samples; shares then err by 0.4% of their spread at most
)
NO_SHARE = 1e-6  # a smaller share is left out of the mixture
HALVES_BYTES = 64 << 20  # half-samples are counted in chunks of this size, one a thread


# --- From profiles to the problem ---


@dataclass(frozen=True)
class Counts:
    """What was counted, at the entries that some source has, and one column more that stands for all others.

    sources    float32 (n_folds, K, V)   every corpus thinned to the same number of symbols
    targets    float32 (n_folds, T, V)
    entries_V  float64                   how many entries of the feature each column stands for
    """

    sources: np.ndarray
    targets: np.ndarray
    entries_V: np.ndarray
    per_token_K: np.ndarray
    lower_K: np.ndarray
    upper_K: np.ndarray

    def whole(self) -> Problem:
        return self.problem(self.sources.sum(axis=0), self.targets.sum(axis=0))

    def halves(self, splits: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each split (n_splits, n_folds): the sources in one half of the documents, the targets in the other."""
        n_folds, K, V = self.sources.shape
        chosen = splits.astype(np.float32)
        sources = mix_rows(chosen, self.sources.reshape(n_folds, -1)).reshape(-1, K, V)
        targets = mix_rows(1 - chosen, self.targets.reshape(n_folds, -1)).reshape(len(splits), -1, V)
        return zip(sources, targets, strict=True)

    def problem(self, sources: np.ndarray, targets: np.ndarray) -> Problem:
        """From counts (K, V) and (T, V), both smoothed as `metrics.smooth` does."""
        dimension = self.entries_V.sum()
        shares = (1 - UNIFORM_SHARE) / sources.sum(axis=1, dtype=np.float64)
        sources_KV = np.multiply(sources, (self.per_token_K * shares)[:, None], dtype=np.float64)
        sources_KV += (self.per_token_K * UNIFORM_SHARE / dimension)[:, None]  # in place: 20 MB for 50 x 50,000
        wanted_TV = targets * ((1 - UNIFORM_SHARE) / targets.sum(axis=1, keepdims=True, dtype=np.float64))
        wanted_TV += UNIFORM_SHARE * self.entries_V / dimension
        return Problem(sources_KV, self.per_token_K, wanted_TV, self.lower_K, self.upper_K)

    def sizes(self) -> np.ndarray:
        """Symbols of every source and target in each fold: (K + T, n_folds)."""
        return np.concatenate([part.sum(axis=2, dtype=np.float64).T for part in (self.sources, self.targets)])


def count(
    profiles: Mapping[str, Profile],
    corpora: Sequence[str],
    targets: Sequence[str],
    limits: Limits,
    feature: str,
    rng: np.random.Generator,
) -> Counts:
    """The counts that a recommendation is made from. corpora: the pretraining corpus first.

    Sources are thinned to equal numbers of symbols: a larger sample covers more of any target, and to train on a
    corpus is not to train on our sample of it. A target is the same for all, and stays whole.
    """
    for name in feature.split("+"):
        find_feature(name)
    lower, upper = limits.bounds(corpora)
    names = list(dict.fromkeys((*corpora, *targets)))
    for name in names:
        if name not in profiles:
            raise unknown("corpus", name, profiles)
    check_same_tokenizer([profiles[name] for name in names])
    counts = feature_counts({name: profiles[name] for name in names}, feature)
    for name in names:
        if not counts[name].any():
            raise SimtoolError(f"{name} has nothing to count for {feature}. Give longer documents or another feature.")
    fewest = min(int(counts[name].sum()) for name in corpora)
    sources = [thin(counts[name], fewest, rng) for name in corpora]
    seen = np.any([one.any(axis=0) for one in sources], axis=0)

    def gathered(tables: list[np.ndarray]) -> np.ndarray:
        table = np.empty((len(tables[0]), len(tables), int(seen.sum()) + 1), np.float32)
        for i, one in enumerate(tables):
            table[:, i, :-1], table[:, i, -1] = one[:, seen], one[:, ~seen].sum(axis=1)
        return table

    return Counts(
        gathered(sources),
        gathered([*(counts[name] for name in targets), sources[0]]),
        np.append(np.ones(seen.sum()), float((~seen).sum())),
        np.array([counts[name].sum() / profiles[name].size["tokens"] for name in corpora]),
        lower,
        upper,
    )


def _named(pretrain: str, candidates: Sequence[str]) -> tuple[str, ...]:
    """All that may be mixed, the pretraining corpus first, each once."""
    if pretrain in candidates:
        raise SimtoolError(
            f"{pretrain} is the pretraining corpus, which every mixture may hold. Leave it out of the candidates."
        )
    if not candidates:
        raise SimtoolError("Nothing to mix in. Name one candidate or more.")
    return (pretrain, *dict.fromkeys(candidates))


def _emphasis(targets: Mapping[str, float]) -> np.ndarray:
    """The weights of the targets, brought to sum 1."""
    weights = np.array(list(targets.values()), float)
    if not len(weights) or not (weights > 0).all() or not np.isfinite(weights).all():
        raise SimtoolError(f"Name one target or more, each with a weight above 0. Got {dict(targets)}.")
    return weights / weights.sum()


# --- The answer ---


@dataclass(frozen=True)
class Recommendation:
    """The mixture that makes the targets cost fewest bits within the limits.

    weights, low, high   float64 (K,)    share of each corpus in tokens, with its 95% interval over half-samples;
                                         the pretraining corpus comes first
    from_zero            bool (K,)       the data tell the share from 0
    apart                bool (K, K)     the data tell the two shares apart
    emphasis             float64 (T,)    weight of each target, sum 1
    bits                 float64 (T,)    cross-entropy of each target under the mixture, per symbol
    gain, ..low, ..high  float64 (T,)    bits by which it is below that under the pretraining corpus alone
    most                 float64 (T,)    what training on the target itself would gain; no mixture gains more
    forgetting, ...      bits per symbol that text like the pretraining corpus costs more than under that alone
    gap                  bits by which another mixture within the limits could be better at most
    trade_off            t: the mixture minimises (1 - t) bits + t forgetting; above 0 where a budget binds
    binding              the limits without which it would be better
    epochs, effective    float64 (K,)    passes over what is available, and the new tokens that they are worth; NaN
                                         where `available` was not given
    symbols              how many symbols of each source were used
    """

    corpora: tuple[str, ...]
    weights: np.ndarray
    low: np.ndarray
    high: np.ndarray
    from_zero: np.ndarray
    apart: np.ndarray
    targets: tuple[str, ...]
    emphasis: np.ndarray
    bits: np.ndarray
    gain: np.ndarray
    gain_low: np.ndarray
    gain_high: np.ndarray
    most: np.ndarray
    forgetting: float
    forgetting_low: float
    forgetting_high: float
    gap: float
    trade_off: float
    limits: Limits
    binding: tuple[str, ...]
    epochs: np.ndarray
    effective: np.ndarray
    feature: str
    symbols: int
    resamples: int
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _freeze(self)

    @property
    def objective(self) -> float:
        """Bits per symbol over the targets by their weights: what was minimised, within the limits."""
        return float(self.emphasis @ self.bits)

    @property
    def mixture(self) -> Mixture:
        """Without the corpora that get no share."""
        return Mixture(_positive(self.corpora, self.weights))

    @property
    def alike(self) -> list[tuple[str, str]]:
        """Pairs of corpora whose shares the data can tell from 0, but not from each other."""
        used = np.flatnonzero((self.weights >= NO_SHARE) & self.from_zero)
        return [(self.corpora[i], self.corpora[j]) for i in used for j in used if i < j and not self.apart[i, j]]

    def command(self, target: str) -> str:
        """The command line that trains on it and fine-tunes on a target, shares rounded to 1/10,000.

        It belongs to the training wing, and pretrains for as long as it midtrains where `tokens` says how long.
        """
        parts = ["simtool", "train", "--pretrain", self.corpora[0], "--midtrain", str(rounded(self.mixture))]
        if self.limits.tokens is not None:
            parts += ["--tokens", str(self.limits.tokens), "--midtrain-tokens", str(self.limits.tokens)]
        return shlex.join([*parts, "--sft", target])

    def to_polars(self) -> "pl.DataFrame":
        """One row a corpus: share, its interval and limits; epochs and effective tokens, null where not known."""
        import polars as pl

        lower, upper = self.limits.bounds(self.corpora)
        return pl.DataFrame(
            {
                "corpus": self.corpora,
                "share": self.weights,
                "low": self.low,
                "high": self.high,
                "from_zero": self.from_zero,
                "floor": lower,
                "cap": upper,
                "epochs": self.epochs,
                "effective_tokens": self.effective,
                "feature": self.feature,
            }
        ).with_columns(pl.col("epochs", "effective_tokens").fill_nan(None))

    def targets_to_polars(self) -> "pl.DataFrame":
        """One row a target: weight, bits per symbol, the gain with its interval, and the most there is to gain."""
        import polars as pl

        return pl.DataFrame(
            {
                "target": self.targets,
                "target_weight": self.emphasis,
                "bits": self.bits,
                "gain_bits": self.gain,
                "gain_low": self.gain_low,
                "gain_high": self.gain_high,
                "most_bits": self.most,
                "feature": self.feature,
            }
        )


def recommend(
    profiles: Mapping[str, Profile],
    pretrain: str,
    candidates: Sequence[str],
    targets: Mapping[str, float],
    limits: Limits | None = None,
    feature: str = "token",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Recommendation:
    """The mixture of the pretraining corpus and the candidates that is best for the targets, within the limits.

    profiles   by name: the pretraining corpus, the candidates and the targets
    targets    the weight of each; only their ratios matter
    feature    one of FEATURES, or several joined with "+"

    Intervals: of each half-sample (see `uncertainty`) the sources are read from one half of the documents and the
    targets from the other, and the best mixture is found again, at the trade-off found on the whole; how far the
    half-samples lie about their mean is laid about the value of the whole. Gains are those of the one mixture
    recommended.

    Raises SimtoolError when no mixture is within the limits, saying which of them and by how much.
    """
    limits = limits or Limits()
    corpora, emphasis = _named(pretrain, candidates), _emphasis(targets)
    rng = np.random.default_rng(seed)
    counts = count(profiles, corpora, list(targets), limits, feature, rng)
    splits = half_splits(counts.sizes(), resamples, rng)
    problem = counts.whole()
    found = within_budget(problem, emphasis, limits.forgetting)
    if found is None:
        raise _forgets_too_much(problem, emphasis, limits, corpora)
    w = found.weights

    def again(half: Problem) -> tuple[np.ndarray, np.ndarray]:
        return at_trade_off(half, emphasis, found.trade_off, w, HALF_TOLERANCE).weights, effects(half, w)

    solved_RK, effects_RT = _over_halves(again, counts, splits)
    low, high = _about(w, solved_RK)
    apart_low, apart_high = _about(w[:, None] - w, solved_RK[:, :, None] - solved_RK[:, None, :])
    whole_T = effects(problem, w)
    low_T, high_T = _about(whole_T, effects_RT)
    bits = problem.bits(w)[:-1]
    binding = _binding(w, found.trade_off, limits, corpora)
    return Recommendation(
        corpora=corpora,
        weights=w,
        low=np.clip(low, counts.lower_K, counts.upper_K),
        high=np.clip(high, counts.lower_K, counts.upper_K),
        from_zero=low > NO_SHARE,
        apart=(apart_low > NO_SHARE) | (apart_high < -NO_SHARE),
        targets=tuple(targets),
        emphasis=emphasis,
        bits=bits,
        gain=whole_T[:-1],
        gain_low=low_T[:-1],
        gain_high=high_T[:-1],
        most=whole_T[:-1] + bits - _entropies(problem.wanted_TV[:-1], counts.entries_V),
        forgetting=float(whole_T[-1]),
        forgetting_low=float(low_T[-1]),
        forgetting_high=float(high_T[-1]),
        gap=found.gap,
        trade_off=found.trade_off,
        limits=limits,
        binding=binding,
        epochs=_by_available(lambda trained, available: trained / available, w, limits, corpora),
        effective=_by_available(effective_tokens, w, limits, corpora),
        feature=feature,
        symbols=round(float(counts.sources[:, 0].sum(dtype=np.float64))),
        resamples=resamples,
        notes=_notes(profiles, corpora, list(targets), feature, w, binding),
    )


def effects(problem: Problem, weights: np.ndarray) -> np.ndarray:
    """What mixtures (..., K) change against the pretraining corpus alone: the gain in bits of each target, and last
    the bits that are forgotten: (..., T).
    """
    change = problem.bits(np.eye(len(problem.per_token_K))[0]) - problem.bits(weights)
    change[..., -1] *= -1
    return change


def rounded(mixture: Mixture, parts: int = 10_000) -> Mixture:
    """Shares as whole parts that sum to 1; what is less than half of one is dropped, and the largest evens out."""
    whole = {name: round(share * parts) for name, share in mixture.weights.items()}
    largest = max(whole, key=whole.__getitem__)
    whole[largest] += parts - sum(whole.values())
    return Mixture({name: n / parts for name, n in whole.items() if n})


def _over_halves(
    of_half: Callable[[Problem], tuple[np.ndarray, ...]], counts: Counts, splits: np.ndarray
) -> list[np.ndarray]:
    """Each of the values of a half-sample, over all half-samples: (n_splits, ...)."""
    at_once = max(1, min(HALVES_BYTES // counts.sources[0].nbytes, len(splits) // (2 * (os.cpu_count() or 1))))
    chunks = [splits[start : start + at_once] for start in range(0, len(splits), at_once)]

    def of_chunk(chunk: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        return [of_half(counts.problem(*half)) for half in counts.halves(chunk)]

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # NumPy lets go of the interpreter lock
        found = [values for some in threads.map(of_chunk, chunks) for values in some]
    return [np.stack(values) for values in zip(*found, strict=True)]


def _about(value: np.ndarray, halves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval about a value, from the spread of half-samples (n_splits, ...) about their mean."""
    low, high = interval(halves - halves.mean(axis=0))
    return value + low, value + high


def _positive(corpora: Sequence[str], weights: np.ndarray) -> dict[str, float]:
    kept = {name: float(w) for name, w in zip(corpora, weights, strict=True) if w >= NO_SHARE}
    total = math.fsum(kept.values())
    return {name: share / total for name, share in kept.items()}


def _entropies(wanted_TV: np.ndarray, entries_V: np.ndarray) -> np.ndarray:
    """In bits; a column that stands for many entries is spread over them."""
    return -(wanted_TV * np.log2((wanted_TV + TINY) / np.maximum(entries_V, 1))).sum(axis=1)


def _by_available(
    function: Callable[[float, float], float], w: np.ndarray, limits: Limits, corpora: Sequence[str]
) -> np.ndarray:
    """function(tokens trained on, tokens available) of each corpus, NaN where that is not known."""
    return np.array(
        [
            function(share * limits.tokens, limits.available[name])
            if limits.tokens is not None and name in limits.available
            else math.nan
            for name, share in zip(corpora, w, strict=True)
        ]
    )


def _binding(w: np.ndarray, trade_off: float, limits: Limits, corpora: Sequence[str]) -> tuple[str, ...]:
    lower, upper = limits.bounds(corpora)
    floors, caps = limits.floor_texts(corpora, lower), limits.cap_texts(corpora, upper)
    on_floor = [floors[i] for i in np.flatnonzero((lower > 0) & (w - lower < NO_SHARE))]
    on_cap = [caps[i] for i in np.flatnonzero((upper < 1) & (upper - w < NO_SHARE))]
    budget = [f"forgetting<={limits.forgetting:g} bits"] if trade_off > 0 else []
    return (*on_floor, *on_cap, *budget)


def _forgets_too_much(problem: Problem, emphasis: np.ndarray, limits: Limits, corpora: Sequence[str]) -> SimtoolError:
    least = at_trade_off(problem, emphasis, 1.0)
    forgotten = math.ceil(float(problem.forgetting(least.weights)) * 1e4) / 1e4  # upwards, so that it can be allowed
    because = ", ".join(_binding(least.weights, 0.0, limits, corpora))
    return SimtoolError(
        f"With {because}, {forgotten:g} bits or more are forgotten, above the budget of {limits.forgetting:g}.\n"
        "Allow as much, or loosen those limits."
    )


def _notes(
    profiles: Mapping[str, Profile],
    corpora: Sequence[str],
    targets: Sequence[str],
    feature: str,
    w: np.ndarray,
    binding: Sequence[str],
) -> tuple[str, ...]:
    name_of_part = feature.split("+")[0]
    notes = []
    for target in targets:
        for corpus in corpora:
            one, other = (profiles[name].features[name_of_part] for name in (target, corpus))
            if target == corpus or np.array_equal(one, other):
                named = "is itself" if target == corpus else f"has the same counts as {corpus},"
                role = "the pretraining corpus" if corpus == corpora[0] else "a candidate"
                notes.append(
                    f"Leak: the target {target} {named} {role}. To train on the text that is measured tells nothing;"
                    " give another split of one of them."
                )
    if w[0] > 1 - NO_SHARE and not binding:
        notes.append(f"No candidate helps: {corpora[0]} alone is best.")
    return tuple(notes)


def _freeze(result: object) -> None:
    for value in vars(result).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False


# --- Target against forgetting ---


@dataclass(frozen=True)
class Frontier(Tabular):
    """The mixtures that no other within the floors and caps beats in both target and forgetting.

    trade_off                float64 (P,)     t: a point minimises (1 - t) bits of the targets + t forgetting;
                                              from 1, the least forgetting, to 0, the best for the targets
    weights                  float64 (P, K)   the pretraining corpus first
    gap                      float64 (P,)     bits of what a point minimises
    forgetting, ..low, ..high  float64 (P,)   bits, with the 95% interval of that mixture over half-samples
    gain, ..low, ..high      float64 (P, T)   bits, likewise
    """

    table = "mixture_frontier"

    corpora: tuple[str, ...]
    targets: tuple[str, ...]
    emphasis: np.ndarray
    trade_off: np.ndarray
    weights: np.ndarray
    gap: np.ndarray
    forgetting: np.ndarray
    forgetting_low: np.ndarray
    forgetting_high: np.ndarray
    gain: np.ndarray
    gain_low: np.ndarray
    gain_high: np.ndarray
    feature: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _freeze(self)

    def to_polars(self) -> "pl.DataFrame":
        """One row a point and target; the shares of the point's mixture are in columns share_CORPUS."""
        import polars as pl

        n_points, n_targets = self.gain.shape
        point, target = np.divmod(np.arange(n_points * n_targets), n_targets)
        return pl.DataFrame(
            {
                "point": point,
                "trade_off": self.trade_off[point],
                "forgetting_bits": self.forgetting[point],
                "forgetting_low": self.forgetting_low[point],
                "forgetting_high": self.forgetting_high[point],
                "target": [self.targets[t] for t in target],
                "target_weight": self.emphasis[target],
                "gain_bits": self.gain.ravel(),
                "gain_low": self.gain_low.ravel(),
                "gain_high": self.gain_high.ravel(),
                "feature": self.feature,
                **{f"share_{name}": self.weights[point, k] for k, name in enumerate(self.corpora)},
            }
        )


def frontier(
    profiles: Mapping[str, Profile],
    pretrain: str,
    candidates: Sequence[str],
    targets: Mapping[str, float],
    limits: Limits | None = None,
    feature: str = "token",
    points: int = 21,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Frontier:
    """What is gained on the targets for what is forgotten, as `recommend`; limits.forgetting plays no part.

    From the two ends, the widest step in target and forgetting is halved in its trade-off until there are `points`.
    """
    limits = limits or Limits()
    corpora, emphasis = _named(pretrain, candidates), _emphasis(targets)
    rng = np.random.default_rng(seed)
    counts = count(profiles, corpora, list(targets), limits, feature, rng)
    splits = half_splits(counts.sizes(), resamples, rng)
    problem = counts.whole()
    found = trace(problem, emphasis, points)
    weights = np.stack([point.weights for point in found])
    whole_PT = effects(problem, weights)
    (effects_RPT,) = _over_halves(lambda half: (effects(half, weights),), counts, splits)
    low_PT, high_PT = _about(whole_PT, effects_RPT)
    return Frontier(
        corpora=corpora,
        targets=tuple(targets),
        emphasis=emphasis,
        trade_off=np.array([point.trade_off for point in found]),
        weights=weights,
        gap=np.array([point.gap for point in found]),
        forgetting=whole_PT[:, -1],
        forgetting_low=low_PT[:, -1],
        forgetting_high=high_PT[:, -1],
        gain=whole_PT[:, :-1],
        gain_low=low_PT[:, :-1],
        gain_high=high_PT[:, :-1],
        feature=feature,
    )
