"""How much do a model's layers change during SFT, midtrained and not?

Every layer before SFT against the same layer after it, on held-out general text: debiased linear CKA (1: the same up
to rotation and scale) and distortion. Intervals are over the documents; differences between arms are paired.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses._tiny import GENERAL, Leaf, paired, tiny_study
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
    """One row a leaf and layer; and, of every arm but control, its mean difference from control over the seeds."""
    read = {
        path: hidden_states(path, probes, DOCUMENTS, length=length)
        for path in dict.fromkeys(path for leaf in leaves for path in (leaf.before, leaf.after))
    }
    found = {leaf: layer_changes(read[leaf.before], read[leaf.after]) for leaf in leaves}
    rows = [
        {**leaf.named, "layer": one.layer, "cka": one.cka, "low": one.cka_low, "high": one.cka_high,
         "distortion": one.distortion, "distortion_low": one.distortion_low, "distortion_high": one.distortion_high,
         "n_probes": one.n_probes, "n_documents": one.n_documents}
        for leaf, layers in found.items() for one in layers
    ]  # fmt: skip
    return pl.DataFrame(rows), _differences(found)


def _differences(found: dict[Leaf, list[LayerChange]]) -> list[dict[str, Any]]:
    pairs = paired(found)
    told = []
    for size, arm, target in dict.fromkeys((other.size, other.arm, other.target) for _, other in pairs):
        own = [p for p in pairs if (p[1].size, p[1].arm, p[1].target) == (size, arm, target)]
        for layer in range(len(next(iter(found.values())))):
            row = {"size": size, "arm": arm, "target": target, "layer": layer}
            for name in ("cka", "distortion"):
                by_seed = [getattr(found[b][layer], name) - getattr(found[a][layer], name) for a, b in own]
                # equal halves in all runs, so the draws are paired; seeds are averaged within a draw
                draws = [
                    getattr(found[b][layer], f"{name}_draws") - getattr(found[a][layer], f"{name}_draws")
                    for a, b in own
                ]
                low, high = half_sample_interval(np.mean(draws, axis=0), FOLDS, np.mean(by_seed))
                row[name] = {"mean": float(np.mean(by_seed)), "low": low, "high": high, "by_seed": by_seed}
            told.append(row)
    return told
