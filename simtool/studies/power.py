"""How often a study of some size shows that its prediction agrees with what training gave, by simulated studies."""

import math

import numpy as np

from simtool.statistics import TAILS, pearson_of_rows

TRUE_R = 0.9  # of the prediction whose agreement a study is to show: as high as published and own studies have it
LOWEST_BOUND, LOWEST_WITHOUT_TARGET = 0.5, 0.8  # what shows it
# of Student's t: few pairs help much, most hardly. Excess kurtosis of 20 published and 20 own cells, predictions and
# outcomes: 5.1 to 9.1; 20 values of this t have up to 7.2 in 95%, of a normal up to 1.1, and studies of normal cells
# came out better than they are (5 x 4: 72%)
FREEDOM = 3
SIMULATED_STUDIES, BOOTSTRAPS = 400, 500  # 10 x 8 cells: 0.8 s; their error is at most 2.5 points


def agreement_power(n_mixtures: int, n_targets: int, seed: int = 0) -> float:
    """Chance that a study of this many cells shows a true Pearson of TRUE_R, by simulated studies.

    Shown is: the lower bound of the 95% interval above LOWEST_BOUND, and Pearson at least LOWEST_WITHOUT_TARGET without
    any one target. Predictions are Student's t, what they miss is normal. NaN with fewer than two mixtures or targets.
    """
    if min(n_mixtures, n_targets) < 2:
        return math.nan
    rng = np.random.default_rng(seed)
    return float(np.mean([_shows_agreement(n_mixtures, n_targets, rng) for _ in range(SIMULATED_STUDIES)]))


def _shows_agreement(n_mixtures: int, n_targets: int, rng: np.random.Generator) -> bool:
    """Whether one simulated study does."""
    shape = n_mixtures, n_targets
    predicted = rng.standard_t(FREEDOM, size=shape) / math.sqrt(FREEDOM / (FREEDOM - 2))  # variance 1
    observed = TRUE_R * predicted + math.sqrt(1 - TRUE_R**2) * rng.normal(size=shape)
    rest = [np.delete(np.arange(n_targets), t) for t in range(n_targets)]
    without_target = [pearson_of_rows(*(x[:, some].reshape(1, -1) for x in (predicted, observed))) for some in rest]
    if not np.min(without_target) >= LOWEST_WITHOUT_TARGET:  # nor where it is NaN
        return False
    rows = rng.integers(n_mixtures, size=(BOOTSTRAPS, n_mixtures, 1))
    columns = rng.integers(n_targets, size=(BOOTSTRAPS, 1, n_targets))
    drawn = [x[rows, columns].reshape(BOOTSTRAPS, -1) for x in (predicted, observed)]
    return bool(np.nanquantile(pearson_of_rows(*drawn), TAILS[0]) > LOWEST_BOUND)
