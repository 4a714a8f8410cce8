"""What a study found: losses, effects with intervals, agreement with the prediction.

Everything is paired. An arm and its control share seeds, data order and held-out documents; so the unit of an effect
is the difference of two losses on the same document under the same seed. Its interval has two parts: how it varies
over seeds, and how over documents (seeds and documents are crossed). The analysis was fixed before any study was run:
the effects, Holm's correction over all of them, and the agreement tests of `similarity.agreement`.
"""

import json
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from simtool.errors import SimtoolError
from simtool.statistics import Estimate, agreement, crossed, holm, pseudo_values, t_quantile
from simtool.studies.conclusions import verdicts
from simtool.studies.execute import read_records, study_of
from simtool.studies.plan import REPORTED, SELECTED_ON, Study, mix_name
from simtool.tables import provenance, save_table

if TYPE_CHECKING:
    from simtool.prediction.predict import Prediction

POWER = 0.8  # of the smallest effect that a study calls detectable
KEYS = ["size", "design", "arm", "kind", "mix", "weight", "start"]

# S seeds, D documents


# ---- from records to losses ------------------------------------------------------------------------------


def records(folder: Path) -> pl.DataFrame:
    """Every row of a study. Raises SimtoolError when there is none yet."""
    path = Path(folder) / "records.jsonl"
    if not path.exists():
        raise SimtoolError(f"No records in {folder}. Run the study first: simtool train-eval --out {folder}.")
    rows = read_records(path)
    if not rows:
        raise SimtoolError(f"{path} holds no rows yet. Run the study on: simtool train-eval --out {folder}.")
    told = [{**row, "achieved": json.dumps(row["achieved"])} for row in rows]
    return pl.DataFrame(told, infer_schema_length=None)


def filtered(table: pl.DataFrame, wanted: Mapping[str, Any]) -> pl.DataFrame:
    """The rows with these values. Raises SimtoolError that names the values there are where one is not among them."""
    for column, value in wanted.items():
        if value is None:
            continue
        there = table[column].drop_nulls().unique().sort().to_list()
        if value not in there:
            raise SimtoolError(f"No rows with {column} {value!r}. There are: {', '.join(map(str, there))}.")
        table = table.filter(pl.col(column) == value)
    return table


def chosen(table: pl.DataFrame) -> pl.DataFrame:
    """The rows after SFT at the learning rate that is best on the selection split, target by target and size by size,
    over all arms together, so that no arm is tuned by itself; all rows where one rate was tried."""
    after = table.filter(pl.col("phase") == "sft")
    selecting = after.filter((pl.col("role") == "target") & (pl.col("split") == SELECTED_ON))
    if selecting.is_empty():
        return after
    best = (
        selecting.group_by("size", "target", "learning_rate")
        .agg(pl.col("nats_per_token").mean())
        .sort("nats_per_token", "learning_rate")
        .unique(["size", "target"], keep="first")
        .select("size", "target", "learning_rate")
    )
    return after.join(best, on=["size", "target", "learning_rate"])


def losses(table: pl.DataFrame) -> pl.DataFrame:
    """One row an arm, target and seed that are whole: the target's loss and the general one, before SFT and after.

    Nats a counted token on the reported split; several general corpora count by their tokens.
    """
    reported = table.filter(pl.col("split") == REPORTED)
    after = chosen(table).filter(pl.col("split") == REPORTED)
    before = reported.filter(pl.col("phase") == "midtrain")
    keys = [*KEYS, "target", "seed"]
    target = after.filter(pl.col("role") == "target").select(
        *keys, loss="nats_per_token", learning_rate="learning_rate"
    )
    target_before = before.filter(pl.col("role") == "target").select(
        "size", "arm", "seed", target="corpus", loss_before="nats_per_token"
    )
    general_after = _by_tokens(after.filter(pl.col("role") == "general"), ["size", "arm", "target", "seed"])
    general_before = _by_tokens(before.filter(pl.col("role") == "general"), ["size", "arm", "seed"])
    return (
        target.join(target_before, on=["size", "arm", "target", "seed"])
        .join(general_before.rename({"loss": "general_before"}), on=["size", "arm", "seed"])
        .join(general_after.rename({"loss": "general_after"}), on=["size", "arm", "target", "seed"])
        .with_columns(forgetting=pl.col("general_after") - pl.col("general_before"))
        .sort("size", "target", "arm", "seed")
    )


def _by_tokens(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    weighted = (pl.col("nats_per_token") * pl.col("n_tokens")).sum() / pl.col("n_tokens").sum()
    return rows.group_by(keys).agg(loss=weighted)


def documents(folder: Path, table: pl.DataFrame) -> pl.DataFrame:
    """The loss of every held-out document: one row a measurement and document, reported split only."""
    from simtool.evaluation.loss import load_losses

    places = {place.name.rsplit("-", 1)[0]: place for place in runs_of(folder)}
    wanted = pl.concat([table.filter(pl.col("phase") == "midtrain"), chosen(table)])
    parts = []
    for row in wanted.filter(pl.col("split") == REPORTED).iter_rows(named=True):
        asked = "all" if row["asked"] is None else row["asked"]
        place = places.get(row["node"])
        if place is None:
            raise SimtoolError(f"The run {row['node']} of {folder} is gone, and with it its documents' losses.")
        found = load_losses(place / "losses" / f"{row['store']}-{row['loss_on']}-{asked}.npz")
        kept = {name: row[name] for name in ("size", "arm", "target", "seed", "phase", "corpus", "role", "loss_on")}
        parts.append(
            pl.DataFrame({"document": found.hashes, "nats": found.nats, "n_tokens": found.n_tokens}).with_columns(
                **{name: pl.lit(value, dtype=pl.Int64 if name == "seed" else pl.String) for name, value in kept.items()}
            )
        )
    return pl.concat(parts)


def runs_of(folder: Path) -> Iterable[Path]:
    """Folders of a study's runs."""
    place = Path(folder) / "place.json"
    told = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    return (one for one in Path(told.get("runs") or Path(folder) / "runs").glob("*") if one.is_dir())


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
    """(control - nats) / control; or, in nats a token, nats - control."""
    return (control - nats) / control if relative else (nats - control) / tokens


def effects(study: Study, lost: pl.DataFrame, by_document: pl.DataFrame, prediction: "Prediction") -> pl.DataFrame:
    """One row an arm that is no control, and target: relative improvement and forgetting against its control.

    Raises SimtoolError where the study has no arm and control that are both done.
    """
    rows = []
    said = {(cell["mixture"], cell["target"]): cell for cell in prediction.content["cells"]}
    after = _arrays(by_document.filter(pl.col("phase") == "sft"))
    before = _arrays(by_document.filter(pl.col("phase") == "midtrain"))
    for size in study.models:
        for arm in study.arms:
            for target in study.targets if arm.control else ():
                mine = lost.filter(pl.col("size") == size, pl.col("target") == target)
                pair = [mine.filter(pl.col("arm") == name) for name in (arm.name, arm.control)]
                seeds = sorted(set(pair[0]["seed"]) & set(pair[1]["seed"]))
                if not seeds:
                    continue
                ours, theirs = (one.filter(pl.col("seed").is_in(seeds)).sort("seed") for one in pair)
                benefit = _effect(after, size, target, target, arm.name, arm.control, seeds, "target", relative=True)
                forgot = _forgetting(after, before, size, target, arm.name, arm.control, seeds, study.general)
                cell = said.get((mix_name(arm), target), {})
                rows.append(
                    {
                        **dict(zip(KEYS, _keys(size, arm), strict=True)),
                        "target": target,
                        "n_seeds": len(seeds),
                        "control_loss": theirs["loss"].mean(),
                        "loss": ours["loss"].mean(),
                        "relative_improvement": benefit.value,
                        "low": benefit.low,
                        "high": benefit.high,
                        "p": benefit.p,
                        "forgetting_difference": forgot.value,
                        "forgetting_low": forgot.low,
                        "forgetting_high": forgot.high,
                        "predicted": cell.get("advantage"),
                        "predicted_low": cell.get("low"),
                        "predicted_high": cell.get("high"),
                        "minimum_detectable": minimum_detectable(theirs["loss"].to_numpy()),
                    }
                )
    if not rows:
        raise SimtoolError("No arm and its control are done on any target yet. Let the study go on.")
    table = pl.DataFrame(rows, infer_schema_length=None)
    ranked = (
        pl.col("relative_improvement").rank("ordinal", descending=True).over("size", "design", "start", "target"),
        pl.col("predicted").rank("ordinal", descending=True).over("size", "design", "start", "target"),
    )
    return table.with_columns(
        p_holm=pl.Series(holm(table["p"].fill_null(math.nan).to_numpy())),
        observed_rank=ranked[0].cast(pl.Int64),
        predicted_rank=ranked[1].cast(pl.Int64),
    ).with_columns(pl.selectors.float().fill_nan(None))


def _keys(size: str, arm: Any) -> tuple[Any, ...]:
    return (size, arm.design, arm.name, arm.kind, arm.special, arm.weight, arm.start)


Losses = Mapping[tuple[Any, ...], tuple[np.ndarray, np.ndarray]]


def _arrays(table: pl.DataFrame) -> dict[tuple[Any, ...], tuple[np.ndarray, np.ndarray]]:
    """{(size, arm, target, seed, corpus, role): nats (D,), tokens (D,)}; documents in the store's order."""
    keys = ["size", "arm", "target", "seed", "corpus", "role"]
    return {
        key: (part["nats"].to_numpy(), part["n_tokens"].to_numpy())
        for key, part in table.partition_by(keys, as_dict=True, maintain_order=True).items()
    }


def _effect(
    found: Losses, size: str, target: str | None, corpus: str, arm: str, control: str,
    seeds: Sequence[int], role: str, relative: bool,
) -> Estimate:  # fmt: skip
    ours, theirs = (
        np.stack([found[size, name, target, seed, corpus, role][0] for seed in seeds]) for name in (arm, control)
    )
    tokens = found[size, arm, target, seeds[0], corpus, role][1]
    by_seed = _difference(ours.sum(1), theirs.sum(1), tokens.sum(), relative)
    return crossed(by_seed, loss_pseudo_values(ours, theirs, tokens, relative))


def _forgetting(
    after: Losses, before: Losses, size: str, target: str, arm: str, control: str,
    seeds: Sequence[int], general: Sequence[str],
) -> Estimate:  # fmt: skip
    """How much more general loss SFT adds under an arm than under its control, in nats a token."""

    def risen(name: str) -> np.ndarray:
        return np.stack(
            [
                np.concatenate(
                    [
                        after[size, name, target, seed, corpus, "general"][0]
                        - before[size, name, None, seed, corpus, "general"][0]
                        for corpus in general
                    ]
                )
                for seed in seeds
            ]
        )

    tokens = np.concatenate([after[size, arm, target, seeds[0], corpus, "general"][1] for corpus in general])
    ours, theirs = risen(arm), risen(control)
    by_seed = _difference(ours.sum(1), theirs.sum(1), tokens.sum(), relative=False)
    return crossed(by_seed, loss_pseudo_values(ours, theirs, tokens, relative=False))


def minimum_detectable(control_losses: np.ndarray) -> float:
    """The relative effect that a two-sided test at 5% would find with 80% power, from the control's spread over seeds
    alone (two independent groups; pairing makes it smaller). NaN with fewer than two seeds."""
    n = len(control_losses)
    if n < 2:
        return math.nan
    freedom = 2 * (n - 1)
    reach = t_quantile(freedom) + t_quantile(freedom, POWER)
    return float(reach * control_losses.std(ddof=1) * math.sqrt(2 / n) / control_losses.mean())


# ---- agreement with the prediction -----------------------------------------------------------------------


def agreements(study: Study, found: pl.DataFrame) -> pl.DataFrame:
    """How the prediction, and the plain guess "matched domain", agree with the effects: all, and with one left out.

    Midtraining arms of the design "paper" only, one start: mixtures crossed with targets. A row a size, predictor and
    what is left out. Empty where fewer than three cells are done.
    """
    rows: list[dict[str, Any]] = []
    arms = [arm for arm in study.arms if arm.kind == "midtrain" and arm.design == "paper"]
    first = min((arm.start for arm in arms), default=0.0)
    arms = [arm for arm in arms if arm.start == first]
    for size in study.models:
        cells = found.filter(pl.col("size") == size)
        values = {(row["arm"], row["target"]): row for row in cells.iter_rows(named=True)}

        def column(name: str, values: Mapping[Any, Any] = values) -> np.ndarray:
            cells = [values.get((arm.name, target), {}).get(name) for arm in arms for target in study.targets]
            cells = [math.nan if cell is None else cell for cell in cells]
            return np.array(cells, float).reshape(len(arms), len(study.targets))

        observed = column("relative_improvement")
        guess = np.array([[float((arm.special, t) in study.matched) for t in study.targets] for arm in arms])
        for name, said in (("predicted", column("predicted")), ("matched domain", guess)):
            if np.isfinite(observed).sum() >= 3 and (name == "predicted" or study.matched):
                rows += _agreement_rows(size, name, said, observed, arms, study.targets)
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.selectors.float().fill_nan(None))


def _agreement_rows(
    size: str, name: str, said: np.ndarray, observed: np.ndarray, arms: Sequence[Any], targets: Sequence[str]
) -> list[dict[str, Any]]:
    whole = agreement(said, observed)
    on_target = np.isfinite(observed).sum(axis=0).tolist()
    rows = [
        {
            "size": size, "predictor": name, "left_out": "", "n": whole.n,
            "pearson": whole.pearson, "pearson_low": whole.pearson_low, "pearson_high": whole.pearson_high,
            "spearman": whole.spearman, "spearman_low": whole.spearman_low, "spearman_high": whole.spearman_high,
            "p": whole.p,
        }
    ]  # fmt: skip
    for t, r in whole.without_target.items():
        rows.append(
            {
                "size": size,
                "predictor": name,
                "left_out": f"target {targets[t]}",
                "n": whole.n - on_target[t],
                "pearson": r,
            }
        )
    for (m, t), r in whole.without_pair.items():
        told = f"pair {arms[m].special} -> {targets[t]}"
        rows.append(
            {"size": size, "predictor": name, "left_out": told, "n": whole.n - 1, "pearson": r,
             "spearman": whole.spearman_without_pair[m, t]}
        )  # fmt: skip
    return rows


def mixed_model(found: pl.DataFrame) -> pl.DataFrame:
    """Relative improvement on the standardised prediction, and on size and weight where they vary, with the target as
    random effect: one row a term, with its 95% interval. Empty, with a warning, where statsmodels cannot fit it."""
    import statsmodels.formula.api as smf

    rows = found.filter((pl.col("kind") != "control") & pl.col("predicted").is_not_null())
    spread = rows["predicted"].std() or 0.0
    if rows.height < 6 or rows["target"].n_unique() < 2 or not spread:
        return pl.DataFrame()
    data = {
        "improvement": rows["relative_improvement"].to_list(),
        "predicted": ((rows["predicted"] - rows["predicted"].mean()) / spread).to_list(),
        "weight": rows["weight"].to_list(),
        "size": rows["size"].to_list(),
        "target": rows["target"].to_list(),
    }
    terms = ["predicted"] + [name for name in ("weight", "size") if len(set(data[name])) > 1]
    import pandas as pd

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            fit = smf.mixedlm(f"improvement ~ {' + '.join(terms)}", pd.DataFrame(data), groups="target").fit(reml=True)
        except (np.linalg.LinAlgError, ValueError) as error:
            warnings.warn(f"The mixed-effects model cannot be fitted: {error}.", stacklevel=2)
            return pl.DataFrame()
    intervals = fit.conf_int()
    note = "; ".join(
        sorted({type(one.message).__name__ for one in warned if "Convergence" in type(one.message).__name__})
    )
    return pl.DataFrame(
        [
            {
                "term": term,
                "estimate": float(fit.params[term]),
                "low": float(intervals.loc[term, 0]),
                "high": float(intervals.loc[term, 1]),
                "p": float(fit.pvalues[term]),
                "n": rows.height,
                "groups": len(set(data["target"])),
                "note": note or "converged",
            }
            for term in fit.fe_params.index
        ]
    )


def timing(study: Study, found: pl.DataFrame) -> pl.DataFrame:
    """The effects of arms that differ in when they start: one row a design, start, weight and target; empty without."""
    starts = {arm.design: {one.start for one in study.arms if one.design == arm.design} for arm in study.arms}
    varied = [design for design, all_ in starts.items() if len(all_) > 1]
    columns = [*KEYS, "target", "n_seeds", "relative_improvement", "low", "high", "forgetting_difference",
               "forgetting_low", "forgetting_high"]  # fmt: skip
    span = pl.when(pl.col("design") == "both").then(study.decay).otherwise(1 - pl.col("start"))
    return (
        found.filter(pl.col("design").is_in(varied))
        .select(columns)
        .with_columns(special_tokens=(pl.col("weight") * span * study.tokens).round().cast(pl.Int64))
        .sort("size", "design", "start", "weight", "target")
    )


# ---- all of it -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Findings:
    """What a study found: tables by name, sentences, and what they rest on."""

    study: Study
    tables: Mapping[str, pl.DataFrame]
    verdicts: tuple[str, ...]
    facts: Mapping[str, Any]


def find_out(folder: Path) -> Findings:
    """The findings of a study's folder, from whatever is done of it."""
    from simtool.prediction.predict import load_prediction

    folder = Path(folder)
    study, table = study_of(folder), records(folder)
    prediction = load_prediction(folder / "prediction.json")
    lost, by_document = losses(table), documents(folder, table)
    found = effects(study, lost, by_document, prediction)
    agreed = agreements(study, found)
    tables = {
        "study_records": table.drop("achieved"),
        "study_losses": lost,
        "study_effects": found,
        "study_agreement": agreed,
        "study_timing": timing(study, found),
        "study_mixed_model": mixed_model(found),
    }
    facts = provenance(
        study=study.name,
        about=study.about,
        prediction=prediction.hash,
        predictor=prediction.content["predictor"]["name"],
        seeds=list(study.seeds),
        tokens=study.tokens,
        devices=sorted(set(table["device"])),
        torch=sorted(set(table["torch"])),
        commits=sorted({one for one in table["commit"] if one}),
        intervals="95%, over seeds and documents (crossed); p by Student's t, Holm over the study's effects",
    )
    return Findings(
        study,
        {name: one for name, one in tables.items() if one.height},
        tuple(verdicts(found, agreed)),
        facts,
    )


def save_findings(findings: Findings, folder: Path, by_document: pl.DataFrame | None = None) -> list[Path]:
    """Tables as csv with their provenance, and the sentences, in a folder."""
    from simtool.tables import atomic_write

    paths = []
    for name, table in findings.tables.items():
        paths.append(Path(folder) / f"{name}.csv")
        save_table(table, paths[-1], {"table": name, **findings.facts})
    if by_document is not None:
        paths.append(Path(folder) / "study_documents.parquet")
        save_table(by_document, paths[-1], {"table": "study_documents", **findings.facts})
    paths.append(Path(folder) / "verdicts.json")
    with atomic_write(paths[-1]) as temporary:
        told = {"verdicts": list(findings.verdicts), **findings.facts}
        temporary.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return paths
