"""Verify after training: a prediction scored by a table of results.

The question "does the prediction order what training gave?" has one answer: the statistic of a study's results
(`statistics.agreement`), which moves and draws whole mixtures and whole targets.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from simtool.corpora.catalogue import same_domain_pairs
from simtool.errors import SimtoolError
from simtool.prediction.predict import Prediction
from simtool.prediction.scoring import Attainable, BeyondBaseline, attainable, beside, beyond_baseline
from simtool.results import Tabular
from simtool.statistics import BOOTSTRAPS, FEWEST_CELLS, agreement, spearman
from simtool.tables import provenance

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Score:
    """How a prediction fared on the models of one size.

    spearman        over all cells (mixture and target); low, high its 95% interval, which draws mixtures and targets;
                    NaN where none can be formed
    attainable      what the spread over seeds would leave of a perfect prediction; None with fewer than two seeds
    beyond          what the prediction adds to the same-domain baseline; None where no mixture is of a target's domain
    p_value         one-sided: share of the arrangements of whole mixtures and whole targets that correlate as well
                    or better (Pearson), as in a study's results
    regret          by target: what choosing the mixture predicted best loses against the best one, in relative
                    improvement; regret_chance is that of a random choice
    apart_right     of the pairs predicted to be distinguishable, how many (of how many) came out in that order
    others_right    the same of the other pairs, where the prediction says that it does not know: about half
    brier           mean square of (share of resamples with PA > 0) - (1 where it did improve); 0.25 for a coin
    """

    size: str
    n_cells: int
    spearman: float
    low: float
    high: float
    p_value: float
    spearman_by_target: Mapping[str, float]
    regret: Mapping[str, float]
    regret_chance: Mapping[str, float]
    predicted_best: Mapping[str, str]
    best: Mapping[str, str]
    apart_right: tuple[int, int]
    others_right: tuple[int, int]
    brier: float
    attainable: Attainable | None
    beyond: BeyondBaseline | None


@dataclass(frozen=True, repr=False)
class Verification(Tabular):
    """A prediction's scores, one for each size of model."""

    table = "verification"
    columns_printed = ("size", "target", "predicted_best", "best", "regret", "spearman")

    prediction_hash: str
    scores: tuple[Score, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_polars(self) -> "pl.DataFrame":
        """One row per size and target, with what holds for all targets repeated."""
        import polars as pl

        return pl.DataFrame(
            [
                {
                    "size": score.size,
                    "target": target,
                    "predicted_best": score.predicted_best[target],
                    "best": score.best[target],
                    "regret": score.regret[target],
                    "regret_chance": score.regret_chance[target],
                    "spearman_target": score.spearman_by_target[target],
                    "spearman": score.spearman,
                    "low": score.low,
                    "high": score.high,
                    "p_value": score.p_value,
                    "apart_right": score.apart_right[0],
                    "apart": score.apart_right[1],
                    "others_right": score.others_right[0],
                    "others": score.others_right[1],
                    "brier": score.brier,
                    "n_cells": score.n_cells,
                    **beside(score.attainable, score.beyond),
                }
                for score in self.scores
                for target in score.regret
            ]
        )


def verify(prediction: Prediction, results: "pl.DataFrame", seed: int = 0) -> Verification:
    """Score a prediction by what training gave.

    A cell's relative improvement is (control loss - loss) / control loss. The intervals of a prediction are in
    the unit of its metric, so what is checked of them is what they say: which mixtures are distinguishable.

    Parameters
    ----------
    results
        One row per mix and target (and size, and seed: averaged over), the names being those of the prediction; with
        relative_improvement, or loss and control_loss, or loss and rows whose mix is the pretraining corpus.

    Raises
    ------
    SimtoolError
        That lists unknown names and missing cells.
    """
    outcomes = _outcomes(prediction, results)
    scores = tuple(_score(prediction, size, *measured, seed) for size, measured in outcomes.items())
    return Verification(prediction.hash, scores, provenance(prediction=prediction.hash, bootstraps=BOOTSTRAPS))


def _outcomes(prediction: Prediction, results: "pl.DataFrame") -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By size, relative improvement and its standard error over seeds: float64 (n, m) each, no missing improvement."""
    control = "+".join(prediction.content["pretrain"])
    if results.is_empty():
        raise SimtoolError("The results have no rows.")
    table = _named_as_predicted(_with_improvement(results, control), prediction, control)
    _check_names(prediction, table, control)
    runs: dict[tuple[str, str, str], list[float]] = {}
    for row in table.iter_rows(named=True):
        value = row["relative_improvement"]
        runs.setdefault((row["size"], row["mix"], row["target"]), []).append(math.nan if value is None else value)
    sizes = dict.fromkeys(table["size"].to_list())
    _check_cells(prediction, runs, list(sizes))
    repeated = [f"{mix} on {target}" for (_, mix, target), values in runs.items() if len(values) > 1 and mix != control]
    if repeated and "seed" not in table.columns:
        raise SimtoolError(
            f"The results have several rows for: {'; '.join(repeated)}.\nName the runs in a column `seed`, or keep one."
        )
    mixtures, targets = prediction.mixtures, prediction.targets
    outcomes = {
        size: tuple(np.array([[of(runs[size, m, t]) for t in targets] for m in mixtures]) for of in (np.mean, _error))
        for size in sizes
    }
    for size, (improvement, _) in outcomes.items():
        if improvement.size > 1 and np.ptp(improvement) == 0:
            raise SimtoolError(
                f"The results do not vary{f' at {size}' if size else ''}: the relative improvement is"
                f" {improvement.flat[0]:g} in all {improvement.size} cells. There is nothing to rank."
            )
    return outcomes


def _error(runs: Sequence[float]) -> float:
    """The standard error of a mean over runs; NaN of one."""
    return float(np.std(runs, ddof=1) / math.sqrt(len(runs))) if len(runs) > 1 else math.nan


def _check_names(prediction: Prediction, table: "pl.DataFrame", control: str) -> None:
    predicted = {"mix": {*prediction.mixtures, control}, "target": {*prediction.targets}}
    unknown = [
        f"{column} {name!r}"
        for column, names in predicted.items()
        for name in dict.fromkeys(table[column].to_list())
        if name not in names
    ]
    if unknown:
        raise SimtoolError(
            f"The results name what the prediction does not: {', '.join(unknown)}.\n"
            f"Predicted are the mixes {', '.join(prediction.mixtures)} and the targets {', '.join(prediction.targets)}."
        )


def _check_cells(
    prediction: Prediction, runs: Mapping[tuple[str, str, str], Sequence[float]], sizes: Sequence[str]
) -> None:
    # one run of several that lacks its value makes the whole cell missing: a mean of the others would hide it
    missing = [
        f"{mix} on {target}" + (f" at {size}" if size else "")
        for size in sizes
        for mix in prediction.mixtures
        for target in prediction.targets
        if not np.isfinite(runs.get((size, mix, target), math.nan)).all()
    ]
    has_nan = any(not np.isfinite(values).all() for values in runs.values())
    not_numbers = " Where they say nan or inf, or nothing, there is no value." if has_nan else ""
    if missing or not sizes:
        raise SimtoolError(
            f"The results lack {len(missing)} cells: {'; '.join(missing)}.{not_numbers}\n"
            "Give every cell, choose a --size that has them, or predict fewer."
        )


def _named_as_predicted(results: "pl.DataFrame", prediction: Prediction, control: str) -> "pl.DataFrame":
    """The table with the prediction's own names of mixtures; a column `weight` completes a name without a share."""
    import polars as pl

    mixes = results["mix"].to_list()
    weights = results["weight"].to_list() if "weight" in results.columns else [None] * len(mixes)
    names = [
        mix if mix == control else prediction.find_mixture(mix, weight)
        for mix, weight in zip(mixes, weights, strict=True)
    ]
    return results.with_columns(mix=pl.Series(names, dtype=pl.String))


NUMBERS = ("relative_improvement", "loss", "control_loss", "weight")


def _typed(results: "pl.DataFrame") -> "pl.DataFrame":
    """The table with names as text and numbers as numbers, NaN as missing.

    Raises
    ------
    SimtoolError
        For other text.
    """
    import polars as pl

    names = [pl.col(name).cast(pl.String) for name in ("mix", "target")]
    numbers = [name for name in NUMBERS if name in results.columns]
    table = results.with_columns(names)
    for name in numbers:
        text = table[name].cast(pl.String).str.strip_chars()
        text = text.set(text.is_in(["", "NA"]), None)
        values = text.cast(pl.Float64, strict=False)
        wrong = table.filter(values.is_null() & text.is_not_null())[name].unique(maintain_order=True).to_list()
        if wrong:
            raise SimtoolError(
                f"The results hold what is no number in the column {name}: {', '.join(map(repr, wrong[:5]))}.\n"
                "Write numbers, and shares as such: 0.07 for 7%."
            )
        table = table.with_columns(values.fill_nan(None).alias(name))
    return table


def _with_improvement(results: "pl.DataFrame", control: str) -> "pl.DataFrame":
    """The table with the columns size (text, empty where there is none) and relative_improvement."""
    import polars as pl

    columns = set(results.columns)
    if not {"mix", "target"} <= columns or not {"relative_improvement", "loss"} & columns:
        raise SimtoolError(
            "The results need the columns mix, target and relative_improvement (or loss)."
            f" Got: {', '.join(results.columns)}."
        )
    table = _typed(results).with_columns(
        size=pl.col("size").cast(pl.String).fill_null("") if "size" in columns else pl.lit(""),
    )
    if "relative_improvement" in columns:
        return table
    if "control_loss" not in columns:
        keys = ["target", "size", *(["seed"] if "seed" in columns else [])]
        controls = table.filter(pl.col("mix") == control).group_by(keys).agg(control_loss=pl.col("loss").mean())
        if controls.is_empty():
            raise SimtoolError(
                f"The results have no control: give a column control_loss, or rows whose mix is {control!r}."
            )
        table = table.join(controls, on=keys, how="left")
    return table.with_columns(relative_improvement=1 - pl.col("loss") / pl.col("control_loss"))


def _score(prediction: Prediction, size: str, improvement: np.ndarray, error: np.ndarray, seed: int) -> Score:
    advantage, share_positive = prediction.of("advantage"), prediction.of("share_positive")
    overall = agreement(advantage, improvement, seed) if advantage.size >= FEWEST_CELLS else None
    targets, mixtures = prediction.targets, prediction.mixtures
    selected, best = advantage.argmax(axis=0), improvement.argmax(axis=0)
    distinguished, others = _orders(prediction, advantage, improvement)
    return Score(
        size=size,
        n_cells=advantage.size,
        spearman=spearman(advantage.ravel(), improvement.ravel()),
        low=overall.spearman_low if overall else math.nan,
        high=overall.spearman_high if overall else math.nan,
        p_value=overall.p if overall else math.nan,
        spearman_by_target={t: spearman(advantage[:, j], improvement[:, j]) for j, t in enumerate(targets)},
        regret={t: float(improvement[best[j], j] - improvement[selected[j], j]) for j, t in enumerate(targets)},
        regret_chance={t: float(improvement[best[j], j] - improvement[:, j].mean()) for j, t in enumerate(targets)},
        predicted_best={t: mixtures[selected[j]] for j, t in enumerate(targets)},
        best={t: mixtures[best[j]] for j, t in enumerate(targets)},
        apart_right=distinguished,
        others_right=others,
        brier=float(np.mean((share_positive - (improvement > 0)) ** 2)),
        attainable=attainable(improvement, error, seed),
        beyond=beyond_baseline(advantage, improvement, same_domain(prediction), seed),
    )


def same_domain(prediction: Prediction) -> np.ndarray:
    """float64 (n, m): 1 where a mixture holds, beside the pretraining corpus, text of the target's domain."""
    content, targets = prediction.content, prediction.targets
    mixed_in = [set(shares) - set(content["pretrain"]) for shares in content["mixtures"].values()]
    pairs = set(same_domain_pairs(set().union(*mixed_in), targets))
    return np.array([[float(any((name, t) in pairs for name in names)) for t in targets] for names in mixed_in])


def _orders(
    prediction: Prediction, advantage: np.ndarray, improvement: np.ndarray
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pairs in the predicted order, of all pairs: the distinguishable ones, and the others. Ties are left out."""
    distinguishable = {(t, *sorted(pair)) for t, pairs in prediction.distinguishable.items() for pair in pairs}
    right, total = {True: 0, False: 0}, {True: 0, False: 0}
    for j, target in enumerate(prediction.targets):
        for (i, first), (k, second) in combinations(enumerate(prediction.mixtures), 2):
            product = (improvement[i, j] - improvement[k, j]) * (advantage[i, j] - advantage[k, j])
            if product == 0:
                continue
            separated = (target, *sorted((first, second))) in distinguishable
            total[separated] += 1
            right[separated] += bool(product > 0)
    return (right[True], total[True]), (right[False], total[False])
