"""How much do a model's layers change during SFT, midtrained and not?

Every layer before SFT against the same layer after it, on held-out general text: debiased linear CKA (1: the same up
to rotation and scale) and distortion. Intervals are over the documents; differences between arms are paired.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses._tiny import GENERAL, Leaf, control_pairs, tiny_study
from simtool.evaluation.representations import FOLDS, LayerChange, hidden_states, layer_changes
from simtool.statistics import half_sample_interval
from simtool.tokens.store import TokenStore

DOCUMENTS = 160


def make(tables: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    study = tiny_study()
    probes = study.stores[GENERAL]["validation"]
    table, differences = changes(study.leaves, probes, study.length)
    return table, {**study.facts, "probes": f"{GENERAL}, validation", "arm_minus_control": differences}


def changes(leaves: Sequence[Leaf], probes: TokenStore, length: int) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """One row per leaf and layer; and, of every arm but control, its mean difference from control over the seeds."""
    read = {
        path: hidden_states(path, probes, DOCUMENTS, sequence_length=length)
        for path in dict.fromkeys(path for leaf in leaves for path in (leaf.before, leaf.after))
    }
    by_leaf = {leaf: layer_changes(read[leaf.before], read[leaf.after]) for leaf in leaves}
    rows = [
        {**leaf.named, "layer": layer.layer, "cka": layer.cka, "low": layer.cka_low, "high": layer.cka_high,
         "distortion": layer.distortion, "distortion_low": layer.distortion_low,
         "distortion_high": layer.distortion_high, "n_probes": layer.n_probes, "n_documents": layer.n_documents}
        for leaf, layers in by_leaf.items() for layer in layers
    ]  # fmt: skip
    return pl.DataFrame(rows), _differences(by_leaf)


def _differences(by_leaf: dict[Leaf, list[LayerChange]]) -> list[dict[str, Any]]:
    pairs = control_pairs(by_leaf)
    rows = []
    for size, arm, target in dict.fromkeys((other.size, other.arm, other.target) for _, other in pairs):
        own = [p for p in pairs if (p[1].size, p[1].arm, p[1].target) == (size, arm, target)]
        for layer in range(len(next(iter(by_leaf.values())))):
            row = {"size": size, "arm": arm, "target": target, "layer": layer}
            for name in ("cka", "distortion"):
                by_seed = [getattr(by_leaf[b][layer], name) - getattr(by_leaf[a][layer], name) for a, b in own]
                # equal halves in all runs, so the draws are paired; seeds are averaged within a draw
                draws = [
                    getattr(by_leaf[b][layer], f"{name}_draws") - getattr(by_leaf[a][layer], f"{name}_draws")
                    for a, b in own
                ]
                low, high = half_sample_interval(np.mean(draws, axis=0), FOLDS, np.mean(by_seed))
                row[name] = {"mean": float(np.mean(by_seed)), "low": low, "high": high, "by_seed": by_seed}
            rows.append(row)
    return rows
