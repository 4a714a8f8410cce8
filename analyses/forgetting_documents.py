"""Which documents does a model forget during SFT, and what do they have in common?

The change of each held-out general document's loss after SFT, averaged over seeds; and its rank correlation, over the
documents, with the document's length, its loss before SFT and the likeness of its tokens to the target's.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from analyses._tiny import GENERAL, tiny_study
from simtool.statistics import TAILS
from simtool.tokens.store import TokenStore

FEWEST_TOKENS = 16  # a document's loss per token is noise below
BOOTSTRAPS = 1000
RELATIONS = ("n_tokens", "loss_before", "likeness")


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    study = tiny_study()
    general = study.stores[GENERAL]
    targets = {name: study.stores[name]["train"] for name in study.documents["target"].drop_nulls().unique()}
    like = pl.concat(
        [
            pl.DataFrame(
                {"document": np.array(general["validation"].hashes),
                 "likeness": likeness(general["validation"], store, general["train"])}
            ).with_columns(target=pl.lit(name))
            for name, store in targets.items()
        ]
    )  # fmt: skip
    table = by_document(study.documents, GENERAL).join(like, on=["document", "target"], how="left")
    table = table.sort("size", "arm", "target", "document")
    return table, {**study.facts, "relations": relations(table).to_dicts(), "fewest_tokens": FEWEST_TOKENS}


def by_document(documents: pl.DataFrame, general: str) -> pl.DataFrame:
    """One row per (size, arm, target, document): loss before, change after SFT (nats per token), means over seeds.

    documents   document-level losses as a study writes them; before SFT the target is null
    """
    losses = documents.filter(
        pl.col("corpus") == general, pl.col("loss_on") == "text", pl.col("n_tokens") >= FEWEST_TOKENS
    ).with_columns(loss=pl.col("nats") / pl.col("n_tokens"))
    run = ["size", "arm", "seed", "document"]
    before = losses.filter(pl.col("target").is_null(), pl.col("phase") != "pretrain").select(*run, loss_before="loss")
    after = losses.filter(pl.col("phase") == "sft").join(before, on=run, how="inner")
    return (
        after.with_columns(change=pl.col("loss") - pl.col("loss_before"))
        .group_by("size", "arm", "target", "document")
        .agg(
            pl.col("n_tokens").first(),
            pl.col("loss_before").mean(),
            pl.col("change").mean(),
            change_lowest_seed=pl.col("change").min(),
            change_highest_seed=pl.col("change").max(),
            n_seeds=pl.len(),
        )
    )


def likeness(documents: TokenStore, target: TokenStore, general: TokenStore) -> np.ndarray:
    """Of each document, bits per token by which its tokens are likelier in the target than in general text.

    Unigrams, one added to every count. A document of no tokens has none (NaN).
    """
    counts = [np.bincount(store.ids, minlength=documents.vocabulary_size) + 1.0 for store in (target, general)]
    bits = np.log2(counts[0] / counts[0].sum()) - np.log2(counts[1] / counts[1].sum())
    lengths = np.diff(documents.offsets)
    sums = np.bincount(
        np.repeat(np.arange(len(lengths)), lengths), bits[documents.ids], minlength=documents.n_documents
    )
    return np.where(lengths > 0, sums / np.maximum(lengths, 1), np.nan)


def relations(table: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Spearman's correlation of the change with each property, 95% by drawing documents; and how many forget."""
    rows = []
    for (size, arm, target), documents in table.group_by("size", "arm", "target", maintain_order=True):
        change, rng = documents["change"].to_numpy(), np.random.default_rng(seed)
        drawn = rng.integers(0, len(change), (BOOTSTRAPS, len(change)))
        named = {"size": size, "arm": arm, "target": target, "n_documents": len(change)}
        named |= {"mean_change": float(change.mean()), "share_forgotten": float((change > 0).mean())}
        for name in RELATIONS:
            values = documents[name].to_numpy()
            draws = [spearmanr(values[d], change[d]).statistic for d in drawn]
            low, high = np.quantile(draws, TAILS)
            value = float(spearmanr(values, change).statistic)
            rows.append({**named, "with": name, "spearman": value, "low": float(low), "high": float(high)})
    return pl.DataFrame(rows)
