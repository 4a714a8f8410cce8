"""Every statistic that more than one room needs: intervals, halves, rounding, agreement of predictions with outcomes.

Agreement is of tables that cross mixtures with targets, a row per mixture and a column per target; a cell without a
result is NaN. Cells of one row or column are not independent, so chance is judged by moving whole rows and columns,
and leaving out goes by target and by pair.

SciPy is imported where it is called: a run on a training machine needs the halves and the rounding, and no SciPy.
"""

# M mixtures, T targets, S seeds, D documents, R resamples, F folds

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simtool.errors import SimtoolError

CONFIDENCE = 0.95
TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
FEWEST_CELLS = 3  # with a result, for a correlation
FEWEST_FOR_INTERVAL = 4  # cells; of three, a draw holds too few different ones to vary as they should
UNDEFINED_AT_MOST = 0.1  # of a bootstrap's draws may have no correlation; of 3 x 2 cells 6% hold one cell only
EXACT_UP_TO = 50_000  # arrangements of rows and columns; above, some are drawn
SAMPLED_ARRANGEMENTS = 9_999
BOOTSTRAPS = 2_000
POWER = 0.8  # of the smallest effect that is called detectable


# --- Student's t ---


def t_quantile(freedom: float, probability: float = TAILS[1]) -> float:
    """Quantile of Student's t; by default the reach of a 95% interval in standard errors."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def t_over_z(n: int) -> float:
    """How much wider than a normal interval one is whose spread was estimated from n values."""
    from scipy.special import ndtri

    return t_quantile(n - 1) / float(ndtri(TAILS[1]))


# --- Rounding ---


def largest_remainder(shares: Sequence[float] | np.ndarray, total: int) -> np.ndarray:
    """Whole numbers that sum to `total`, each its share rounded up or down (Hamilton's method).

    Parameters
    ----------
    shares
        What each would have if fractions were possible; they sum to `total`.

    Returns
    -------
    int64, one for each share.
    """
    exact = np.asarray(shares, np.float64)
    # a share such as 0.29 times 100 lies a hair under 29, and must not lose that unit
    whole = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(whole - exact, kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return whole


# --- Half-samples and jackknife ---


def random_halves(n_folds: int, n_splits: int, rng: np.random.Generator) -> np.ndarray:
    """Random halves of the folds: bool (n_splits, n_folds), half of each row true."""
    return np.argsort(rng.random((n_splits, n_folds)), axis=1) < n_folds // 2


def half_sample_interval(
    samples: np.ndarray, n_folds: int, center: np.ndarray | float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95% interval of the whole from values on half-samples.

    The spread of half-samples about the whole estimates the sampling error of the whole (half-sampling: McCarthy 1969,
    "Pseudo-replication: half samples", Review of the ISI 37); with few folds it is widened by Student's t.

    Parameters
    ----------
    samples
        float64 (R, ...), a value for each half-sample.
    n_folds
        How many folds the halves were drawn from.
    center
        The value that the interval lies about; None: the mean of the samples.
    """
    middle, wider = samples.mean(axis=0), t_over_z(n_folds)
    center = middle if center is None else center
    low, high = np.quantile(samples, TAILS, axis=0)
    return center - (middle - low) * wider, center + (high - middle) * wider


def explained_by_folds(samples: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """Values on half-samples without what averages out over them: their least-squares fit on which folds a half has.

    Half-samples differ by which documents there are, the sampling error, and by how these are combined and thinned,
    of which the mean over many is nearly free: with rare symbols that is 80% of the variance, and an interval over
    half-samples as they are 2.5 times too wide. Sampling error is a sum over folds to first order, so the fit has its
    spread (Hajek projection; as the infinitesimal jackknife of averages over subsamples, Wager, Hastie and Efron 2014,
    JMLR 15). Of fewer half-samples than folds nothing is left out.

    Parameters
    ----------
    samples
        float64 (R, ...).
    halves
        bool (R, n_folds), half of each row true.
    """
    values = samples.reshape(len(samples), -1)
    center = values.mean(axis=0)
    folds = halves - halves.mean(axis=0)
    basis, size, _ = np.linalg.svd(folds, full_matrices=False)
    basis = basis[:, size > 1e-9 * max(size[0], 1)]
    return (center + basis @ (basis.T @ (values - center))).reshape(samples.shape)


def jackknife_variance(left_out: np.ndarray) -> np.ndarray:
    """Variance of an estimate from its values with each of n units left out: (n, ...) -> (...)."""
    n = len(left_out)
    return (n - 1) / n * np.square(left_out - left_out.mean(axis=0)).sum(axis=0)


def jackknife_interval(whole: np.ndarray | float, *left_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95% interval about an estimate, by the delete-one jackknife with Student's t.

    Variances of several independent samples are added (Efron 1982, The Jackknife, the Bootstrap and Other Resampling
    Plans, chapter 3).

    Parameters
    ----------
    whole
        The estimate on all units: (...).
    *left_out
        For each sample, the estimates with each of its n units left out: (n, ...).
    """
    reach = t_quantile(len(left_out[0]) - 1) * np.sqrt(sum(jackknife_variance(values) for values in left_out))
    return whole - reach, whole + reach


def sized_jackknife_interval(
    whole: np.ndarray, left_out: np.ndarray, sizes: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95% intervals about estimates that depend on the sample's size, where that size is fixed.

    Leaving out a large unit changes the estimate by the smaller sample that is left. But the sizes sum to what was
    fixed before, so this is no error of the estimate: what a line in the units' sizes explains of the left-out values
    is taken from their spread. Without, a noise ceiling's variance came out 2 to 10 times too large (coverage.csv).

    Parameters
    ----------
    whole
        The estimates on all units: (...).
    left_out
        float64 (n, ...), the estimates with each unit left out.
    sizes
        The size of each unit in each of the samples that the estimates are of: float64 (n, ...) each.
    """
    n = len(left_out)
    rest, n_lines = left_out - left_out.mean(axis=0), np.zeros(np.shape(whole), int)
    for line, is_line in _orthonormal(sizes):
        rest = rest - line * (line * rest).sum(axis=0)
        n_lines += is_line
    freedom = n - 1 - n_lines
    variance = (n - 1) / n * np.square(rest).sum(axis=0) * (n - 1) / freedom
    quantiles = np.array([t_quantile(n - 1 - k) for k in range(len(sizes) + 1)])
    reach = quantiles[n_lines] * np.sqrt(variance)
    return whole - reach, whole + reach


def _orthonormal(sizes: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Lines of mean 0 and length 1 that span the sizes, (n, ...) each, and where they are one: elsewhere sizes are
    equal, or those of an earlier sample, and the line is 0."""
    lines: list[tuple[np.ndarray, np.ndarray]] = []
    for of_sample in sizes:
        line = of_sample - of_sample.mean(axis=0)
        varied = np.sqrt(np.square(line).sum(axis=0))
        for earlier, _ in lines:
            line = line - earlier * (earlier * line).sum(axis=0)
        length = np.sqrt(np.square(line).sum(axis=0))
        is_line = length > 1e-9 * np.maximum(varied, 1e-300)
        lines.append((np.where(is_line, line / np.where(is_line, length, 1), 0), is_line))
    return lines


def pseudo_values(whole: float, left_out: np.ndarray) -> np.ndarray:
    """Jackknife pseudo-values (n,): how much an estimate depends on each unit; their mean is the corrected estimate."""
    n = len(left_out)
    return n * whole - (n - 1) * left_out


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and documents with its 95% interval, a two-sided p of its being 0, and what both rest on."""

    value: float
    low: float
    high: float
    p: float
    error: float  # its standard error
    freedom: float  # degrees of freedom of Student's t


def crossed(by_seed: np.ndarray, by_document: np.ndarray) -> Estimate:
    """The mean of a measure whose variation over seeds and over documents are two samples.

    Variances of both means are added (the seeds' already holds the seed-by-document part once, so this is rather too
    wide than too narrow), and Student's t has Satterthwaite's degrees of freedom. NaN intervals with one seed: how
    seeds vary is then not known.

    Parameters
    ----------
    by_seed
        float64 (S,), the measure under each seed, all documents.
    by_document
        float64 (D,), jackknife pseudo-values: the measure's dependence on each document, all seeds.
    """
    from scipy.special import stdtr

    value, n_seeds, n_documents = float(by_seed.mean()), len(by_seed), len(by_document)
    if n_seeds < 2 or n_documents < 2:
        return Estimate(value, *[math.nan] * 5)
    of_seeds, of_documents = by_seed.var(ddof=1) / n_seeds, by_document.var(ddof=1) / n_documents
    variance = of_seeds + of_documents
    if variance == 0:
        return Estimate(value, value, value, math.nan, 0.0, math.nan)
    freedom = variance**2 / (of_seeds**2 / (n_seeds - 1) + of_documents**2 / (n_documents - 1))
    error = math.sqrt(variance)
    reach = t_quantile(freedom) * error
    p = float(2 * stdtr(freedom, -abs(value) / error))
    return Estimate(value, value - reach, value + reach, p, error, freedom)


def minimum_detectable(error: float, freedom: float, n_tests: int = 1) -> float:
    """The true effect that a two-sided test finds with 80% power at Holm's first and strictest step of `n_tests`.

    Student's t of a true effect is noncentral, and its centre that has this power is solved for: the sum of
    two quantiles of the central t is 9% less with 4 degrees of freedom and 20 tests. NaN where the error is not known.

    Parameters
    ----------
    error, freedom
        Standard error of the effect and its degrees of freedom, as in `Estimate`.
    """
    from scipy.special import nctdtrinc

    if not math.isfinite(freedom):
        return math.nan
    critical = t_quantile(freedom, 1 - (1 - CONFIDENCE) / (2 * n_tests))
    return float(error * nctdtrinc(freedom, 1 - POWER, critical))


# --- Agreement of predictions with outcomes ---


@dataclass(frozen=True)
class Agreement:
    """Agreement of one predictor with one table of results.

    pearson, spearman    over all cells with a result, with 95% intervals (pearson_low, ...) from a bootstrap that draws
                         mixtures and targets; NaN where nothing varies, there are fewer than four cells, or too many
                         draws are undefined
    undefined            share of the draws in which nothing varies
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
    undefined: float
    p: float
    without_target: dict[int, float]
    without_pair: dict[tuple[int, int], float]
    spearman_without_pair: dict[tuple[int, int], float]


def agreement(predicted: np.ndarray, observed: np.ndarray, seed: int = 0) -> Agreement:
    """Compare predictions with results: float (M, T) each, NaN in `observed` where there is no result.

    Raises
    ------
    SimtoolError
        When a result has no prediction, or there are fewer than three results.
    """
    measured = np.isfinite(observed)
    if not np.isfinite(predicted[measured]).all():
        raise SimtoolError(f"{int((~np.isfinite(predicted[measured])).sum())} results have no prediction.")
    if measured.sum() < FEWEST_CELLS:
        raise SimtoolError(f"Agreement needs at least {FEWEST_CELLS} results. Got {int(measured.sum())}.")
    pearson, spearman = correlations(predicted[measured], observed[measured])
    drawn = bootstrap(predicted, observed, np.random.default_rng(seed))
    low, high = interval_of_draws(drawn) if measured.sum() >= FEWEST_FOR_INTERVAL else np.full((2, 2), np.nan)
    without_target, without_pair = {}, {}
    for t in np.flatnonzero(measured.any(axis=0)):
        rest = measured.copy()
        rest[:, t] = False
        without_target[int(t)] = correlations(predicted[rest], observed[rest])[0]
    for m, t in np.argwhere(measured):
        rest = measured.copy()
        rest[m, t] = False
        without_pair[int(m), int(t)] = correlations(predicted[rest], observed[rest])
    return Agreement(
        n=int(measured.sum()),
        pearson=pearson,
        pearson_low=float(low[0]),
        pearson_high=float(high[0]),
        spearman=spearman,
        spearman_low=float(low[1]),
        spearman_high=float(high[1]),
        undefined=float(np.isnan(drawn[:, 0]).mean()),
        p=permutation_p(predicted, observed, np.random.default_rng(seed)),
        without_target=without_target,
        without_pair={pair: both[0] for pair, both in without_pair.items()},
        spearman_without_pair={pair: both[1] for pair, both in without_pair.items()},
    )


def interval_of_draws(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95% intervals of what was drawn, (R, ...) -> (...) each.

    A draw may hold one cell many times over, and have no correlation. Where more than UNDEFINED_AT_MOST of the draws
    are so (26% for a baseline that is 1 in two cells of 20), the others are a selection, and there is no interval: NaN.
    """
    too_few = np.isnan(drawn).mean(axis=0) > UNDEFINED_AT_MOST
    low, high = np.where(too_few, np.nan, np.nanquantile(np.where(too_few, 0.0, drawn), TAILS, axis=0))
    return low, high


def correlations(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Pearson and Spearman (ties share ranks); NaN where one side does not vary or there are fewer than 3."""
    if len(x) < FEWEST_CELLS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan, math.nan
    return float(np.corrcoef(x, y)[0, 1]), spearman(x, y)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation, ties sharing their mean rank; NaN where one side does not vary."""
    from scipy.stats import rankdata  # 0.3 s that most commands need not spend

    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def permutation_p(
    predicted: np.ndarray, observed: np.ndarray, rng: np.random.Generator, fixed: np.ndarray | None = None
) -> float:
    """Share of the arrangements of the predictions' rows and columns whose Pearson is at least that of the table.

    The table itself is one of the arrangements, so p is never 0. All are tried when there are few enough, else a
    sample. Exchangeable under the null are the mixtures, and the targets: not the single cells.

    Parameters
    ----------
    fixed
        (M, T): only arrangements that leave this table as it is.
    """
    measured = np.isfinite(observed)
    rows, columns = arrangements(np.zeros(observed.shape) if fixed is None else fixed, rng)
    arranged = predicted[rows[:, :, None], columns[:, None, :]][:, measured]
    arranged = arranged[np.isfinite(arranged).all(axis=1)]  # a cell may have no prediction where it has no result
    y = observed[measured] - observed[measured].mean()
    x = arranged - arranged.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (x @ y) / np.sqrt((x * x).sum(axis=1) * (y @ y))
    unmoved = r[0]  # the first arrangement is the table as it is
    return math.nan if math.isnan(unmoved) else float((r >= unmoved - 1e-12).mean())


def arrangements(fixed: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Orders of rows (R, M) and columns (R, T) that leave a table as it is, the unmoved one first.

    All of them where they can be tried; else a sample of those that move equal rows, and equal columns, only.
    """
    n_rows, n_columns = fixed.shape
    if math.factorial(n_rows) * math.factorial(n_columns) <= EXACT_UP_TO:
        rows, columns = _all_orders(n_rows, n_columns)
        same = (fixed[rows[:, :, None], columns[:, None, :]] == fixed).all(axis=(1, 2))
        return rows[same], columns[same]
    groups = [np.unique(side, axis=0, return_inverse=True)[1].ravel() for side in (fixed, fixed.T)]
    drawn = [[_within_groups(of, rng) for _ in range(SAMPLED_ARRANGEMENTS)] for of in groups]
    rows, columns = (np.array([np.arange(len(orders[0])), *orders]) for orders in drawn)
    return rows, columns


def _within_groups(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order that moves each only to places of its own group."""
    order = np.empty(len(groups), np.int64)
    order[np.argsort(groups, kind="stable")] = np.lexsort((rng.random(len(groups)), groups))
    return order


@functools.cache
def _all_orders(n_rows: int, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Every order of the rows with every order of the columns: (n, n_rows) and (n, n_columns), as it is first."""
    rows, columns = (np.array(list(itertools.permutations(range(n)))) for n in (n_rows, n_columns))
    return np.repeat(rows, len(columns), axis=0), np.tile(columns, (len(rows), 1))


def bootstrap(predicted: np.ndarray, observed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pearson and Spearman on tables of mixtures and targets drawn with replacement: (BOOTSTRAPS, 2).

    Drawing both sides ("pigeonhole bootstrap", Owen 2007, doi:10.1214/07-AOAS122) does not pretend that cells of one
    mixture are independent; its intervals are on the wide side.
    """
    rows, columns = drawn_cells(observed.shape, rng)
    y = observed[rows, columns].reshape(BOOTSTRAPS, -1)
    x = np.where(np.isfinite(y), predicted[rows, columns].reshape(BOOTSTRAPS, -1), np.nan)
    return np.stack([pearson_of_rows(x, y), pearson_of_rows(ranks_of_rows(x), ranks_of_rows(y))], axis=1)


def drawn_cells(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows (BOOTSTRAPS, M, 1) and columns (BOOTSTRAPS, 1, T) of a table, drawn with replacement."""
    n_rows, n_columns = shape
    rows = rng.integers(n_rows, size=(BOOTSTRAPS, n_rows, 1))
    return rows, rng.integers(n_columns, size=(BOOTSTRAPS, 1, n_columns))


def ranks_of_rows(x: np.ndarray) -> np.ndarray:
    """Ranks within each row, ties sharing theirs, NaN for NaN; for the short rows here quicker than SciPy's.

    A rank is 1 + how many are less + half of how many others are equal.
    """
    ranks = np.empty(x.shape)
    for start in range(0, len(x), 100):  # some megabytes at a time
        rows = x[start : start + 100]
        less = (rows[:, :, None] > rows[:, None, :]).sum(axis=2)
        equal = (rows[:, :, None] == rows[:, None, :]).sum(axis=2)
        ranks[start : start + 100] = less + (equal + 1) / 2
    return np.where(np.isfinite(x), ranks, np.nan)


def pearson_of_rows(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson of each row, over the cells that are not NaN; NaN where nothing varies or there are fewer than
    FEWEST_CELLS."""
    n = np.isfinite(x).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        x, y = (table - np.nansum(table, axis=1, keepdims=True) / n[:, None] for table in (x, y))
        squares = np.nansum(x * x, axis=1), np.nansum(y * y, axis=1)
        r = np.nansum(x * y, axis=1) / np.sqrt(squares[0] * squares[1])
    return np.where((n >= FEWEST_CELLS) & (np.minimum(*squares) > 1e-24), r, np.nan)


@dataclass(frozen=True)
class CellsAgreement:
    """Rank correlation of the cells of two matrices over the same corpora, and its 95% interval over corpora."""

    n: int
    spearman: float
    low: float
    high: float


def cells_agreement(first: np.ndarray, second: np.ndarray, seed: int = 0) -> CellsAgreement:
    """Spearman of the cells above the diagonal of two symmetric matrices: float64 (n, n) each.

    Cells of one corpus are not independent, so the interval draws corpora with replacement and leaves out the cells
    of a corpus with its own copy ("vertex bootstrap", Snijders and Borgatti 1999, Connections 22).
    """
    n = len(first)
    i, j = np.triu_indices(n, 1)
    drawn = np.random.default_rng(seed).integers(n, size=(BOOTSTRAPS, n))
    a, b = drawn[:, i], drawn[:, j]
    x, y = (np.where(a == b, np.nan, matrix[np.minimum(a, b), np.maximum(a, b)]) for matrix in (first, second))
    low, high = np.nanquantile(pearson_of_rows(ranks_of_rows(x), ranks_of_rows(y)), TAILS)
    return CellsAgreement(len(i), correlations(first[i, j], second[i, j])[1], float(low), float(high))


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down correction (1979): p-values that hold for all hypotheses together. NaN stays NaN."""
    p = np.asarray(p, float)
    corrected = np.full(len(p), np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = (len(order) - np.arange(len(order))) * p[order]
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected
