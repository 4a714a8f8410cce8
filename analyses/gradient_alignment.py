"""At the start of SFT, do the gradients of the target and of general text point the same way, and what do steps cost?

Alignment is of the loss on held-out general text and on the target's training text. Along the steps of SFT, forgetting
falls into a first-order term, the general gradient times the updates, and a remainder.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from analyses._tiny import GENERAL, Leaf, mean_loss, tiny_study
from simtool.evaluation.gradients import OVERALL, Alignment, gradient_alignment
from simtool.tokens.store import TokenStore

DOCUMENTS = 48


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    study = tiny_study()
    targets = {name: splits["train"] for name, splits in study.stores.items()}
    table, groups = alignments(study.leaves, study.stores[GENERAL]["validation"], targets, study.length)
    before = {
        (arm, target, seed): loss
        for target in {leaf.target for leaf in study.leaves}
        for _, arm, _, seed, phase, loss in mean_loss(study.documents, target, "response").iter_rows()
        if phase == "midtrain"
    }
    starts = [before[key] for key in table.select("arm", "target", "seed").iter_rows()]
    return table.with_columns(target_loss_before=pl.Series(starts)), {**study.facts, "groups": groups}


def alignments(
    leaves: Sequence[Leaf], general: TokenStore, targets: Mapping[str, TokenStore], length: int
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """One row per leaf; and the alignment of every group of parameters."""
    rows, groups = [], []
    for leaf in leaves:
        overall, *parts = gradient_alignment(
            leaf.before, general, targets[leaf.target], length, ("text", "response"), DOCUMENTS
        )
        assert overall.group == OVERALL
        rows.append({**leaf.named, **_values(overall), **_steps(leaf)})
        groups += [{**leaf.named, "group": part.group, **_values(part)} for part in parts]
    return pl.DataFrame(rows), groups


def _values(group: Alignment) -> dict[str, Any]:
    return {
        "cosine": group.cosine, "low": group.cosine_low, "high": group.cosine_high, "plain_cosine": group.plain,
        "inner": group.inner, "inner_low": group.inner_low, "inner_high": group.inner_high,
    }  # fmt: skip


def _steps(leaf: Leaf) -> dict[str, Any]:
    if leaf.forgetting is None:
        return {}
    names = [f"{name}{end}" for name in ("first_order", "forgetting", "remainder") for end in ("", "_low", "_high")]
    terms = {name: getattr(leaf.forgetting, name) for name in (*names, "path", "curvature", "n_steps")}
    return terms | {"general_before": leaf.forgetting.loss_before}
