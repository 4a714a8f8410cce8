"""From a study's records to tables of losses: one row per arm, target and seed; one per measurement and document."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from simtool.errors import SimtoolError
from simtool.integrity import checked, damage_as_message, read_json
from simtool.studies.plan import REPORTED, SELECTED_ON, Node, Study, plan
from simtool.studies.prepare import find_study, fingerprint_of_study, is_prepared, tokenize_texts
from simtool.studies.records import identity_of, read_records, rows_of
from simtool.studies.worker import losses_file, measured_rows

KEYS = ["size", "design", "arm", "kind", "mix", "weight", "start"]


def load_records(folder: Path) -> pl.DataFrame:
    """The records of a study as a table.

    Raises
    ------
    SimtoolError
        When there is none yet.
    """
    path = Path(folder) / "records.jsonl"
    if not path.exists():
        raise SimtoolError(f"No records in {folder}. Run the study first: simtool train-eval --out {folder}.")
    rows = read_records(path)
    if not rows:
        raise SimtoolError(f"{path} holds no rows yet. Run the study on: simtool train-eval --out {folder}.")
    table = pl.DataFrame([{**row, "achieved": json.dumps(row["achieved"])} for row in rows], infer_schema_length=None)
    return table.with_columns(pl.col("arm", "design", "mix", "target").cast(pl.String))  # null in all rows at first


def filter_records(table: pl.DataFrame, values: Mapping[str, Any]) -> pl.DataFrame:
    """The rows with these values; None stands for any.

    Raises
    ------
    SimtoolError
        Where one is not among a column's values; the message lists these.
    """
    for column, value in values.items():
        if value is None:
            continue
        existing = table[column].drop_nulls().unique().sort().to_list()
        if value not in existing:
            raise SimtoolError(f"No rows with {column} {value!r}. There are: {', '.join(map(str, existing))}.")
        table = table.filter(pl.col(column) == value)
    return table


def at_best_rate(table: pl.DataFrame) -> pl.DataFrame:
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


def unigram_entropies(study: Study, folder: Path) -> dict[str, float]:
    """{general corpus: entropy of its training text's tokens}, nats per token; empty where the ids are gone.

    It is the loss of the best model that knows how frequent each token is, and nothing else.
    """
    try:
        stores = tokenize_texts(study, folder, None)
    except SimtoolError:
        return {}
    return {name: unigram_entropy(stores[name]["train"].ids) for name in study.general}


def unigram_entropy(ids: np.ndarray) -> float:
    """Nats per token of the tokens' own frequencies."""
    counts = np.bincount(ids)
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def losses(table: pl.DataFrame, unigram: Mapping[str, float] | None = None) -> pl.DataFrame:
    """One row per arm, target and seed that are whole: the target's loss and the general one, before SFT and after.

    Nats per counted token on the reported split; several general corpora count by their tokens. general_unigram, what
    a model of token frequencies alone would have, is null where `unigram` (by corpus) does not say.
    """
    reported = table.filter(pl.col("split") == REPORTED)
    after = at_best_rate(table).filter(pl.col("split") == REPORTED)
    before = reported.filter(pl.col("phase") == "midtrain")
    keys = [*KEYS, "target", "seed"]
    target = after.filter(pl.col("role") == "target").select(
        *keys, loss="nats_per_token", learning_rate="learning_rate"
    )
    target_before = before.filter(pl.col("role") == "target").select(
        "size", "arm", "seed", target="corpus", loss_before="nats_per_token"
    )
    general_after = _by_tokens(after.filter(pl.col("role") == "general"), ["size", "arm", "target", "seed"])
    general = before.filter(pl.col("role") == "general")
    general_before = _by_tokens(general, ["size", "arm", "seed"])
    general_unigram = _by_tokens(_at_unigram_loss(general, unigram or {}), ["size", "arm", "seed"])
    return (
        target.join(target_before, on=["size", "arm", "target", "seed"])
        .join(general_before.rename({"loss": "general_before"}), on=["size", "arm", "seed"])
        .join(general_unigram.rename({"loss": "general_unigram"}), on=["size", "arm", "seed"])
        .join(general_after.rename({"loss": "general_after"}), on=["size", "arm", "target", "seed"])
        .with_columns(forgetting=pl.col("general_after") - pl.col("general_before"))
        .sort("size", "target", "arm", "seed")
    )


def _at_unigram_loss(rows: pl.DataFrame, unigram: Mapping[str, float]) -> pl.DataFrame:
    """With the unigram entropy of its corpus as the loss of each row; null where one is not known."""
    entropies = pl.Series("nats_per_token", [unigram.get(name) for name in rows["corpus"]], pl.Float64)
    return rows.with_columns(entropies)


def _by_tokens(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    weighted = (pl.col("nats_per_token") * pl.col("n_tokens")).sum() / pl.col("n_tokens").sum()
    weighted = pl.when(pl.col("nats_per_token").is_null().any()).then(None).otherwise(weighted)
    return rows.group_by(keys).agg(loss=weighted)


def document_losses(folder: Path, table: pl.DataFrame) -> pl.DataFrame:
    """The loss of each held-out document: one row per measurement and document, reported split only."""
    from simtool.evaluation.loss import load_losses

    runs = {run.name.rsplit("-", 1)[0]: run for run in run_folders(folder)}
    measured = pl.concat([table.filter(pl.col("phase") == "midtrain"), at_best_rate(table)])
    parts = []
    for row in measured.filter(pl.col("split") == REPORTED).iter_rows(named=True):
        run = runs.get(row["node"])
        if run is None:
            raise SimtoolError(f"The run {row['node']} of {folder} is gone, and with it its documents' losses.")
        by_document = load_losses(run / "losses" / losses_file(row, row["document_limit"]))
        keys = {name: row[name] for name in ("size", "arm", "target", "seed", "phase", "corpus", "role", "loss_on")}
        columns = {"document": by_document.hashes, "nats": by_document.nats, "n_tokens": by_document.n_tokens}
        parts.append(
            pl.DataFrame(columns).with_columns(
                **{name: pl.lit(value, dtype=pl.Int64 if name == "seed" else pl.String) for name, value in keys.items()}
            )
        )
    return pl.concat(parts)


def run_folders(folder: Path) -> Iterator[Path]:
    """Folders of a study's runs."""
    path = Path(folder) / "place.json"
    content = {}
    if path.exists():
        with damage_as_message(path, "Repeat the study's command with --runs: it is written anew, and no run is lost."):
            content = checked(read_json(path), ("runs",))
    return (run for run in Path(content.get("runs") or Path(folder) / "runs").glob("*") if run.is_dir())


def n_unrecorded(folder: Path) -> int:
    """How many measurements of finished runs are in no row of a study's records: lines that were lost.

    Runs that lie elsewhere may be another study's as well, and be ahead of this one: of these, only those are looked at
    that it surely recorded.
    """
    folder = Path(folder)
    path = folder / "records.jsonl"
    if not (is_prepared(folder) and path.exists()):
        return 0
    study = find_study(folder)
    rows = read_records(path)
    recorded = {identity_of(row) for row in rows}
    nodes = plan(study, fingerprint_of_study(study, folder, None), dict.fromkeys(study.targets, 1)).nodes
    if (folder / "place.json").exists():
        nodes = _with_parents((row["node"] for row in rows), nodes)
    done = ((nodes.get(run.name.rsplit("-", 1)[0]), run / "done.json") for run in run_folders(folder))
    measured = (row for node, at in done if node and at.exists() for row in rows_of(study, node, measured_rows(at)))
    return sum(identity_of(row) not in recorded for row in measured)


def _with_parents(keys: Iterable[str], nodes: Mapping[str, Node]) -> dict[str, Node]:
    """Nodes, and those that they go on from: recorded before them."""
    reached: dict[str, Node] = {}
    for key in keys:
        while key in nodes and key not in reached:
            reached[key] = nodes[key]
            key = nodes[key].parent or ""
    return reached
