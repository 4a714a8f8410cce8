"""Does midtraining beat continued pretraining, in the target's loss and in what general text costs at the end?

Each midtraining arm beside the continued pretraining on the same special corpus, both against the control. General
text: its loss at the end, after SFT, above the control's, so that what an arm lost before SFT counts. Published: 160M.
"""

import math
from pathlib import Path
from typing import Any

import polars as pl

from analyses import find_table
from simtool.statistics import t_quantile

COLUMNS = (
    *("source", "size", "target", "mix", "weight", "kind", "relative_improvement", "low", "high"),
    *("general_difference", "general_low", "general_high"),
)
ARM = ["size", "design", "arm", "target"]


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per source, size, target, mixture and kind of arm; differences are arm minus control, above 0: worse."""
    published, facts = find_table(tables, "published_forgetting", "the paper")
    parts = [_published(published)]
    if (tables / "study_effects.csv").exists():
        tables_of_study = (
            find_table(tables, name, "simtool train-eval")[0] for name in ("study_effects", "study_losses")
        )
        parts.append(_study(*tables_of_study))
    table = pl.concat(part.select(COLUMNS) for part in parts)
    both = pl.col("kind").n_unique().over("source", "size", "target", "mix") == 2
    return table.filter(both), {
        "results": facts["about"],
        "unit": "general_difference: nats per token, loss on general text after SFT; of a study 95% over seeds",
    }


def _published(results: pl.DataFrame) -> pl.DataFrame:
    unknown = pl.lit(None, pl.Float64)
    return results.with_columns(
        source=pl.lit("published"),
        kind=pl.when(pl.col("weight") >= 1).then(pl.lit("cpt")).otherwise(pl.lit("midtrain")),
        relative_improvement=(pl.col("control_loss") - pl.col("loss")) / pl.col("control_loss"),
        general_difference=pl.col("general_loss") - pl.col("control_general_loss"),
        low=unknown,
        high=unknown,
        general_low=unknown,
        general_high=unknown,
    )


def _study(effects: pl.DataFrame, losses: pl.DataFrame) -> pl.DataFrame:
    """The first start of each arm, in the paper's design where it was run."""
    return (
        effects.filter(pl.col("kind").is_in(["midtrain", "cpt"]))
        .sort((pl.col("design") != "paper"), "start", maintain_order=True)
        .unique(["size", "target", "mix", "kind"], keep="first", maintain_order=True)
        .join(general_differences(losses), on=ARM, how="left", maintain_order="left")
        .with_columns(pl.col("size").cast(str), source=pl.lit("study"))
        # of one seed there are no intervals, and what is empty throughout has no type in a file
        .with_columns(pl.col("low", "high", "general_low", "general_high").cast(pl.Float64))
    )


def general_differences(losses: pl.DataFrame) -> pl.DataFrame:
    """Loss on general text after SFT minus the control's of the same seed: mean over seeds and its 95% interval.

    losses   study_losses; one row per size, design, arm, target and seed
    """
    run = ["size", "design", "target", "seed"]
    control = losses.filter(pl.col("kind") == "control").unique(run, keep="first", maintain_order=True)
    paired = losses.join(control.select(*run, control_after="general_after"), on=run, maintain_order="left")
    by_arm = paired.with_columns(difference=pl.col("general_after") - pl.col("control_after")).group_by(ARM)
    spread = by_arm.agg(pl.col("difference").mean(), sd=pl.col("difference").std(), n=pl.len())
    reach = [t_quantile(n - 1) * sd / math.sqrt(n) if n > 1 else None for sd, n in spread.select("sd", "n").iter_rows()]
    half = pl.Series(reach, dtype=pl.Float64)
    return spread.select(
        *ARM,
        general_difference="difference",
        general_low=pl.col("difference") - half,
        general_high=pl.col("difference") + half,
    )
