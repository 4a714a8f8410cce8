"""How much is gained by training proxy runs: models of the loss fitted on k runs, with and without what text says.

A model is fitted per target on k runs that are drawn from the training folds, and ranks the runs of the fold held out.
Its quality is the rank correlation there, and the *selection regret*: how much higher the loss of the run that it would
choose is than that of the best. To add a model, write its function and its entry in MODELS.

Weights near 0 matter most: the first percent of a domain does more than the next ten, and published weights are
rounded. So models that are not trees see the weights and their logarithms, log(w + rounding / 2): half of the rounding
step is as much as a weight of 0 may have been.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from simtool.errors import SimtoolError, unknown
from simtool.prediction.sweeps import Sweep
from simtool.results import Tabular
from simtool.statistics import spearman

if TYPE_CHECKING:
    import polars as pl

# n runs, K domains, k runs that are trained on

SIZES = (8, 16, 32, 64, 128, 256, 512)
FOLDS = 5
AVERAGE = "average"  # the mean loss over targets, one target more
SMALLEST_WEIGHT = 5e-4  # beside the logarithm where weights are not rounded
PULL = 1e-2  # of the law's exponents towards 0: it decides what too few runs leave open
RIDGE_PENALTIES = np.logspace(-4, 3, 15)  # chosen by leave-one-out within the k runs
TREES = {"n_estimators": 100, "learning_rate": 0.1, "num_leaves": 8, "min_child_samples": 3, "verbose": -1, "n_jobs": 1}


@dataclass(frozen=True)
class Inputs:
    """What a model may read of each run.

    weights   float64 (n, K)
    floor     added to a weight before its logarithm is taken
    prior     float64 (n,)   what text predicts, lower for a lower loss; None: it is not used
    """

    weights: np.ndarray
    floor: float
    prior: np.ndarray | None = None

    def rows(self, picked: np.ndarray) -> "Inputs":
        return Inputs(self.weights[picked], self.floor, None if self.prior is None else self.prior[picked])

    def columns(self, logarithms: bool) -> np.ndarray:
        """Weights (and logarithms) and the prior, side by side."""
        parts = [self.weights, *([np.log(self.weights + self.floor)] if logarithms else [])]
        return np.column_stack(parts if self.prior is None else [*parts, self.prior])


Fitted = Callable[[Inputs], np.ndarray]
Model = Callable[[Inputs, np.ndarray], Fitted]


def fit_ridge(inputs: Inputs, losses: np.ndarray) -> Fitted:
    """Ridge regression on weights and their logarithms, its penalty by leave-one-out."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RidgeCV(RIDGE_PENALTIES)).fit(inputs.columns(True), losses)
    return lambda other: model.predict(other.columns(True))


def fit_ridge_on_residuals(inputs: Inputs, losses: np.ndarray) -> Fitted:
    """The prior as a straight line, and ridge on what it leaves; without a prior, plain ridge."""
    if inputs.prior is None:
        return fit_ridge(inputs, losses)
    line = np.polynomial.Polynomial.fit(inputs.prior, losses, 1)
    without = Inputs(inputs.weights, inputs.floor)
    rest = fit_ridge(without, losses - line(inputs.prior))
    return lambda other: line(other.prior) + rest(Inputs(other.weights, other.floor))


def fit_lightgbm(inputs: Inputs, losses: np.ndarray) -> Fitted:
    """Gradient-boosted trees, as RegMix fits them, on the weights (and the prior)."""
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(**TREES, random_state=0).fit(inputs.columns(False), losses)
    return lambda other: model.predict(other.columns(False))


def fit_mixing_law(inputs: Inputs, losses: np.ndarray) -> Fitted:
    """Loss = c + exp(t . w), the law of Ye et al. 2024 (arXiv:2403.16952), by least squares; it reads no prior."""
    from scipy.optimize import least_squares

    floor = losses.min() - 0.5 * np.ptp(losses) - 1e-3
    start = np.append(np.zeros(inputs.weights.shape[1]), [np.log(losses.mean() - floor), floor])

    def law(parameters: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return parameters[-1] + np.exp(np.clip(weights @ parameters[:-2] + parameters[-2], -30, 30))

    def slope(parameters: np.ndarray) -> np.ndarray:
        rise = law(parameters, inputs.weights) - parameters[-1]
        rows = np.column_stack([rise[:, None] * inputs.weights, rise, np.ones(len(rise))])
        return np.vstack([rows, PULL * np.eye(len(parameters) - 2, len(parameters))])

    error = lambda p: np.append(law(p, inputs.weights) - losses, PULL * p[:-2])  # noqa: E731
    fitted = least_squares(error, start, slope, max_nfev=100).x
    return lambda other: law(fitted, other.weights)


@dataclass(frozen=True)
class ModelEntry:
    """A model of the loss, what it needs, and whether it can use a prior."""

    fit: Model
    about: str
    needs: str | None = None
    takes_prior: bool = True


MODELS = {
    "ridge": ModelEntry(fit_ridge_on_residuals, "Ridge on weights and log weights.", "sklearn"),
    "lightgbm": ModelEntry(fit_lightgbm, "Boosted trees on weights (RegMix).", "lightgbm"),
    "mixing law": ModelEntry(fit_mixing_law, "c + exp(t . w) (Data Mixing Laws).", takes_prior=False),
}


def find_model(name: str) -> ModelEntry:
    """The model of that name.

    Raises
    ------
    SimtoolError
        When there is none, or its package is not installed.
    """
    import importlib.util

    if name not in MODELS:
        raise unknown("model", name, MODELS)
    entry = MODELS[name]
    if entry.needs and importlib.util.find_spec(entry.needs) is None:
        raise SimtoolError(f"{name} needs {entry.needs}. Install it: pip install '.[sweep]' in a clone of simtool.")
    return entry


# --- Quality against runs spent ---


@dataclass(frozen=True, repr=False)
class ProxyCurve(Tabular):
    """Quality of each predictor by the number of proxy runs that it was fitted on; 0: it needs none.

    rows   one per predictor, number of runs and target: spearman, regret (nats) and regret_share (of what a run picked
           at random would lose against the best), each the mean over draws with its least and largest; target "mean" is
           the mean over targets, and "average" a target more, the mean loss, by which a mixture for all is chosen
    """

    table = "proxy_runs"

    rows: "pl.DataFrame"
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_polars(self) -> "pl.DataFrame":
        return self.rows


@dataclass(frozen=True)
class Split:
    """Runs to fit on, in the order in which they are spent; and runs to be ranked. int64, rows of the sweep."""

    train: np.ndarray
    test: np.ndarray


def cross_validation(n: int, folds: int = FOLDS, seed: int = 0) -> list[Split]:
    """Every run is held out once; those left are spent in a random order."""
    rng = np.random.default_rng(seed)
    parts = np.array_split(rng.permutation(n), folds)
    rest = [np.concatenate([part for j, part in enumerate(parts) if j != i]) for i in range(folds)]
    return [Split(rng.permutation(train), np.sort(test)) for train, test in zip(rest, parts, strict=True)]


def transfers(n_train: int, n_test: int, draws: int = FOLDS, seed: int = 0) -> list[Split]:
    """Runs of one sweep are ranked by models fitted on another; the rows of both are counted one after the other."""
    rng = np.random.default_rng(seed)
    test = np.arange(n_train, n_train + n_test)
    return [Split(rng.permutation(n_train), test) for _ in range(draws)]


def proxy_curve(
    sweep: Sweep,
    draws: Sequence[Split],
    fixed: Mapping[str, np.ndarray],
    prior: np.ndarray,
    models: Sequence[str] = tuple(MODELS),
    sizes: Sequence[int] = SIZES,
) -> ProxyCurve:
    """Quality against proxy runs spent. Targets that some run lacks are left out.

    Parameters
    ----------
    fixed
        Predictions that need no run, by name: (n, T), lower predicts a lower loss.
    prior
        What text predicts: (n, T). Every model that can is fitted without it and with it.
    """
    complete = np.flatnonzero(np.isfinite(sweep.losses).all(axis=0))
    if not len(complete):
        raise SimtoolError("No target has a loss for every run. Leave the runs without one out.")
    names = [*(sweep.targets[t] for t in complete), AVERAGE]
    losses, prior = with_average(sweep.losses[:, complete]), prior[:, complete]
    inputs = Inputs(sweep.weights, sweep.rounding / 2 or SMALLEST_WEIGHT)
    records = []
    for name, table in fixed.items():
        records += _records(
            name, 0, names, losses, draws, [with_average(table[draw.test][:, complete]) for draw in draws]
        )
    for name, with_prior in [(name, flag) for name in models for flag in (False, True)]:
        entry = find_model(name)
        if with_prior and not entry.takes_prior:
            continue
        for size in sizes:
            if size <= min(len(draw.train) for draw in draws):
                predicted = [_fitted(entry.fit, inputs, prior if with_prior else None, losses, d, size) for d in draws]
                records += _records(f"{name} + text" if with_prior else name, size, names, losses, draws, predicted)
    return ProxyCurve(_summary(records))


def with_average(table: np.ndarray) -> np.ndarray:
    """A column more: the mean of the others. So a model predicts the mean loss by what it predicts for each target."""
    return np.column_stack([table, table.mean(axis=1)])


def _fitted(
    fit: Model, inputs: Inputs, prior: np.ndarray | None, losses: np.ndarray, draw: Split, size: int
) -> np.ndarray:
    """What models of every target, fitted on the first runs of a draw, say of its test runs: (n_test, T + 1)."""
    columns = []
    for t in range(losses.shape[1] - 1):
        seen = Inputs(inputs.weights, inputs.floor, None if prior is None else prior[:, t])
        train = draw.train[:size]
        columns.append(fit(seen.rows(train), losses[train, t])(seen.rows(draw.test)))
    return with_average(np.stack(columns, axis=1))


def _records(
    name: str,
    size: int,
    targets: Sequence[str],
    losses: np.ndarray,
    draws: Sequence[Split],
    predicted: list[np.ndarray],
) -> list[tuple]:
    """(predictor, runs, target, draw, spearman, regret, regret_share) of every target and draw."""
    return [
        (name, size, target, d, *quality(predicted[d][:, t], losses[draw.test, t]))
        for d, draw in enumerate(draws)
        for t, target in enumerate(targets)
        if np.isfinite(predicted[d][:, t]).all()
    ]


def quality(predicted: np.ndarray, losses: np.ndarray) -> tuple[float, float, float]:
    """Spearman; the regret of the run predicted best, in nats; and as a share of that of a run picked at random.

    Runs that tie for the best prediction are picked with equal chances.
    """
    regret = float(losses[predicted == predicted.min()].mean() - losses.min())
    return spearman(predicted, losses), regret, regret / max(float(losses.mean() - losses.min()), 1e-12)


def _summary(records: list[tuple]) -> "pl.DataFrame":
    """Means over draws, with their least and largest; and the mean over targets as a target of its own."""
    import polars as pl

    values = ("spearman", "regret", "regret_share")
    single = pl.DataFrame(records, schema=["predictor", "runs", "target", "draw", *values], orient="row")
    mean = (
        single.filter(pl.col("target") != AVERAGE)
        .group_by("predictor", "runs", "draw", maintain_order=True)
        .agg(pl.col(values).mean(), pl.len())
        .filter(pl.col("len") == pl.col("len").max())  # a mean over fewer targets is another number
        .with_columns(target=pl.lit("mean"))
    )
    return (
        pl.concat([single, mean.select(single.columns)])
        .group_by("predictor", "runs", "target", maintain_order=True)
        .agg(
            pl.len().alias("draws"),
            *(
                expression
                for value in values
                for expression in (
                    pl.col(value).mean(),
                    pl.col(value).min().alias(f"{value}_low"),
                    pl.col(value).max().alias(f"{value}_high"),
                )
            ),
        )
    )


# --- What the fitted model recommends ---


@dataclass(frozen=True, repr=False)
class FittedMixture(Tabular):
    """The best mixture by a model fitted on every run, within constraints, for the mean loss of the targets.

    weights      float64 (K,)
    predicted    its mean loss by the model
    best_run     the run with the lowest mean loss, and that loss: what is known to be reached, constraints or not
    error        root mean square error of the model on runs held out
    distance     how far the nearest run is from the mixture: sum of absolute differences of weights, 0 .. 2
    """

    table = "sweep_mixture"

    domains: tuple[str, ...]
    weights: np.ndarray
    predicted: float
    best_run: str
    best_loss: float
    best_weights: np.ndarray
    error: float
    distance: float
    model: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_polars(self) -> "pl.DataFrame":
        """One row per domain: its share in the mixture, and in the best run."""
        import polars as pl

        return pl.DataFrame({"domain": self.domains, "share": self.weights, "share_best_run": self.best_weights})

    @property
    def basis(self) -> dict[str, Any]:
        """What its shares rest on, beside their table."""
        names = ("model", "predicted", "error", "best_run", "best_loss", "distance")
        return {name: getattr(self, name) for name in names}


def fit_average(sweep: Sweep, model: str) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """The mean over targets of models fitted on every run: (m, K) -> (m,); and its error on runs held out."""
    losses = sweep.losses[:, np.isfinite(sweep.losses).all(axis=0)]
    fit, inputs = find_model(model).fit, Inputs(sweep.weights, sweep.rounding / 2 or SMALLEST_WEIGHT)

    def fit_on(train: np.ndarray) -> Fitted:
        fitted = [fit(inputs.rows(train), column[train]) for column in losses.T]
        return lambda other: np.mean([predict(other) for predict in fitted], axis=0)

    errors = [
        fit_on(draw.train)(inputs.rows(draw.test)) - losses[draw.test].mean(axis=1)
        for draw in cross_validation(len(losses), min(FOLDS, len(losses)))
    ]
    predict = fit_on(np.arange(len(losses)))
    error = float(np.sqrt(np.square(np.concatenate(errors)).mean()))
    return lambda weights: predict(Inputs(weights, inputs.floor)), error


def within_reach(sweep: Sweep, loss: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """A model that is trusted no farther from a run than 95% of the runs are from their nearest; above, it rises.

    Where no run is near, ridge on RegMix 60M promises 2.1 nats at 82% of philosophy, and the best of 256 runs has 3.0.
    """
    reach = np.quantile(_nearest(sweep.weights, sweep.weights, itself=True), 0.95)
    steep = 10 * np.nanstd(sweep.losses)

    def trusted(weights: np.ndarray) -> np.ndarray:
        return loss(weights) + steep * np.maximum(_nearest(weights, sweep.weights) - reach, 0)

    return trusted


def _nearest(weights: np.ndarray, runs: np.ndarray, itself: bool = False) -> np.ndarray:
    """Sum of absolute differences to the nearest run: (m, K), (n, K) -> (m,). itself: to the nearest of the others."""
    from scipy.spatial.distance import cdist

    distances = cdist(weights, runs, "cityblock")
    if itself:
        np.fill_diagonal(distances, np.inf)
    return distances.min(axis=1)


def describe_mixture(sweep: Sweep, model: str, weights: np.ndarray, predicted: float, error: float) -> FittedMixture:
    """A mixture beside the run with the lowest mean loss."""
    complete = np.isfinite(sweep.losses).all(axis=0)
    losses = sweep.losses[:, complete].mean(axis=1)
    best = int(losses.argmin())
    return FittedMixture(
        sweep.domains,
        weights,
        predicted,
        sweep.runs[best],
        float(losses[best]),
        sweep.weights[best],
        error,
        float(_nearest(weights[None], sweep.weights)[0]),
        model,
    )
