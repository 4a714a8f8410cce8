"""Effects of a study's arms, with intervals, and how the prediction agrees with them.

Everything is paired. An arm and its control share seeds, data order and held-out documents; so the unit of an effect
is the difference of two losses on the same document under the same seed. Its interval has two parts: how it varies
over seeds, and how over documents (seeds and documents are crossed). The analysis was fixed before any study was run:
the effects, Holm's correction over all of them, and the agreement tests of `simtool.statistics`.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from simtool.corpora.catalogue import SAME_DOMAIN
from simtool.errors import SimtoolError
from simtool.prediction.scoring import attainable, beside, beyond_baseline
from simtool.statistics import Estimate, agreement, crossed, holm, minimum_detectable, pseudo_values
from simtool.studies.losses import KEYS
from simtool.studies.plan import Arm, Study, compared_arms, mix_name

if TYPE_CHECKING:
    from simtool.prediction.predict import Prediction

# S seeds, D documents, M mixtures, T targets


# ---- effects ---------------------------------------------------------------------------------------------


def loss_pseudo_values(nats_SD: np.ndarray, control_SD: np.ndarray, tokens_D: np.ndarray, relative: bool) -> np.ndarray:
    """Jackknife pseudo-values over documents, (D,), of the difference of two losses, relative to the control or not."""
    whole = _difference(nats_SD.sum(1), control_SD.sum(1), tokens_D.sum(), relative).mean()
    left_out = _difference(
        nats_SD.sum(1, keepdims=True) - nats_SD,
        control_SD.sum(1, keepdims=True) - control_SD,
        tokens_D.sum() - tokens_D,
        relative,
    ).mean(axis=0)
    return pseudo_values(whole, left_out)


def _difference(nats: np.ndarray, control: np.ndarray, tokens: np.ndarray | float, relative: bool) -> np.ndarray:
    """(control - nats) / control; or, in nats per token, nats - control."""
    return (control - nats) / control if relative else (nats - control) / tokens


def effects(study: Study, losses: pl.DataFrame, by_document: pl.DataFrame, prediction: "Prediction") -> pl.DataFrame:
    """One row per arm that is no control, and target: relative improvement and forgetting against its control.

    Raises
    ------
    SimtoolError
        Where the study has no arm and control that are both done.
    """
    predicted = {(cell["mixture"], cell["target"]): cell for cell in prediction.content["cells"]}
    after = _arrays(by_document.filter(pl.col("phase") == "sft"))
    before = _arrays(by_document.filter(pl.col("phase") == "midtrain"))
    rows, compared = [], [arm for arm in study.arms if arm.control]
    for size, arm, target in product(study.models, compared, study.targets):
        cells = losses.filter(pl.col("size") == size, pl.col("target") == target)
        ours, theirs = (cells.filter(pl.col("arm") == name) for name in (arm.name, arm.control))
        seeds = sorted(set(ours["seed"]) & set(theirs["seed"]))
        if not seeds:
            continue
        pair = [part.filter(pl.col("seed").is_in(seeds)).sort("seed")["loss"] for part in (ours, theirs)]
        cell = predicted.get((mix_name(arm), target), {})
        rows.append(
            {
                **dict(zip(KEYS, _keys(size, arm), strict=True)),
                "target": target,
                "n_seeds": len(seeds),
                "control_loss": pair[1].mean(),
                "loss": pair[0].mean(),
                **_estimates(after, before, size, target, arm, seeds, study.general),
                "predicted": cell.get("advantage"),
                "predicted_low": cell.get("low"),
                "predicted_high": cell.get("high"),
            }
        )
    if not rows:
        raise nothing_done()
    return _ranked(pl.DataFrame(rows, infer_schema_length=None))


def _estimates(
    after: "Losses", before: "Losses", size: str, target: str, arm: Arm, seeds: Sequence[int], general: Sequence[str]
) -> dict[str, float]:
    """An arm against its control: improvement on the target, general loss after SFT, and its rise in SFT."""
    benefit = _improvement(after, size, target, arm, seeds)
    difference = _general(after, None, size, target, arm, seeds, general)
    rise = _general(after, before, size, target, arm, seeds, general)
    return {
        "relative_improvement": benefit.value,
        "low": benefit.low,
        "high": benefit.high,
        "p": benefit.p,
        "standard_error": benefit.error,
        "freedom": benefit.freedom,
        "general_difference": difference.value,
        "general_low": difference.low,
        "general_high": difference.high,
        "forgetting_difference": rise.value,
        "forgetting_low": rise.low,
        "forgetting_high": rise.high,
    }


def nothing_done() -> SimtoolError:
    """The error where no effect can be estimated yet."""
    return SimtoolError("No arm and its control are done on any target yet. Let the study go on.")


def _ranked(table: pl.DataFrame) -> pl.DataFrame:
    """With Holm's p over the whole table, the effect detectable at its level, and ranks among the mixtures of a size,
    design, start and target."""
    ranks = {
        name: pl.col(column).rank("ordinal", descending=True).over("size", "design", "start", "target").cast(pl.Int64)
        for name, column in (("observed_rank", "relative_improvement"), ("predicted_rank", "predicted"))
    }
    p = table["p"].fill_null(math.nan).to_numpy()
    n_tests = int(np.isfinite(p).sum())
    detectable = [minimum_detectable(*row, n_tests) for row in table.select("standard_error", "freedom").iter_rows()]
    corrected = {"p_holm": pl.Series(holm(p)), "minimum_detectable": pl.Series(detectable, dtype=pl.Float64)}
    return table.with_columns(**corrected, **ranks).with_columns(pl.selectors.float().fill_nan(None))


def _keys(size: str, arm: Arm) -> tuple[Any, ...]:
    return (size, arm.design, arm.name, arm.kind, arm.special, arm.weight, arm.start)


Losses = Mapping[tuple[Any, ...], tuple[np.ndarray, np.ndarray]]


def _arrays(table: pl.DataFrame) -> dict[tuple[Any, ...], tuple[np.ndarray, np.ndarray]]:
    """{(size, arm, target, seed, corpus, role): nats (D,), tokens (D,)}; documents in the store's order."""
    keys = ["size", "arm", "target", "seed", "corpus", "role"]
    return {
        key: (part["nats"].to_numpy(), part["n_tokens"].to_numpy())
        for key, part in table.partition_by(keys, as_dict=True, maintain_order=True).items()
    }


def _improvement(after: Losses, size: str, target: str, arm: Arm, seeds: Sequence[int]) -> Estimate:
    ours, theirs = (
        np.stack([after[size, name, target, seed, target, "target"][0] for seed in seeds])
        for name in (arm.name, arm.control)
    )
    tokens = after[size, arm.name, target, seeds[0], target, "target"][1]
    return _paired(ours, theirs, tokens, relative=True)


def _general(
    after: Losses, before: Losses | None, size: str, target: str, arm: Arm, seeds: Sequence[int], general: Sequence[str]
) -> Estimate:
    """How far the general loss after SFT lies above the control's, in nats per token; before: how much more it rose.

    The rise alone flatters continued pretraining, which loses general text before SFT begins.
    """

    def loss(name: str, seed: int, corpus: str) -> np.ndarray:
        end = after[size, name, target, seed, corpus, "general"][0]
        return end if before is None else end - before[size, name, None, seed, corpus, "general"][0]

    ours, theirs = (
        np.stack([np.concatenate([loss(name, seed, corpus) for corpus in general]) for seed in seeds])
        for name in (arm.name, arm.control)
    )
    tokens = np.concatenate([after[size, arm.name, target, seeds[0], corpus, "general"][1] for corpus in general])
    return _paired(ours, theirs, tokens, relative=False)


def _paired(nats_SD: np.ndarray, control_SD: np.ndarray, tokens_D: np.ndarray, relative: bool) -> Estimate:
    by_seed = _difference(nats_SD.sum(1), control_SD.sum(1), tokens_D.sum(), relative)
    return crossed(by_seed, loss_pseudo_values(nats_SD, control_SD, tokens_D, relative))


# ---- agreement with the prediction -----------------------------------------------------------------------


def agreements(study: Study, table: pl.DataFrame) -> pl.DataFrame:
    """How the prediction, and the same-domain baseline, agree with the effects: all, and with each left out.

    Midtraining arms of the design "paper" only, one start: mixtures crossed with targets. One row per size, predictor
    and what is left out; where nothing is, with what the noise of the effects leaves attainable (seeds and documents),
    and what the prediction adds to the baseline. Empty where fewer than three cells are done.
    """
    arms = compared_arms(study)
    same_domain_MT = np.array([[float((arm.special, t) in study.same_domain) for t in study.targets] for arm in arms])
    rows: list[dict[str, Any]] = []
    for size in study.models:
        cells = table.filter(pl.col("size") == size)
        observed_MT, predicted_MT, error_MT = (
            _crossed_table(cells, column, arms, study.targets)
            for column in ("relative_improvement", "predicted", "standard_error")
        )
        if np.isfinite(observed_MT).sum() < 3:
            continue
        noise = attainable(observed_MT, error_MT)
        beyond = beyond_baseline(predicted_MT, observed_MT, same_domain_MT)
        of_size = observed_MT, arms, study.targets
        rows += _agreement_rows(size, "predicted", predicted_MT, *of_size, beside(noise, beyond))
        if study.same_domain:
            rows += _agreement_rows(size, SAME_DOMAIN, same_domain_MT, *of_size, beside(noise, None))
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.selectors.float().fill_nan(None))


def _crossed_table(cells: pl.DataFrame, column: str, arms: Sequence[Arm], targets: Sequence[str]) -> np.ndarray:
    """float64 (M, T): a column of the effects, mixtures by targets; NaN where there is none."""
    values = {(row["arm"], row["target"]): row[column] for row in cells.iter_rows(named=True)}
    table = [[values.get((arm.name, target)) for target in targets] for arm in arms]
    return np.array([[math.nan if value is None else value for value in row] for row in table], float).reshape(
        len(arms), len(targets)
    )


def _agreement_rows(
    size: str,
    name: str,
    predicted_MT: np.ndarray,
    observed_MT: np.ndarray,
    arms: Sequence[Arm],
    targets: Sequence[str],
    beside_it: Mapping[str, Any],
) -> list[dict[str, Any]]:
    whole = agreement(predicted_MT, observed_MT)
    n_by_target = np.isfinite(observed_MT).sum(axis=0).tolist()
    columns = {"size": size, "predictor": name}
    rows = [
        {
            **columns, "left_out": "", "n": whole.n,
            "pearson": whole.pearson, "pearson_low": whole.pearson_low, "pearson_high": whole.pearson_high,
            "spearman": whole.spearman, "spearman_low": whole.spearman_low, "spearman_high": whole.spearman_high,
            "p": whole.p, "undefined": whole.undefined, **beside_it,
        }
    ]  # fmt: skip
    for t, r in whole.without_target.items():
        rows.append({**columns, "left_out": f"target {targets[t]}", "n": whole.n - n_by_target[t], "pearson": r})
    for (m, t), r in whole.without_pair.items():
        pair = f"pair {arms[m].special} -> {targets[t]}"
        spearman = whole.spearman_without_pair[m, t]
        rows.append({**columns, "left_out": pair, "n": whole.n - 1, "pearson": r, "spearman": spearman})
    return rows


def timing(study: Study, table: pl.DataFrame) -> pl.DataFrame:
    """The effects of arms that differ in when they start: one row per design, start, weight and target; else empty."""
    starts: dict[str, set[float]] = {}
    for arm in study.arms:
        starts.setdefault(arm.design, set()).add(arm.start)
    varied = [design for design, values in starts.items() if len(values) > 1]
    columns = [*KEYS, "target", "n_seeds", "relative_improvement", "low", "high", "forgetting_difference",
               "forgetting_low", "forgetting_high"]  # fmt: skip
    span = pl.when(pl.col("design") == "both").then(study.decay_fraction).otherwise(1 - pl.col("start"))
    return (
        table.filter(pl.col("design").is_in(varied))
        .select(columns)
        .with_columns(special_tokens=(pl.col("weight") * span * study.tokens).round().cast(pl.Int64))
        .sort("size", "design", "start", "weight", "target")
    )
