"""Does midtraining beat continued pretraining, in the target's loss and in what is forgotten?

Each midtraining arm beside the continued pretraining on the same special corpus, both against the control. Published:
160M, where only the loss on general text after SFT is known; our study: forgetting, after SFT minus before it.
"""

from pathlib import Path
from typing import Any

import polars as pl

from analyses import find_table

COLUMNS = (
    *("source", "size", "target", "mix", "weight", "kind", "relative_improvement", "low", "high"),
    *("general_difference", "general_low", "general_high", "general_is"),
)


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per source, size, target, mixture and kind of arm; differences are arm minus control, above 0: worse."""
    published, facts = find_table(tables, "published_forgetting", "the paper")
    parts = [_published(published)]
    if (tables / "study_effects.csv").exists():
        parts.append(_study(find_table(tables, "study_effects", "simtool train-eval")[0]))
    table = pl.concat(part.select(COLUMNS) for part in parts)
    both = pl.col("kind").n_unique().over("source", "size", "target", "mix") == 2
    return table.filter(both), {"results": facts["about"]}


def _published(results: pl.DataFrame) -> pl.DataFrame:
    nothing = pl.lit(None, pl.Float64)
    return results.with_columns(
        source=pl.lit("published"),
        kind=pl.when(pl.col("weight") >= 1).then(pl.lit("cpt")).otherwise(pl.lit("midtrain")),
        relative_improvement=(pl.col("control_loss") - pl.col("loss")) / pl.col("control_loss"),
        general_difference=pl.col("general_loss") - pl.col("control_general_loss"),
        general_is=pl.lit("loss on C4 after SFT"),
        low=nothing,
        high=nothing,
        general_low=nothing,
        general_high=nothing,
    )


def _study(effects: pl.DataFrame) -> pl.DataFrame:
    """The first start of each arm, in the paper's design where it was run."""
    return (
        effects.filter(pl.col("kind").is_in(["midtrain", "cpt"]))
        .sort((pl.col("design") != "paper"), "start", maintain_order=True)
        .unique(["size", "target", "mix", "kind"], keep="first", maintain_order=True)
        .with_columns(
            pl.col("size").cast(str),
            source=pl.lit("study"),
            general_difference="forgetting_difference",
            general_low="forgetting_low",
            general_high="forgetting_high",
            general_is=pl.lit("forgetting of general text"),
        )
    )
