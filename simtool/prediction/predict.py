"""Predict before training, verify after: a ranking of mixtures that is written down, and scored by a results table.

A prediction is one JSON file with all that it was made from and a hash of its content, so that an edit is noticed.
The hash is no signature: whoever edits can hash anew. Note the hash elsewhere (a commit, a mail) before training.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from simtool.errors import SimtoolError
from simtool.mixture import midtraining_name, without_shares
from simtool.prediction.advantage import Advantage, Question
from simtool.prediction.predictors import benefit, find_predictor
from simtool.profiles.profile import Profile
from simtool.similarity.resampling import CONFIDENCE
from simtool.tables import atomic_write, provenance

if TYPE_CHECKING:
    import polars as pl

FORMAT = 1  # raised when a file of an older layout would be read wrongly
CELL = (
    "mixture", "target", "rank", "advantage", "low", "high", "relative", "share_positive", "share_best",
)  # fmt: skip
PERMUTATIONS = 10_000


@dataclass(frozen=True)
class Prediction:
    """A ranking of mixtures for each target, made before training. Everything in `content` is under `hash`.

    content   JSON: format, predictor, pretrain, mixtures, targets, cells, told_apart, made_from, provenance
    """

    content: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """SHA-256 of the content, whatever the order of keys and the white space."""
        told = json.dumps(self.content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def mixtures(self) -> list[str]:
        return list(self.content["mixtures"])

    @property
    def targets(self) -> list[str]:
        return list(self.content["targets"])

    def find_mixture(self, mix: str, weight: float | None = None) -> str:
        """The predicted mixture that results call `mix`: with its share, or without where that leaves no doubt.

        Names that fit none come back as they are.
        """
        if mix in self.mixtures:
            return mix
        if weight is not None and without_shares(mix) == mix:
            mix = f"{mix}:{weight:g}"
        if without_shares(mix) != mix:
            return midtraining_name(mix)
        candidates = [name for name in self.mixtures if without_shares(name) == mix]
        return candidates[0] if len(candidates) == 1 else mix

    def of(self, key: str) -> np.ndarray:
        """A column of the cells, float64 (n, m); NaN where it is null."""
        cells = {(cell["mixture"], cell["target"]): cell[key] for cell in self.content["cells"]}
        return np.array([[cells[m, t] for t in self.targets] for m in self.mixtures], np.float64)

    def to_polars(self) -> "pl.DataFrame":
        """One row a mixture and target, best mixture of each target first."""
        import polars as pl

        return pl.DataFrame(self.content["cells"])


def predict(question: Question, predictor: str) -> Prediction:
    """Rank the mixtures of a question by a predictor."""
    chosen = find_predictor(predictor)
    said = benefit(predictor, question)
    first = question.profiles[question.corpora[0]]
    content = {
        "format": FORMAT,
        "predictor": {"name": predictor, "about": chosen.about, "source": chosen.source, "feature": said.feature},
        "pretrain": dict(question.pretrain.weights),
        "mixtures": {name: dict(mixture.weights) for name, mixture in question.mixtures.items()},
        "targets": list(question.targets),
        "cells": _cells(said),
        "told_apart": _told_apart(said),
        "made_from": {
            "tokenizer": first.tokenizer,
            "tokenizer_fingerprint": first.fingerprint,
            "tokens": said.tokens,
            "tokens_asked_for": question.tokens,
            "resamples": said.resamples,
            "seed": question.seed,
            "corpora": {name: _made_from(question, name, chosen.features) for name in question.corpora},
        },
        "notes": list(said.notes),
        "provenance": provenance(),
    }
    return Prediction(json.loads(json.dumps(content)))  # as it will be read: tuples are lists, keys are text


def save_prediction(prediction: Prediction, path: Path) -> None:
    """The content and its hash as JSON, for people to read and for `load_prediction` to check."""
    told = {"content_sha256": prediction.hash, **prediction.content}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_prediction(path: Path) -> Prediction:
    """A prediction as it was saved. Raises SimtoolError when it is missing, is none, or was edited since."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        told = content.pop("content_sha256")
        made_as = content["format"]
    except OSError as error:
        raise SimtoolError(f"Cannot read the prediction {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SimtoolError(
            f"{path} is not a prediction. Make one: simtool predict ... --out prediction.json."
        ) from error
    if Prediction(content).hash != told:
        raise SimtoolError(
            f"{path} was edited after it was made: its content does not match its hash {told[:16]}.\n"
            "A prediction that was edited cannot be verified. Restore the file, or predict again."
        )
    if made_as != FORMAT:
        raise SimtoolError(f"{path} is a prediction of format {made_as}; this simtool reads format {FORMAT}.")
    return Prediction(content)


def _cells(said: Advantage) -> list[dict[str, Any]]:
    rows = said.to_polars().select(CELL).to_dicts()
    return [{key: _json_number(value) for key, value in row.items()} for row in rows]


def _json_number(value: Any) -> Any:
    """JSON has no NaN: what is not known is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _told_apart(said: Advantage) -> dict[str, list[list[str]]]:
    """By target, the pairs of mixtures that can be told apart, the better one first."""
    names = list(said.mixtures)
    return {
        target: [
            [names[i], names[k]]
            for i in range(len(names))
            for k in range(len(names))
            if said.told_apart[i, k, j] and said.value[i, j] > said.value[k, j]
        ]
        for j, target in enumerate(said.targets)
    }


def _made_from(question: Question, corpus: str, features: Sequence[str]) -> dict[str, Any]:
    profile = question.profiles[corpus]
    told = {**profile.size, "counts_sha256": counts_hash(profile, features)}
    told |= {key: profile.facts[key] for key in ("source", "stand_in", "made") if key in profile.facts}
    if not features and question.texts is not None:
        digest = hashlib.sha256()
        for text in question.texts[corpus]:
            digest.update(hashlib.sha256(text.encode("utf-8", "replace")).digest())
        told["texts_sha256"] = digest.hexdigest()
    return told


def counts_hash(profile: Profile, features: Sequence[str]) -> str:
    """SHA-256 of a profile's sizes and of its counts of these features, fold by fold."""
    digest = hashlib.sha256()
    named = [(name, getattr(profile, name)) for name in ("n_documents", "n_tokens", "n_bytes")]
    for name, counts in [*named, *((name, profile.features[name]) for name in sorted(features))]:
        digest.update(f"{name} {counts.shape} ".encode())
        digest.update(np.ascontiguousarray(counts, "<i8"))
    return digest.hexdigest()


# --- Against what happened ---


@dataclass(frozen=True)
class Score:
    """How a prediction fared on the models of one size.

    spearman        over all cells (mixture and target); low, high its 95% interval, NaN where none can be formed
    p_value         share of permutations of mixtures, each target by itself, that do as well or better
    regret          by target: what choosing the mixture predicted best loses against the best one, in relative
                    improvement; regret_chance is that of a random choice
    apart_right     of the pairs predicted to be told apart, how many (of how many) came out in that order
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


@dataclass(frozen=True)
class Verification:
    """A prediction's scores, one for each size of model."""

    prediction_hash: str
    scores: tuple[Score, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_polars(self) -> "pl.DataFrame":
        """One row a size and target, with what holds for all targets repeated."""
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
                }
                for score in self.scores
                for target in score.regret
            ]
        )


def verify(prediction: Prediction, results: "pl.DataFrame", seed: int = 0) -> Verification:
    """Score a prediction by what training gave.

    results   a row a mix and target (and size, and seed: averaged over), the names being those of the prediction;
              with relative_improvement, or loss and control_loss, or loss and rows whose mix is the pretraining
              corpus

    A cell's relative improvement is (control loss - loss) / control loss. The intervals of a prediction are in
    the unit of its metric, so what is checked of them is what they claim: which mixtures can be told apart.
    Raises SimtoolError that lists unknown names and missing cells.
    """
    outcomes = _outcomes(prediction, results)
    scores = tuple(_score(prediction, size, improvement, seed) for size, improvement in outcomes.items())
    return Verification(prediction.hash, scores, provenance(prediction=prediction.hash, permutations=PERMUTATIONS))


def _outcomes(prediction: Prediction, results: "pl.DataFrame") -> dict[str, np.ndarray]:
    """Relative improvement by size: float64 (n, m), every cell there."""
    control = "+".join(prediction.content["pretrain"])
    table = _named_as_predicted(_with_improvement(results, control), prediction, control)
    mixes, targets = prediction.mixtures, prediction.targets
    known_mixes = {*mixes, control}
    unknown = [f"mix {name!r}" for name in dict.fromkeys(table["mix"].to_list()) if name not in known_mixes]
    unknown += [f"target {name!r}" for name in dict.fromkeys(table["target"].to_list()) if name not in targets]
    if unknown:
        raise SimtoolError(
            f"The results name what the prediction does not: {', '.join(unknown)}.\n"
            f"Predicted are the mixes {', '.join(mixes)} and the targets {', '.join(targets)}."
        )
    sizes = dict.fromkeys(table["size"].to_list())
    found: dict[tuple[str, str, str], list[float]] = {}
    for row in table.iter_rows(named=True):
        value = row["relative_improvement"]
        found.setdefault((row["size"], row["mix"], row["target"]), []).append(math.nan if value is None else value)
    # one run of several that lacks its value makes the whole cell missing: a mean of the others would hide it
    missing = [
        f"{mix} on {target}" + (f" at {size}" if size else "")
        for size in sizes
        for mix in mixes
        for target in targets
        if not np.isfinite(found.get((size, mix, target), math.nan)).all()
    ]
    if missing or not sizes:
        raise SimtoolError(
            f"The results lack {len(missing)} cells: {'; '.join(missing)}.\n"
            "Give every cell, choose a --size that has them, or predict fewer."
        )
    twice = [f"{mix} on {target}" for (_, mix, target), values in found.items() if len(values) > 1 and mix != control]
    if twice and "seed" not in table.columns:
        raise SimtoolError(
            f"The results have several rows for: {'; '.join(twice)}.\nName the runs in a column `seed`, or keep one."
        )
    return {size: np.array([[np.mean(found[size, m, t]) for t in targets] for m in mixes]) for size in sizes}


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


def _with_improvement(results: "pl.DataFrame", control: str) -> "pl.DataFrame":
    """The table with the columns size (text, empty where there is none) and relative_improvement."""
    import polars as pl

    has = set(results.columns)
    if not {"mix", "target"} <= has or not {"relative_improvement", "loss"} & has:
        raise SimtoolError(
            "The results need the columns mix, target and relative_improvement (or loss)."
            f" Got: {', '.join(results.columns)}."
        )
    table = results.with_columns(
        size=pl.col("size").cast(pl.String).fill_null("") if "size" in has else pl.lit(""),
    )
    if "relative_improvement" in has:
        return table
    if "control_loss" not in has:
        keys = ["target", "size", *(["seed"] if "seed" in has else [])]
        controls = table.filter(pl.col("mix") == control).group_by(keys).agg(control_loss=pl.col("loss").mean())
        if controls.is_empty():
            raise SimtoolError(
                f"The results have no control: give a column control_loss, or rows whose mix is {control!r}."
            )
        table = table.join(controls, on=keys, how="left")
    return table.with_columns(relative_improvement=1 - pl.col("loss") / pl.col("control_loss"))


def _score(prediction: Prediction, size: str, improvement: np.ndarray, seed: int) -> Score:
    advantage = prediction.of("advantage")
    rho = _spearman(advantage.ravel(), improvement.ravel())
    low, high = spearman_interval(rho, advantage.size)
    targets, mixtures = prediction.targets, prediction.mixtures
    chosen, best = advantage.argmax(axis=0), improvement.argmax(axis=0)
    apart, others = _orders(prediction, advantage, improvement)
    share = prediction.of("share_positive")
    return Score(
        size=size,
        n_cells=advantage.size,
        spearman=rho,
        low=low,
        high=high,
        p_value=_p_value(advantage, improvement, rho, seed),
        spearman_by_target={t: _spearman(advantage[:, j], improvement[:, j]) for j, t in enumerate(targets)},
        regret={t: float(improvement[best[j], j] - improvement[chosen[j], j]) for j, t in enumerate(targets)},
        regret_chance={t: float(improvement[best[j], j] - improvement[:, j].mean()) for j, t in enumerate(targets)},
        predicted_best={t: mixtures[chosen[j]] for j, t in enumerate(targets)},
        best={t: mixtures[best[j]] for j, t in enumerate(targets)},
        apart_right=apart,
        others_right=others,
        brier=float(np.mean((share - (improvement > 0)) ** 2)),
    )


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation, ties sharing their mean rank; NaN where a side has one value only."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata  # 0.3 s that no other command needs

    return rankdata(values)


def spearman_interval(rho: float, n: int) -> tuple[float, float]:
    """95% interval of a Spearman correlation of n pairs (Bonett and Wright 2000, doi:10.1007/BF02294183).

    Cells that share a mixture or a target are not independent, so it is rather too narrow. NaN below 5 pairs,
    and for a perfect correlation, of which it cannot say how far luck has helped.
    """
    if n < 5 or not abs(rho) < 1 - 1e-12:
        return math.nan, math.nan
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    return math.tanh(math.atanh(rho) - reach), math.tanh(math.atanh(rho) + reach)


def _p_value(advantage: np.ndarray, improvement: np.ndarray, rho: float, seed: int) -> float:
    """How often mixtures in random order, each target by itself, correlate as well: at least 1 / PERMUTATIONS."""
    if math.isnan(rho):
        return math.nan
    rng = np.random.default_rng(seed)
    x, y = (_ranks(values.ravel()).reshape(values.shape) for values in (advantage, improvement))
    shuffled = rng.permuted(np.broadcast_to(x, (PERMUTATIONS, *x.shape)), axis=1)
    as_well = np.einsum("rnm,nm->r", shuffled, y) >= (x * y).sum() * (1 - 1e-12)
    return float((1 + as_well.sum()) / (1 + PERMUTATIONS))


def _orders(
    prediction: Prediction, advantage: np.ndarray, improvement: np.ndarray
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pairs in the predicted order, of all pairs: those told apart, and the others. Ties of results are left out."""
    told = {(t, *sorted(pair)) for t, pairs in prediction.content["told_apart"].items() for pair in pairs}
    right, all_ = {True: 0, False: 0}, {True: 0, False: 0}
    for j, target in enumerate(prediction.targets):
        for i, one in enumerate(prediction.mixtures):
            for k, other in enumerate(prediction.mixtures[:i]):
                happened = improvement[i, j] - improvement[k, j]
                predicted = advantage[i, j] - advantage[k, j]
                if happened == 0 or predicted == 0:
                    continue
                apart = (target, *sorted((one, other))) in told
                all_[apart] += 1
                right[apart] += bool((happened > 0) == (predicted > 0))
    return (right[True], all_[True]), (right[False], all_[False])
