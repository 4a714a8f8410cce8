"""A report with everything in it, made once: names and text that would run if they were not escaped, and a study."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from simtool.page.gather import Findings, gather
from simtool.profiles.resolve import Options
from simtool.tables import save_table
from tests.conftest import sentences, write_jsonl
from tests.prediction.toys import sweep_report

MADE = {"simtool": "0.0.0", "made": "2026-01-01T00:00:00+00:00"}


def effect(arm: str, target: str, value: float | None, half_width: float | None) -> dict:
    mix, weight = arm.split()
    ends = (None, None) if value is None or half_width is None else (value - half_width, value + half_width)
    return {
        "size": "14m", "design": "paper", "arm": arm, "kind": "midtrain", "mix": mix, "weight": float(weight),
        "start": 0.4, "target": target, "n_seeds": 3, "control_loss": 3.0, "relative_improvement": value,
        "low": ends[0], "high": ends[1], "p": 0.01, "p_holm": 0.02, "forgetting_difference": -0.01,
        "forgetting_low": -0.02, "forgetting_high": 0.0, "minimum_detectable": 0.011,
    }  # fmt: skip


def write_study(folder: Path) -> Path:
    """A study of made-up numbers, in the columns of a real one."""
    effects = [
        effect("starcoder 0.2", "pycode", 0.04, 0.01),
        effect("math 0.2", "pycode", 0.005, 0.01),
        effect("math 0.2", "gsm8k", None, None),
    ]
    losses = [
        {"size": "14m", "design": "paper", "arm": "starcoder 0.2", "kind": "midtrain", "mix": "starcoder",
         "weight": 0.2, "start": 0.4, "target": "pycode", "seed": seed, "loss": 2.5 + seed / 100, "loss_before": 4.0,
         "general_before": 3.5, "general_after": 3.6, "forgetting": 0.1}
        for seed in (0, 1)
    ]  # fmt: skip
    timing = [
        {"size": "14m", "design": "paper", "mix": "starcoder", "start": start, "weight": weight, "target": "pycode",
         "n_seeds": 3, "relative_improvement": weight * (1 - start) / 5, "low": 0.0, "high": 0.2,
         "special_tokens": 1000, "forgetting_difference": 0.0}
        for start in (0.2, 0.5, 0.8) for weight in (0.1, 0.3)
    ]  # fmt: skip
    for name, rows in (("study_effects", effects), ("study_losses", losses), ("study_timing", timing)):
        save_table(pl.DataFrame(rows), folder / "tables" / f"{name}.csv", {"machine": "a desk"})
    (folder / "tables" / "conclusions.json").write_text(json.dumps({"sentences": ["Code helps code <b>here</b>."]}))
    return folder


def write_sweep(folder: Path) -> Path:
    sweep_report().save(folder)
    return folder


@pytest.fixture(scope="session")
def found(tmp_path_factory) -> Findings:
    folder = tmp_path_factory.mktemp("report")
    # a slash ends a folder's name, so the path spells the element in two parts
    (folder / "<script>alert(1)<").mkdir()
    evil = write_jsonl(
        folder / "<script>alert(1)<" / "script>.jsonl",
        [f"{text}</script><img src=x onerror=alert(2)>" for text in sentences(300)],
    )
    image = write_jsonl(folder / "<img src=x onerror=alert(3)>.jsonl", sentences(300, seed=1))
    return gather(
        ["c4", "starcoder", "gsm8k", str(evil), str(image)],
        mid=("starcoder:0.2", "starcoder:0.4"),
        targets=("gsm8k", str(image)),
        study=write_study(folder / "study"),
        sweep=write_sweep(folder / "sweep"),
        views=("token.token", "js.skeleton3"),
        resamples=20,
        options=Options(data=None, cache=folder / "cache"),
        examples=2,
    )


@pytest.fixture(scope="session")
def many(found) -> Findings:
    """Sixteen corpora with the pairs of the others, as large as pairs get."""
    import numpy as np

    n = 16
    one = found.matrices[0]
    rng = np.random.default_rng(0)
    values = rng.uniform(0.3, 0.9, (n, n))
    names = tuple(f"a corpus with rather a long name, number {i}" for i in range(n))
    matrix = replace(
        one,
        corpora=names,
        values=values,
        low=values - 0.01,
        high=values + 0.01,
        at_ceiling=values > 0.8,
        is_tested=values < 2,
    )
    largest = max(found.pairs.values(), key=lambda parts: sum(len(g.ngram) for d in parts for g in d.more_in_a))
    pairs = {(i, j): largest for i in range(n) for j in range(i + 1, n)}
    told = next(iter(found.facts.values()))
    facts = dict(found.facts) | dict.fromkeys(names, told)
    return replace(found, corpora=names, matrices=(matrix,) * 4, pairs=pairs, facts=facts, examples={})
