"""What stands beside the agreement of a prediction with outcomes: what their noise leaves attainable, and what the
prediction adds to the same-domain baseline.

Tables cross mixtures with targets, as in `simtool.statistics`; a cell without a result is NaN.
"""

# M mixtures, T targets, R draws

import math
from dataclasses import dataclass, fields

import numpy as np

from simtool.statistics import (
    BOOTSTRAPS,
    FEWEST_CELLS,
    TAILS,
    agreement,
    arrangements,
    drawn_cells,
    interval_of_draws,
    pearson_of_rows,
    permutation_p,
    ranks_of_rows,
)


@dataclass(frozen=True)
class Attainable:
    """The correlations that a perfect predictor would have: their means, and where 95% of them lie."""

    pearson: float
    pearson_low: float
    pearson_high: float
    spearman: float
    spearman_low: float
    spearman_high: float


def attainable(observed: np.ndarray, error: np.ndarray, seed: int = 0) -> Attainable | None:
    """What the noise of the outcomes would leave of the correlations of a perfect predictor.

    The true values are the outcomes drawn together until their variance is what it is less the mean of the squared
    errors (Spearman's reliability); the outcomes are measured again and again, with errors taken as independent and
    normal. None where errors are not known, or there are too few cells; 0 where the outcomes vary no more than their
    errors.

    Parameters
    ----------
    observed, error
        float64 (M, T), each outcome and its standard error; cells without an outcome are left out.
    """
    measured = np.isfinite(observed)
    y, e = observed[measured], error[measured]
    if len(y) < FEWEST_CELLS or not np.isfinite(e).all():
        return None
    reliability = 1 - np.square(e).mean() / y.var(ddof=1) if np.ptp(y) else 0.0
    if reliability <= 0:
        return Attainable(0.0, math.nan, math.nan, 0.0, math.nan, math.nan)
    true = y.mean() + math.sqrt(reliability) * (y - y.mean())
    again = true + e * np.random.default_rng(seed).normal(size=(BOOTSTRAPS, len(y)))
    true = np.broadcast_to(true, again.shape)
    pearson, spearman = pearson_of_rows(true, again), pearson_of_rows(ranks_of_rows(true), ranks_of_rows(again))
    ends = [(float(r.mean()), *map(float, np.quantile(r, TAILS))) for r in (pearson, spearman)]
    return Attainable(*ends[0], *ends[1])


@dataclass(frozen=True)
class BeyondBaseline:
    """What a prediction says that the same-domain baseline does not.

    partial      Pearson of prediction and outcome given the baseline, with a 95% interval that draws mixtures and
                 targets, and a one-sided p over the arrangements of both that leave the baseline as it is
    unmatched    Spearman within the n_unmatched cells whose mixture holds nothing of the target's domain, likewise
    smallest_p   that the arrangements allow: with few mixtures and targets hardly below 0.05
    """

    partial: float
    partial_low: float
    partial_high: float
    partial_p: float
    n_unmatched: int
    unmatched: float
    unmatched_low: float
    unmatched_high: float
    unmatched_p: float
    smallest_p: float


def beyond_baseline(
    predicted: np.ndarray, observed: np.ndarray, same_domain: np.ndarray, seed: int = 0
) -> BeyondBaseline | None:
    """Compare a prediction with outcomes, the baseline held as it is: float64 (M, T) each.

    None where the baseline says nothing (no pair of one domain, or only such), or there are too few other cells.

    Parameters
    ----------
    same_domain
        1 where a mixture holds text of the target's domain, else 0.
    """
    measured = np.isfinite(observed)
    matched = same_domain > 0
    others = np.where(matched, np.nan, observed)
    if not (matched & measured).any() or np.isfinite(others).sum() < FEWEST_CELLS:
        return None
    low, high = interval_of_draws(_drawn_partial(predicted, observed, same_domain, np.random.default_rng(seed)))
    rest = [_without(table, same_domain, measured) for table in (predicted, observed)]
    ranks = [_ranks(table, np.isfinite(others)) for table in (predicted, others)]
    fixed = np.where(measured, same_domain, -1.0)  # what is missing stays where it is, too
    unmatched = agreement(predicted, others, seed)
    return BeyondBaseline(
        partial=float(pearson_of_rows(*(table[measured][None] for table in rest))[0]),
        partial_low=float(low),
        partial_high=float(high),
        partial_p=permutation_p(*rest, np.random.default_rng(seed), fixed),
        n_unmatched=unmatched.n,
        unmatched=unmatched.spearman,
        unmatched_low=unmatched.spearman_low,
        unmatched_high=unmatched.spearman_high,
        unmatched_p=permutation_p(*ranks, np.random.default_rng(seed), fixed),
        smallest_p=1 / len(arrangements(fixed, np.random.default_rng(seed))[0]),
    )


def beside(noise: Attainable | None, beyond: BeyondBaseline | None) -> dict[str, float | int | None]:
    """Both as columns of a table of agreements; null where they are not known."""
    rows = [(Attainable, noise, "attainable_"), (BeyondBaseline, beyond, "")]
    return {
        prefix + field.name: None if row is None else getattr(row, field.name)
        for of, row, prefix in rows
        for field in fields(of)
    }


def _without(table: np.ndarray, baseline: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """What the least-squares line of the measured cells on the baseline leaves of a table."""
    slope, level = np.polyfit(baseline[measured], table[measured], 1)
    return table - level - slope * baseline


def _ranks(table: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Ranks among some cells, the others NaN."""
    return ranks_of_rows(np.where(of, table, np.nan).reshape(1, -1)).reshape(table.shape)


def _drawn_partial(
    predicted: np.ndarray, observed: np.ndarray, baseline: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(BOOTSTRAPS,): the partial correlation on tables of mixtures and targets drawn with replacement.

    In a draw where the baseline does not vary it explains nothing, and the correlation is the partial one.
    """
    rows, columns = drawn_cells(observed.shape, rng)
    y = observed[rows, columns].reshape(BOOTSTRAPS, -1)
    x, z = (
        np.where(np.isfinite(y), table[rows, columns].reshape(BOOTSTRAPS, -1), np.nan)
        for table in (predicted, baseline)
    )
    xy = pearson_of_rows(x, y)
    xz, yz = (np.where(np.isnan(r), 0.0, r) for r in (pearson_of_rows(x, z), pearson_of_rows(y, z)))
    left = (1 - xz**2) * (1 - yz**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(left > 1e-12, (xy - xz * yz) / np.sqrt(left), np.nan)
