"""Small tables of the columns that figures are promised: made up where only a study or --save makes them."""

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from simtool.tables import load_table

TABLES = Path(__file__).parents[2] / "analyses" / "tables"
TARGETS = ("pycode", "gsm8k")
ARMS = (("starcoder", 0.2, "midtrain"), ("math", 0.12, "midtrain"), ("starcoder", 1.0, "cpt"), ("math", 1.0, "cpt"))


def effects() -> pl.DataFrame:
    rows = []
    for size, (mix, weight, kind), target in itertools.product(("tiny", "small"), ARMS, TARGETS):
        gain = 0.08 if (mix, target) in (("starcoder", "pycode"), ("math", "gsm8k")) else -0.004
        rows.append(
            {"size": size, "design": "paper", "arm": f"{mix} {weight:g}", "kind": kind, "mix": mix, "weight": weight,
             "start": 0.1, "target": target, "n_seeds": 3, "control_loss": 2.0, "loss": 2.0 * (1 - gain),
             "relative_improvement": gain, "low": gain - 0.01, "high": gain + 0.01, "standard_error": 0.005,
             "forgetting_difference": 0.05,
             "forgetting_low": 0.02, "forgetting_high": 0.08, "predicted": gain * 9, "predicted_low": gain * 9 - 0.1,
             "predicted_high": gain * 9 + 0.1}
        )  # fmt: skip
    return pl.DataFrame(rows)


def agreements() -> pl.DataFrame:
    return pl.DataFrame(
        {"size": ["tiny", "small"], "predictor": ["predicted"] * 2, "left_out": [""] * 2, "n": [4, 4],
         "pearson": [0.9, None], "pearson_low": [0.2, None], "pearson_high": [1.0, None]}
    )  # fmt: skip


def timing() -> pl.DataFrame:
    rows = []
    grid = itertools.product(("confounded", "exposure", "both"), (0.1, 0.4, 0.7), (0.1, 0.2, 0.5), TARGETS)
    for design, start, weight, target in grid:
        gain = 0.1 * (1 - start) * (design == "confounded") + 0.1 * weight
        rows.append(
            {"size": "tiny", "design": design, "mix": "starcoder", "start": start, "weight": weight, "target": target,
             "n_seeds": 3, "relative_improvement": gain, "low": gain - 0.01, "high": gain + 0.01,
             "special_tokens": 10**6, "forgetting_difference": 0.0}
        )  # fmt: skip
    return pl.DataFrame(rows)


def timing_of_one_seed() -> pl.DataFrame:
    """As it is read back: a column without any value is one of text."""
    nothing = pl.lit(None, pl.String)
    return timing().with_columns(n_seeds=1, low=nothing, high=nothing)


def losses() -> pl.DataFrame:
    rows = [
        {"size": "tiny", "design": "paper", "arm": arm, "kind": "control" if arm == "control" else "midtrain",
         "target": target, "seed": seed, "loss": 2.0 + 0.1 * seed,
         "general_after": 3.0 + 0.1 * seed + (arm != "control") * (0.2 + 0.1 * seed)}
        for arm, target, seed in itertools.product(("control", "starcoder_20%"), TARGETS, (0, 1, 2))
    ]  # fmt: skip
    return pl.DataFrame(rows)


def representation() -> pl.DataFrame:
    rows = itertools.product(("control", "starcoder 0.2"), TARGETS, (0, 1), range(6))
    return pl.DataFrame(
        [
            {"size": "tiny", "arm": arm, "target": target, "seed": seed, "layer": layer, "cka": 1 - 0.05 * layer,
             "low": 0.97 - 0.05 * layer, "high": 1 - 0.04 * layer}
            for arm, target, seed, layer in rows
        ]
    )  # fmt: skip


def matrix() -> pl.DataFrame:
    names = ("c4", "<script>", "gsm8k")
    rows = [
        {"row": a, "column": b, "value": v, "low": v - 0.05, "high": v + 0.05,
         "at_ceiling": False, "metric": "token", "feature": "token", "tokens": 1000, "row_is_proxy": a == "c4"}
        for a, b in itertools.product(names, names)
        for v in (0.9 if a == b else 0.5,)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def advantage() -> pl.DataFrame:
    rows = [
        {"target": target, "mixture": mix, "advantage": 0.1 * i, "low": 0.1 * i - 0.05, "high": 0.1 * i + 0.05,
         "metric": "token", "feature": "token"}
        for target in TARGETS
        for i, mix in enumerate(("starcoder", "math", "a corpus of mine"))
    ]  # fmt: skip
    return pl.DataFrame(rows)


def curve() -> pl.DataFrame:
    share = np.linspace(0, 1, 5)
    return pl.concat(
        pl.DataFrame(
            {"special": "starcoder:1", "target": target, "share": share, "advantage": share, "low": share - 0.1,
             "high": share + 0.1, "peak": 1.0, "metric": "token", "feature": "token"}
        )
        for target in TARGETS
    )  # fmt: skip


def tournament() -> pl.DataFrame:
    committed = load_table(TABLES / "predictor_tournament.csv")[0]
    return committed.filter(pl.col("size") == "410m").with_columns(size=pl.lit("tiny"))


def cost() -> pl.DataFrame:
    return pl.DataFrame({"study": ["timing"], "tokens_shared": [3 * 10**8], "tokens_separate": [10**9], "n_runs": [8]})


def proxies() -> pl.DataFrame:
    rows = [
        {"predictor": name, "runs": runs, "target": "mean", "draws": 5, "spearman": 0.9, "spearman_low": 0.8,
         "spearman_high": 0.95, "regret": 0.1, "regret_low": 0.0, "regret_high": 0.2, "regret_share": 0.1,
         "regret_share_low": 0.0, "regret_share_high": 0.2}
        for name, sizes in (("own-domain weight", (0,)), ("ridge", (8, 16)), ("ridge + text", (8, 16)))
        for runs in sizes
    ]  # fmt: skip
    return pl.DataFrame(rows)


# What only a study or --save makes; every other table is committed.
MADE_UP = {
    "study_effects": effects, "study_agreement": agreements, "study_timing": timing, "study_losses": losses,
    "similarity_matrix": matrix, "proxy_runs": proxies,
    "representation_change": representation, "advantage": advantage, "advantage_curve": curve,
    "predictor_tournament_study": tournament, "study_cost": cost,
}  # fmt: skip


def table(name: str) -> pl.DataFrame:
    if name in MADE_UP:
        return MADE_UP[name]()
    if not (TABLES / f"{name}.csv").exists():
        pytest.skip(f"the table {name} is not made yet: python -m analyses {name}")
    return load_table(TABLES / f"{name}.csv")[0]
