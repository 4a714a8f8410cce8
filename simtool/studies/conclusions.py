"""What a study found, in sentences made of its numbers."""

from collections.abc import Mapping
from typing import Any

import polars as pl


def verdicts(found: pl.DataFrame, agreed: pl.DataFrame) -> list[str]:
    """What was found, in sentences made of the numbers; what cannot be told is said to be so."""
    told = []
    for row in found.filter(pl.col("kind") == "midtrain", pl.col("design") == "paper").iter_rows(named=True):
        n = found.filter(
            pl.col("size") == row["size"], pl.col("design") == row["design"], pl.col("start") == row["start"],
            pl.col("target") == row["target"],
        ).height  # fmt: skip
        told.append(
            f"{row['size']}: midtraining on {row['arm']} {_moved(row)};"
            f" simtool had ranked it {row['predicted_rank']} of {n}, it came out {row['observed_rank']}."
        )
    told += _cpt_verdicts(found)
    for row in agreed.filter(pl.col("left_out") == "").iter_rows(named=True) if agreed.height else ():
        if row["pearson"] is None:
            continue
        left = agreed.filter(
            pl.col("size") == row["size"], pl.col("predictor") == row["predictor"],
            pl.col("left_out").str.starts_with("target"), pl.col("pearson").is_not_null(),
        )  # fmt: skip
        lowest = left.sort("pearson").head(1).to_dicts()
        without = f"; at lowest {lowest[0]['pearson']:+.2f} without {lowest[0]['left_out']}" if lowest else ""
        what = "the prediction" if row["predictor"] == "predicted" else f"the guess '{row['predictor']}'"
        interval = f" [{row['pearson_low']:+.2f}, {row['pearson_high']:+.2f}]" if row["pearson_low"] is not None else ""
        unsure = "" if interval else " (too few pairs for an interval)"
        told.append(
            f"{row['size']}: {what} and the improvement correlate at r = {row['pearson']:+.2f}{interval}{unsure},"
            f" permutation p = {row['p']:.3f} (n = {row['n']}){without}."
        )
    return told


def _moved(row: Mapping[str, Any]) -> str:
    value, target = row["relative_improvement"], row["target"]
    if row["low"] is None:
        return f"changed loss on {target} by {-value:+.1%} (one seed: how sure cannot be said)"
    interval = f"[{row['low']:.1%}, {row['high']:.1%}]"
    if row["low"] <= 0 <= row["high"]:
        return f"made no difference to loss on {target} that can be told from none ({value:+.1%} {interval} lower)"
    sure = "" if row["p_holm"] is not None and row["p_holm"] < 0.05 else ", not significant after Holm's correction"
    if value > 0:
        return f"lowered loss on {target} by {value:.1%} {interval}{sure}"
    return f"raised loss on {target} by {-value:.1%} [{-row['high']:.1%}, {-row['low']:.1%}]{sure}"


def _forgot(row: Mapping[str, Any]) -> str:
    value, low, high = (row[f"forgetting_{name}"] for name in ("difference", "low", "high"))
    if low is None:
        return f"{abs(value):.3f} nats {'less' if value < 0 else 'more'}"
    if value < 0:
        return f"{-value:.3f} nats less [{-high:.3f}, {-low:.3f}]"
    return f"{value:.3f} nats more [{low:.3f}, {high:.3f}]"


def _cpt_verdicts(found: pl.DataFrame) -> list[str]:
    """Continued pretraining against midtraining on the same corpus, from the same fork."""
    told = []
    pure = found.filter(pl.col("kind") == "cpt", pl.col("design") == "paper")
    for row in pure.iter_rows(named=True):
        mixed = found.filter(
            pl.col("kind") == "midtrain", pl.col("design") == "paper", pl.col("size") == row["size"],
            pl.col("mix") == row["mix"], pl.col("target") == row["target"], pl.col("start") == row["start"],
        )  # fmt: skip
        for other in mixed.iter_rows(named=True):
            told.append(
                f"{row['size']}: continued pretraining on {row['mix']} alone {_moved(row)}, where midtraining at"
                f" {other['weight']:g} {_moved(other)}; against the control, SFT then cost general text {_forgot(row)}"
                f" after the first and {_forgot(other)} after the second."
            )
    return told
