"""What a study concludes: tables, and sentences made of their numbers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from simtool.studies.effects import agreements, effects, mixed_model, timing
from simtool.studies.losses import document_losses, load_records, losses
from simtool.studies.plan import Study
from simtool.studies.prepare import find_study
from simtool.tables import atomic_write, provenance, save_table


@dataclass(frozen=True)
class Conclusions:
    """What a study concludes from whatever is done of it.

    tables       {name: table}, those without rows left out
    by_document  the loss of each held-out document
    sentences    what the tables say
    facts        what all of it rests on
    """

    study: Study
    tables: Mapping[str, pl.DataFrame]
    by_document: pl.DataFrame
    sentences: tuple[str, ...]
    facts: Mapping[str, Any]


def analyze(folder: Path) -> Conclusions:
    """The conclusions of a study's folder. Raises SimtoolError where no arm and its control are done."""
    from simtool.prediction.predict import load_prediction

    folder = Path(folder)
    study, records = find_study(folder), load_records(folder)
    prediction = load_prediction(folder / "prediction.json")
    by_run, by_document = losses(records), document_losses(folder, records)
    by_arm = effects(study, by_run, by_document, prediction)
    agreed = agreements(study, by_arm)
    tables = {
        "study_records": records.drop("achieved"),
        "study_losses": by_run,
        "study_effects": by_arm,
        "study_agreement": agreed,
        "study_timing": timing(study, by_arm),
        "study_mixed_model": mixed_model(by_arm),
    }
    facts = provenance(
        study=study.name,
        about=study.about,
        prediction=prediction.hash,
        predictor=prediction.content["predictor"]["name"],
        seeds=list(study.seeds),
        tokens=study.tokens,
        devices=sorted(set(records["device"])),
        torch=sorted(set(records["torch"])),
        commits=sorted({commit for commit in records["commit"] if commit}),
        intervals="95%, over seeds and documents (crossed); p by Student's t, Holm over the study's effects",
    )
    tables = {name: table for name, table in tables.items() if table.height}
    return Conclusions(study, tables, by_document, tuple(sentences(by_arm, agreed)), facts)


def save_conclusions(conclusions: Conclusions, folder: Path) -> list[Path]:
    """Tables with their provenance, and the sentences, in a folder: the paths written."""
    folder, facts = Path(folder), conclusions.facts
    paths = [folder / f"{name}.csv" for name in conclusions.tables]
    for path, (name, table) in zip(paths, conclusions.tables.items(), strict=True):
        save_table(table, path, {"table": name, **facts})
    paths += [folder / "study_documents.parquet", folder / "conclusions.json"]
    save_table(conclusions.by_document, paths[-2], {"table": "study_documents", **facts})
    with atomic_write(paths[-1]) as temporary:
        content = {"sentences": list(conclusions.sentences), **facts}
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return paths


# ---- sentences -------------------------------------------------------------------------------------------


def sentences(by_arm: pl.DataFrame, agreed: pl.DataFrame) -> list[str]:
    """What was found, in sentences made of the numbers; where they do not suffice, the sentence says so."""
    lines = []
    for row in by_arm.filter(pl.col("kind") == "midtrain", pl.col("design") == "paper").iter_rows(named=True):
        n = by_arm.filter(
            pl.col("size") == row["size"], pl.col("design") == row["design"], pl.col("start") == row["start"],
            pl.col("target") == row["target"],
        ).height  # fmt: skip
        lines.append(
            f"{row['size']}: midtraining on {row['arm']} {_effect_words(row)};"
            f" simtool had ranked it {row['predicted_rank']} of {n}, it came out {row['observed_rank']}."
        )
    lines += _cpt_sentences(by_arm)
    if agreed.height:
        whole = agreed.filter(pl.col("left_out") == "", pl.col("pearson").is_not_null())
        lines += [_agreement_sentence(row, agreed) for row in whole.iter_rows(named=True)]
    return lines


def _agreement_sentence(row: Mapping[str, Any], agreed: pl.DataFrame) -> str:
    without_target = agreed.filter(
        pl.col("size") == row["size"], pl.col("predictor") == row["predictor"],
        pl.col("left_out").str.starts_with("target"), pl.col("pearson").is_not_null(),
    )  # fmt: skip
    lowest = without_target.sort("pearson").head(1).to_dicts()
    without = f"; at lowest {lowest[0]['pearson']:+.2f} without {lowest[0]['left_out']}" if lowest else ""
    predictor = "the prediction" if row["predictor"] == "predicted" else "the same-domain baseline"
    interval = " (too few pairs for an interval)"
    if row["pearson_low"] is not None:
        interval = f" [{row['pearson_low']:+.2f}, {row['pearson_high']:+.2f}]"
    return (
        f"{row['size']}: {predictor} and the improvement correlate at r = {row['pearson']:+.2f}{interval},"
        f" permutation p = {row['p']:.3f} (n = {row['n']}){without}."
    )


def _effect_words(row: Mapping[str, Any]) -> str:
    value, target = row["relative_improvement"], row["target"]
    if row["low"] is None:
        return f"changed loss on {target} by {-value:+.1%} (one seed: no interval)"
    interval = f"[{row['low']:.1%}, {row['high']:.1%}]"
    if row["low"] <= 0 <= row["high"]:
        return (
            f"changed loss on {target} by an amount not significantly different from zero"
            f" (improvement {value:+.1%} {interval})"
        )
    corrected = row["p_holm"] is not None and row["p_holm"] < 0.05
    note = "" if corrected else ", not significant after Holm's correction"
    if value > 0:
        return f"lowered loss on {target} by {value:.1%} {interval}{note}"
    return f"raised loss on {target} by {-value:.1%} [{-row['high']:.1%}, {-row['low']:.1%}]{note}"


def _forgetting_words(row: Mapping[str, Any]) -> str:
    value, low, high = (row[f"forgetting_{name}"] for name in ("difference", "low", "high"))
    if low is None:
        return f"{abs(value):.3f} nats {'less' if value < 0 else 'more'}"
    if value < 0:
        return f"{-value:.3f} nats less [{-high:.3f}, {-low:.3f}]"
    return f"{value:.3f} nats more [{low:.3f}, {high:.3f}]"


def _cpt_sentences(by_arm: pl.DataFrame) -> list[str]:
    """Continued pretraining against midtraining on the same corpus, from the same fork."""
    lines = []
    for row in by_arm.filter(pl.col("kind") == "cpt", pl.col("design") == "paper").iter_rows(named=True):
        mixed = by_arm.filter(
            pl.col("kind") == "midtrain", pl.col("design") == "paper", pl.col("size") == row["size"],
            pl.col("mix") == row["mix"], pl.col("target") == row["target"], pl.col("start") == row["start"],
        )  # fmt: skip
        for other in mixed.iter_rows(named=True):
            lines.append(
                f"{row['size']}: continued pretraining on {row['mix']} alone {_effect_words(row)}, where midtraining at"
                f" {other['weight']:g} {_effect_words(other)}; against the control, SFT then cost general text"
                f" {_forgetting_words(row)} after the first and {_forgetting_words(other)} after the second."
            )
    return lines
