"""How well predictions agree with results, where mixtures and targets are crossed.

Predictions and results are tables, a row a mixture and a column a target; a cell without a result is NaN. Cells of one
row or column are not independent, so chance is judged by moving whole rows and columns, and leaving out goes by
target and by pair.
"""

# M mixtures, T targets

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from simtool.errors import SimtoolError

FEWEST_FOR_INTERVAL = 4  # cells; of three, a draw holds too few different ones to vary as they should
EXACT_UP_TO = 50_000  # arrangements of rows and columns; above, so many are drawn
BOOTSTRAPS = 2_000


@dataclass(frozen=True)
class Agreement:
    """Agreement of one predictor with one table of results.

    pearson, spearman    over all cells with a result, with 95% intervals (pearson_low, ...) from a bootstrap that draws
                         mixtures and targets; NaN where nothing varies, or there are fewer than four cells
    p                    one-sided: share of the arrangements of rows and columns with a Pearson at least as high
    without_target       {target: Pearson without it}
    without_pair         {(mixture, target): Pearson without it}
    spearman_without_pair
    """

    n: int
    pearson: float
    pearson_low: float
    pearson_high: float
    spearman: float
    spearman_low: float
    spearman_high: float
    p: float
    without_target: dict[int, float]
    without_pair: dict[tuple[int, int], float]
    spearman_without_pair: dict[tuple[int, int], float]


def agreement(predicted: np.ndarray, observed: np.ndarray, seed: int = 0) -> Agreement:
    """Compare predictions with results: float (M, T) each, NaN in `observed` where there is no result.

    Raises SimtoolError when a result has no prediction, or there are fewer than three results.
    """
    there = np.isfinite(observed)
    if not np.isfinite(predicted[there]).all():
        raise SimtoolError(f"{int((~np.isfinite(predicted[there])).sum())} results have no prediction.")
    if there.sum() < 3:
        raise SimtoolError(f"Agreement needs at least 3 results. Got {int(there.sum())}.")
    pearson, spearman = correlations(predicted[there], observed[there])
    drawn = bootstrap(predicted, observed, np.random.default_rng(seed))
    # with few mixtures a draw may hold one cell many times over, and nothing varies: such draws say nothing
    low, high = np.full((2, 2), np.nan)
    if there.sum() >= FEWEST_FOR_INTERVAL and np.isfinite(drawn).any():
        low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    left_out_targets, left_out_pairs = {}, {}
    for t in np.flatnonzero(there.any(axis=0)):
        kept = there.copy()
        kept[:, t] = False
        left_out_targets[int(t)] = correlations(predicted[kept], observed[kept])[0]
    for m, t in np.argwhere(there):
        kept = there.copy()
        kept[m, t] = False
        left_out_pairs[int(m), int(t)] = correlations(predicted[kept], observed[kept])
    return Agreement(
        n=int(there.sum()),
        pearson=pearson,
        pearson_low=float(low[0]),
        pearson_high=float(high[0]),
        spearman=spearman,
        spearman_low=float(low[1]),
        spearman_high=float(high[1]),
        p=permutation_p(predicted, observed, np.random.default_rng(seed)),
        without_target=left_out_targets,
        without_pair={pair: both[0] for pair, both in left_out_pairs.items()},
        spearman_without_pair={pair: both[1] for pair, both in left_out_pairs.items()},
    )


def correlations(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Pearson and Spearman (ties share ranks); NaN where one side does not vary or there are fewer than 3."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan, math.nan
    ranks = stats.rankdata(x), stats.rankdata(y)
    return float(np.corrcoef(x, y)[0, 1]), float(np.corrcoef(*ranks)[0, 1])


def permutation_p(predicted: np.ndarray, observed: np.ndarray, rng: np.random.Generator) -> float:
    """Share of the arrangements of the predictions' rows and columns whose Pearson is at least the one found.

    The arrangement found is one of them, so p is never 0. All are tried when there are few enough, else a sample.
    Exchangeable under the null are the mixtures, and the targets: not the single cells.
    """
    n_mixtures, n_targets = observed.shape
    there = np.isfinite(observed)
    if math.factorial(n_mixtures) * math.factorial(n_targets) <= EXACT_UP_TO:
        rows, columns = _all_orders(n_mixtures, n_targets)
    else:
        drawn = [(rng.permutation(n_mixtures), rng.permutation(n_targets)) for _ in range(9_999)]
        rows, columns = map(np.array, zip((range(n_mixtures), range(n_targets)), *drawn, strict=True))
    arranged = predicted[rows[:, :, None], columns[:, None, :]][:, there]
    arranged = arranged[np.isfinite(arranged).all(axis=1)]  # a cell may have no prediction where it has no result
    y = observed[there] - observed[there].mean()
    x = arranged - arranged.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (x @ y) / np.sqrt((x * x).sum(axis=1) * (y @ y))
    found = r[0]  # the first arrangement is the one found
    return math.nan if math.isnan(found) else float((r >= found - 1e-12).mean())


@functools.cache
def _all_orders(n_rows: int, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Every order of the rows with every order of the columns: (n, n_rows) and (n, n_columns), as it is first."""
    one, other = (np.array(list(itertools.permutations(range(n)))) for n in (n_rows, n_columns))
    return np.repeat(one, len(other), axis=0), np.tile(other, (len(one), 1))


def bootstrap(predicted: np.ndarray, observed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pearson and Spearman on tables of mixtures and targets drawn with replacement: (BOOTSTRAPS, 2).

    Drawing both sides ("pigeonhole bootstrap", Owen 2007, doi:10.1214/07-AOAS122) does not pretend that cells of one
    mixture are independent; its intervals are on the wide side.
    """
    n_mixtures, n_targets = observed.shape
    rows = rng.integers(n_mixtures, size=(BOOTSTRAPS, n_mixtures, 1))
    columns = rng.integers(n_targets, size=(BOOTSTRAPS, 1, n_targets))
    y = observed[rows, columns].reshape(BOOTSTRAPS, -1)
    x = np.where(np.isfinite(y), predicted[rows, columns].reshape(BOOTSTRAPS, -1), np.nan)
    return np.stack([_pearson_of_rows(x, y), _pearson_of_rows(_ranks_of_rows(x), _ranks_of_rows(y))], axis=1)


def _ranks_of_rows(x: np.ndarray) -> np.ndarray:
    """Ranks within each row, ties sharing theirs, NaN for NaN; for the short rows here quicker than SciPy's.

    A rank is 1 + how many are less + half of how many others are equal.
    """
    ranks = np.empty(x.shape)
    for start in range(0, len(x), 100):  # some megabytes at a time
        some = x[start : start + 100]
        less = (some[:, :, None] > some[:, None, :]).sum(axis=2)
        equal = (some[:, :, None] == some[:, None, :]).sum(axis=2)
        ranks[start : start + 100] = less + (equal + 1) / 2
    return np.where(np.isfinite(x), ranks, np.nan)


def _pearson_of_rows(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson of each row, over the cells that are not NaN; NaN where nothing varies or there are fewer than 3."""
    n = np.isfinite(x).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        x, y = (table - np.nansum(table, axis=1, keepdims=True) / n[:, None] for table in (x, y))
        squares = np.nansum(x * x, axis=1), np.nansum(y * y, axis=1)
        r = np.nansum(x * y, axis=1) / np.sqrt(squares[0] * squares[1])
    return np.where((n >= 3) & (np.minimum(*squares) > 1e-24), r, np.nan)


@dataclass(frozen=True)
class CellsAgreement:
    """Rank correlation of the cells of two matrices over the same corpora, and its 95% interval over corpora."""

    n: int
    spearman: float
    low: float
    high: float


def cells_agreement(one: np.ndarray, other: np.ndarray, seed: int = 0) -> CellsAgreement:
    """Spearman of the cells above the diagonal of two symmetric matrices: float64 (n, n) each.

    Cells of one corpus are not independent, so the interval draws corpora with replacement and leaves out the cells
    of a corpus with its own copy ("vertex bootstrap", Snijders and Borgatti 1999, Connections 22).
    """
    n = len(one)
    i, j = np.triu_indices(n, 1)
    drawn = np.random.default_rng(seed).integers(n, size=(BOOTSTRAPS, n))
    a, b = drawn[:, i], drawn[:, j]
    x, y = (np.where(a == b, np.nan, matrix[np.minimum(a, b), np.maximum(a, b)]) for matrix in (one, other))
    low, high = np.nanquantile(_pearson_of_rows(_ranks_of_rows(x), _ranks_of_rows(y)), [0.025, 0.975])
    return CellsAgreement(len(i), correlations(one[i, j], other[i, j])[1], float(low), float(high))


def fit_band(
    predicted: np.ndarray, observed: np.ndarray, grid: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The least-squares line of results on predictions at the points of a grid, with its 95% band: three of (G,).

    Predictions and results as in `agreement`; the band draws mixtures and targets as there. NaN where nothing varies.
    """
    rng = np.random.default_rng(seed)
    n_mixtures, n_targets = observed.shape
    rows = rng.integers(n_mixtures, size=(BOOTSTRAPS, n_mixtures, 1))
    columns = rng.integers(n_targets, size=(BOOTSTRAPS, 1, n_targets))
    tables = (
        np.concatenate([predicted[None], predicted[rows, columns]]),
        np.concatenate([observed[None], observed[rows, columns]]),
    )
    y = tables[1].reshape(BOOTSTRAPS + 1, -1)
    x = np.where(np.isfinite(y), tables[0].reshape(BOOTSTRAPS + 1, -1), np.nan)
    n = np.isfinite(y).sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        x_mean, y_mean = (np.nansum(side, axis=1, keepdims=True) / n for side in (x, y))
        spread = np.nansum((x - x_mean) ** 2, axis=1, keepdims=True)
        slope = np.nansum((x - x_mean) * (y - y_mean), axis=1, keepdims=True) / spread
    lines = np.where(spread > 1e-24, y_mean + slope * (grid - x_mean), np.nan)
    if np.isnan(lines[1:]).all():
        return lines[0], np.full(len(grid), np.nan), np.full(len(grid), np.nan)
    low, high = np.nanquantile(lines[1:], [0.025, 0.975], axis=0)
    return lines[0], low, high


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down correction (1979): p-values that hold for all hypotheses together. NaN stays NaN."""
    p = np.asarray(p, float)
    corrected = np.full(len(p), np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = (len(order) - np.arange(len(order))) * p[order]
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected
