"""What text says of a sweep before any of its runs: the prior of every run's loss, and how well it ranks them.

A mixture's distribution is linear in its weights. So the n-grams of all runs are one matrix product, and a prior is a
function of each n-gram's share, averaged over the target: 512 runs, 13 targets and 250,000 n-grams take a second per
half-sample. Sources are read from one half of the documents and targets from the other, so no document meets itself.
Unlike in a matrix of similarities, corpora are not thinned to one size: a run's model has read far more of each domain
than any sample of it, and the smallest sample would blind all others (on RegMix 1M-train, ranks fall by 0.02 to 0.08).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from simtool.errors import unknown
from simtool.mixture import Mixture
from simtool.prediction.spans import span_table
from simtool.prediction.sweeps import Sweep, SweepTexts
from simtool.profiles.features import N_FOLDS, find_feature
from simtool.profiles.profile import Profile, check_same_tokenizer
from simtool.results import Tabular, read_only
from simtool.similarity.metrics import smooth, unlearnt
from simtool.similarity.resampling import half_splits
from simtool.statistics import TAILS

if TYPE_CHECKING:
    import polars as pl

    from simtool.tokens.tokenizer import Tokenizer

# R half-samples, n runs, T targets, C corpora, V n-grams

RESAMPLES = 10  # half-samples of the documents; each takes a second
DRAWS = 200  # of runs, for intervals
LOW_WEIGHT = 0.005  # runs with less own-domain weight are those where that weight has little to say
COLUMNS = 1_024  # n-grams at once: 512 runs x 1,024 stay in the cache, twice as fast as 16,384


Cost = Callable[[np.ndarray, int], np.ndarray]  # (shares (..., V), dimension of the feature) -> (..., V)
COSTS: dict[str, Cost] = {
    "cross_entropy": lambda shares, dimension: -np.log2(smooth(shares, dimension)),
    "exposure": lambda shares, dimension: unlearnt(shares),
}  # what an n-gram costs that makes up a share of what is read
DEFAULT_PRIOR = "exposure.token+skeleton3"


def parse_prior(name: str) -> tuple[Cost, tuple[str, ...]]:
    """The cost and the features of "exposure.token+skeleton3"."""
    cost, _, features = name.partition(".")
    if cost not in COSTS:
        raise unknown("text prior", name, [f"{known}.token" for known in COSTS])
    return COSTS[cost], tuple(find_feature(feature).name for feature in features.split("+"))


@dataclass(frozen=True)
class SweepCounts:
    """What a sweep's corpora and targets hold of one feature, at the n-grams that some target has.

    sources     float32 (n_folds, C, V)   symbols of each corpus
    targets     float32 (n_folds, T, V)
    per_token   float64 (C,)              symbols per token, since weights are shares of tokens
    dimension   how many n-grams the feature has
    """

    sources: np.ndarray
    source_sizes: np.ndarray
    targets: np.ndarray
    per_token: np.ndarray
    dimension: int


def count_sweep(
    profiles: Mapping[str, Profile], corpora: Sequence[str], targets: Mapping[str, Mixture], features: Sequence[str]
) -> SweepCounts:
    """Counts of some features, side by side, for the corpora and the targets."""
    check_same_tokenizer([profiles[name] for name in corpora])
    parts = [_counts(profiles, corpora, targets, name) for name in features]
    return SweepCounts(
        np.concatenate([part.sources for part in parts], axis=2),
        np.sum([part.source_sizes for part in parts], axis=0),
        np.concatenate([part.targets for part in parts], axis=2),
        np.sum([part.per_token for part in parts], axis=0),
        sum(part.dimension for part in parts),
    )


def _counts(
    profiles: Mapping[str, Profile], corpora: Sequence[str], targets: Mapping[str, Mixture], feature: str
) -> SweepCounts:
    of = lambda name: profiles[name].features[feature]  # noqa: E731
    target_counts = [_target_counts(profiles, mixture, feature) for mixture in targets.values()]
    seen = np.flatnonzero(np.any([counts.any(axis=0) for counts in target_counts], axis=0))
    tokens = np.array([profiles[name].size["tokens"] for name in corpora])
    return SweepCounts(
        np.stack([of(name)[:, seen].astype(np.float32) for name in corpora], axis=1),
        np.stack([of(name).sum(axis=1) for name in corpora], axis=1).astype(np.float64),
        np.stack([counts[:, seen].astype(np.float32) for counts in target_counts], axis=1),
        np.array([of(name).sum() for name in corpora]) / tokens,
        of(corpora[0]).shape[1],
    )


def _target_counts(profiles: Mapping[str, Profile], mixture: Mixture, feature: str) -> np.ndarray:
    """A target's counts per fold; of several corpora, each scaled to its share."""
    parts = [
        profiles[name].features[feature] * (share / profiles[name].size["tokens"])
        for name, share in mixture.weights.items()
    ]
    return np.sum(parts, axis=0)


def predicted_losses(weights: np.ndarray, counts: SweepCounts, cost: Cost, split: np.ndarray) -> np.ndarray:
    """The prior of every run and target from one half-sample: float64 (n, T).

    Parameters
    ----------
    weights : float64 (n, C)
        Shares of tokens.
    split : bool (n_folds,)
        The folds that sources are read from; targets are read from the others.
    """
    symbols = weights * counts.per_token
    symbols /= symbols.sum(axis=1, keepdims=True)
    sources = counts.sources[split].sum(axis=0)
    sources /= counts.source_sizes[split].sum(axis=0)[:, None]
    targets = counts.targets[~split].sum(axis=0)
    targets /= targets.sum(axis=1, keepdims=True)
    losses = np.zeros((len(weights), len(targets)))
    for start in range(0, targets.shape[1], COLUMNS):
        some = slice(start, start + COLUMNS)
        mixed = symbols.astype(np.float32) @ sources[:, some]
        losses += cost(mixed, counts.dimension) @ targets[:, some].T
    return losses


def baselines(sweep: Sweep, texts: SweepTexts) -> dict[str, np.ndarray]:
    """What anybody would guess, (1, n, T) each: the more of the target's own domain, or of the domain that the runs
    have most of, the lower the loss.
    """
    largest = sweep.weights[:, sweep.weights.mean(axis=0).argmax()]
    return {
        "own-domain weight": -sweep.own_weights(texts)[None],
        "largest source": -np.repeat(largest[None, :, None], len(sweep.targets), axis=2),
    }


def prior_losses(
    sweep: Sweep,
    texts: SweepTexts,
    profiles: Mapping[str, Profile],
    name: str = DEFAULT_PRIOR,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """The prior of every run and target on half-samples of the documents: float64 (R, n, T).

    Lower predicts a lower loss. The splits depend on the seed alone, so priors are paired with each other.
    """
    cost, features = parse_prior(name)
    names, weights = sweep.corpus_weights(texts)
    counts = count_sweep(profiles, names, texts.targets, features)
    sizes = np.concatenate([counts.source_sizes, counts.targets.sum(axis=2)], axis=1).T
    splits = half_splits(sizes, resamples, np.random.default_rng(seed), (*names, *sweep.targets))
    return np.stack([predicted_losses(weights, counts, cost, split) for split in splits])


def span_losses(
    sweep: Sweep,
    texts: SweepTexts,
    documents: Mapping[str, Sequence[tuple[int, str]]],
    tokenizer: "Tokenizer",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """Nats per token of every target by a mixture of n-gram models over spans (see `spans`): float64 (R, n, T).

    Parameters
    ----------
    documents
        Fold and text of each document, by corpus. A target is read from its own corpora, folds that no model reads;
        over resamples these are drawn with replacement.
    """
    names, weights = sweep.corpus_weights(texts)
    targets = {t: [item for corpus in texts.targets[t].weights for item in documents[corpus]] for t in sweep.targets}
    table = span_table({name: documents[name] for name in names}, targets, tokenizer)
    nats, folds = table.nats(weights), np.arange(1, N_FOLDS, 2)
    drawn = np.random.default_rng(seed).multinomial(len(folds), np.full(len(folds), 1 / len(folds)), resamples)
    drawn = np.array([row if (table.tokens[:, folds] @ row).all() else np.ones(len(folds)) for row in drawn])
    return np.einsum("rf,ntf->rnt", drawn, nats[:, :, folds]) / (drawn @ table.tokens[:, folds].T)[:, None, :]


# --- How well a prior ranks the runs ---


@dataclass(frozen=True, repr=False)
class RunRanking(Tabular):
    """Rank correlation of predictions with losses, over the runs of a sweep, target by target.

    spearman, low, high   float64 (P, T + 1)   the last column is the mean over targets; 95% intervals over which
                                               documents were read and which runs were drawn
    low_weight, ...       the same over the runs whose own-domain weight is below 0.5%
    n, n_low              int64 (T,)           how many runs those are
    """

    table = "sweep_ranking"
    columns_printed = ("predictor", "target", "n", "spearman", "low", "high")

    predictors: tuple[str, ...]
    targets: tuple[str, ...]
    spearman: np.ndarray
    low: np.ndarray
    high: np.ndarray
    low_weight: np.ndarray
    low_weight_low: np.ndarray
    low_weight_high: np.ndarray
    n: np.ndarray
    n_low: np.ndarray
    resamples: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        read_only(self)

    def to_polars(self) -> "pl.DataFrame":
        """One row per predictor and target, and one for the mean over targets."""
        import polars as pl

        rows, columns = np.divmod(np.arange(self.spearman.size), len(self.targets) + 1)
        of = lambda array: array.ravel()  # noqa: E731
        names = (*self.targets, "mean")
        return pl.DataFrame(
            {
                "predictor": [self.predictors[i] for i in rows],
                "target": [names[j] for j in columns],
                "n": np.append(self.n, self.n.sum())[columns],
                "spearman": of(self.spearman),
                "low": of(self.low),
                "high": of(self.high),
                "n_low_weight": np.append(self.n_low, self.n_low.sum())[columns],
                "spearman_low_weight": of(self.low_weight),
                "low_weight_low": of(self.low_weight_low),
                "low_weight_high": of(self.low_weight_high),
            }
        ).with_columns(pl.selectors.float().fill_nan(None))


def rank_runs(
    sweep: Sweep, own: np.ndarray, predictions: Mapping[str, np.ndarray], seed: int = 0, draws: int = DRAWS
) -> RunRanking:
    """How well each prediction ranks the runs.

    Parameters
    ----------
    own : float64 (n, T)
        Own-domain weights: `Sweep.own_weights`.
    predictions
        (R, n, T) each, lower predicts a lower loss; R = 1 where no document was read.
    """
    low_own = own < LOW_WEIGHT
    everywhere = np.isfinite(sweep.losses)
    parts = [
        [_spearmans(sweep, values, mask, seed, draws) for mask in (everywhere, everywhere & low_own)]
        for values in predictions.values()
    ]
    stacked = [np.stack([part[which][i] for part in parts]) for which in (0, 1) for i in range(3)]
    return RunRanking(
        tuple(predictions),
        sweep.targets,
        *stacked,
        n=everywhere.sum(axis=0),
        n_low=(everywhere & low_own).sum(axis=0),
        resamples=max(len(values) for values in predictions.values()),
    )


def _spearmans(
    sweep: Sweep, values: np.ndarray, mask: np.ndarray, seed: int, draws: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spearman of each target, and their mean last, with the ends of its interval: (T + 1,) each.

    A draw takes one half-sample of the documents, and the runs with replacement.
    """
    rng = np.random.default_rng(seed)
    whole = np.full(len(sweep.targets) + 1, np.nan)
    drawn = np.full((draws, len(sweep.targets) + 1), np.nan)
    half = rng.integers(len(values), size=draws)
    order = rng.random((draws, len(sweep.runs)))  # the same draw of runs for every target
    mean = values.mean(axis=0)
    for t in range(len(sweep.targets)):
        rows = np.flatnonzero(mask[:, t])
        if len(rows) < 3:
            continue
        picked = rows[(order[:, rows] * len(rows)).astype(np.int64)]
        whole[t] = spearman_rows(mean[rows, t][None], sweep.losses[rows, t][None])[0]
        drawn[:, t] = spearman_rows(values[half[:, None], picked, t], sweep.losses[picked, t])
    for table in (whole[None], drawn):
        with np.errstate(invalid="ignore"):
            defined = np.isfinite(table[:, :-1]).any(axis=1)
            table[defined, -1] = np.nanmean(table[defined, :-1], axis=1)
    low, high = np.full((2, len(whole)), np.nan)
    for t in np.flatnonzero(np.isfinite(drawn).any(axis=0)):
        low[t], high[t] = np.nanquantile(drawn[:, t], TAILS)
    return whole, low, high


def spearman_rows(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman of each row of two tables, ties sharing ranks; NaN where nothing varies: (R, n) -> (R,)."""
    from scipy.stats import rankdata

    a, b = (rankdata(table, axis=1) for table in (x, y))
    a, b = (table - table.mean(axis=1, keepdims=True) for table in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
