"""What a study concludes: tables, and sentences made of their numbers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from simtool.results import Tabular, save_tables
from simtool.studies.effects import agreements, effects, nothing_done, timing
from simtool.studies.losses import document_losses, load_records, losses, unigram_entropies
from simtool.studies.plan import Study
from simtool.studies.prepare import find_study
from simtool.studies.records import n_without_hash
from simtool.tables import atomic_write, provenance, save_table
from simtool.wording import agreement, attainable, beyond_baseline, difference, effect, predictor_name, regime


@dataclass(frozen=True, repr=False)
class Conclusions(Tabular):
    """What a study concludes from whatever is done of it.

    tables       {name: table}, those without rows left out
    by_document  the loss of each held-out document
    sentences    what the tables say
    facts        what all of it rests on
    """

    table = "study_effects"

    study: Study
    tables: Mapping[str, pl.DataFrame]
    by_document: pl.DataFrame
    sentences: tuple[str, ...]
    facts: Mapping[str, Any]

    def to_polars(self) -> pl.DataFrame:
        """One row per arm and target: the improvement over the control, with its interval."""
        return self.tables[self.table]

    def save(self, folder: Path) -> list[Path]:
        """All tables with their provenance, and the drawings that there are of them, in a folder."""
        return save_tables(self.tables, self.facts, folder)

    def __str__(self) -> str:
        return "\n".join([f"Conclusions of the study {self.study.name}", *self.sentences])


def analyze(folder: Path) -> Conclusions:
    """The conclusions of a study's folder.

    Raises
    ------
    SimtoolError
        Where no arm and its control are done.
    """
    from simtool.prediction.predict import load_prediction

    folder = Path(folder)
    study, records = find_study(folder), load_records(folder)
    prediction = load_prediction(folder / "prediction.json")
    by_run = losses(records, unigram_entropies(study, folder))
    if by_run.is_empty():
        raise nothing_done()
    by_document = document_losses(folder, records)
    by_arm = effects(study, by_run, by_document, prediction)
    agreed = agreements(study, by_arm)
    tables = {
        "study_records": records.drop("achieved"),
        "study_losses": by_run,
        "study_effects": by_arm,
        "study_agreement": agreed,
        "study_timing": timing(study, by_arm),
    }
    facts = provenance(
        study=study.name,
        about=study.about,
        prediction=prediction.hash,
        predictor=prediction.content["predictor"]["name"],
        seeds=sorted(set(by_run["seed"])),
        tokens=study.tokens,
        devices=sorted(set(records["device"])),
        torch=sorted(set(records["torch"])),
        pretrain=str(study.pretrain),
        tokenizer=study.tokenizer,
        same_domain=[list(pair) for pair in study.same_domain],
        commits=sorted({commit for commit in records["commit"] if commit}),
        intervals="95%, over seeds and documents (crossed); p by Student's t, Holm over the study's effects",
    )
    if n := n_without_hash(folder / "records.jsonl"):
        facts["records_without_hash"] = n
    tables = {name: table for name, table in tables.items() if table.height}
    return Conclusions(study, tables, by_document, (*regime_sentences(by_run), *sentences(by_arm, agreed)), facts)


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


def regime_sentences(by_run: pl.DataFrame) -> list[str]:
    """Whether the models of each size have learnt more than how frequent each token is."""
    controls = by_run.filter(pl.col("kind") == "control", pl.col("general_unigram").is_not_null())
    means = controls.group_by("size", maintain_order=True).agg(pl.col("general_before", "general_unigram").mean())
    return [f"{size}: {regime(loss, unigram)}" for size, loss, unigram in means.iter_rows()]


def sentences(by_arm: pl.DataFrame, agreed: pl.DataFrame) -> list[str]:
    """What was found, in sentences made of the numbers: of the prediction, of each target, of continued pretraining.

    Where the numbers do not suffice, the sentence says so; all of them are in the tables.
    """
    lines = []
    if agreed.height:
        whole = agreed.filter(pl.col("left_out") == "", pl.col("pearson").is_not_null())
        lines += [_agreement_sentence(row, agreed) for row in whole.iter_rows(named=True)]
    paper = by_arm.filter(pl.col("design") == "paper")
    for _, arms in paper.filter(pl.col("kind") == "midtrain").group_by("size", "target", maintain_order=True):
        lines.append(_target_sentence(arms))
    for _, arms in paper.group_by("size", "mix", maintain_order=True):
        lines += _cpt_sentences(arms)
    return lines


def _target_sentence(arms: pl.DataFrame) -> str:
    """The best mixture for one target, and how many of the others helped."""
    best = arms.sort("relative_improvement", descending=True, maintain_order=True).row(0, named=True)
    subject = f"midtraining on {best['arm']}" if arms.height == 1 else f"of {arms.height} mixtures {best['arm']}"
    line = f"{best['size']}: {subject} {_effect(best)}; general text then costs {_general(best)}"
    if arms.height == 1:
        return f"{line}."
    if best["predicted"] is not None:
        line += f"; simtool had ranked it {1 + (arms['predicted'] > best['predicted']).sum()}"
    if arms["low"].is_null().all():
        return f"{line}."
    lower, higher = (arms["low"] > 0).sum(), (arms["high"] < 0).sum()
    return f"{line}. By 95% intervals {lower} lowered that loss and {higher} raised it."


def _agreement_sentence(row: Mapping[str, Any], agreed: pl.DataFrame) -> str:
    without_target = agreed.filter(
        pl.col("size") == row["size"], pl.col("predictor") == row["predictor"],
        pl.col("left_out").str.starts_with("target"), pl.col("pearson").is_not_null(),
    )  # fmt: skip
    lowest = without_target.sort("pearson").head(1).to_dicts()
    without = f"; at lowest {lowest[0]['pearson']:+.2f} without {lowest[0]['left_out']}" if lowest else ""
    numbers = (row["pearson"], row["pearson_low"], row["pearson_high"], row["n"], row["p"])
    line = f"{row['size']}: {agreement(predictor_name(row['predictor']), 'r', *numbers)}{without}."
    if row["predictor"] != "predicted":
        return line
    noise = attainable("r", *(row[f"attainable_pearson{end}"] for end in ("", "_low", "_high")))
    return f"{line} {noise}" if row["partial"] is None else f"{line} {noise} {beyond_baseline(row)}"


def _effect(row: Mapping[str, Any]) -> str:
    return effect(row["target"], row["relative_improvement"], row["low"], row["high"], row["p_holm"])


def _general(row: Mapping[str, Any]) -> str:
    """The general loss after SFT against the control's."""
    return f"{difference(*(row[f'general_{name}'] for name in ('difference', 'low', 'high')))} than under the control"


def _cpt_sentences(arms: pl.DataFrame) -> list[str]:
    """Continued pretraining against midtraining on the same corpus, from the same fork: where it moved most."""
    both = arms.filter(pl.col("kind") == "cpt").join(
        arms.filter(pl.col("kind") == "midtrain"), on=("target", "start"), suffix="_mixed", maintain_order="left"
    )
    if both.is_empty():
        return []
    row = both.sort(pl.col("relative_improvement").abs(), descending=True).row(0, named=True)
    mixed = {**row, **{name.removesuffix("_mixed"): value for name, value in row.items() if name.endswith("_mixed")}}
    ahead = (both["relative_improvement"] > both["relative_improvement_mixed"]).sum()
    return [
        f"{row['size']}: continued pretraining on {row['mix']} alone {_effect(row)}, where midtraining at"
        f" {mixed['weight']:g} {_effect(mixed)}; general text then costs {_general(row)} after the first and"
        f" {_general(mixed)} after the second. The first is ahead on {ahead} of {both.height} targets."
    ]
