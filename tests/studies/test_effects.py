"""Effects and their intervals: by hand, against SciPy, and on data whose truth is known."""

import re
from itertools import product
from typing import ClassVar

import numpy as np
import polars as pl
import pytest

pytest.importorskip("torch")

from simtool.mixture import Mixture
from simtool.statistics import minimum_detectable
from simtool.studies.conclusions import sentences
from simtool.studies.effects import (
    _estimates,
    agreements,
    effects,
    loss_pseudo_values,
)
from simtool.studies.plan import Study, arms_of


def test_pseudo_values_of_a_mean_are_its_terms():
    # nats - control per token, one token a document: the jackknife of a mean gives back the terms
    nats, control = np.array([[1.0, 2.0, 4.0]]), np.array([[2.0, 2.0, 2.0]])
    found = loss_pseudo_values(nats, control, np.ones(3), relative=False)
    assert found == pytest.approx([-1, 0, 2])


def test_pseudo_values_of_a_ratio_against_leaving_out_one_by_one():
    rng = np.random.default_rng(2)
    nats, control, tokens = rng.gamma(5, size=(2, 6)), rng.gamma(6, size=(2, 6)), rng.integers(5, 20, 6)

    def improvement(kept):
        return np.mean(1 - nats[:, kept].sum(1) / control[:, kept].sum(1))

    whole = improvement(range(6))
    slow = [6 * whole - 5 * improvement([d for d in range(6) if d != left]) for left in range(6)]
    assert loss_pseudo_values(nats, control, tokens, relative=True) == pytest.approx(slow)


# ---- a study whose truth is known ----

WEB = Mixture({"web": 1.0})
MIDS = ("code", "sums", "facts")
TARGETS = ("functions", "problems", "questions")
STUDY = Study(
    "known", "Known.", WEB, arms_of(WEB, [(name, 0.2) for name in MIDS]), TARGETS,
    dict.fromkeys(("web", *MIDS, *TARGETS)), same_domain=tuple(zip(MIDS, TARGETS, strict=True)),
)  # fmt: skip


class Prediction:
    """A prediction that is right about matched domains."""

    content: ClassVar = {"cells": [
        {"mixture": f"{mid}:0.2", "target": target, "advantage": float(i == j) + 0.01 * i, "low": 0.0, "high": 1.0}
        for i, mid in enumerate(MIDS) for j, target in enumerate(TARGETS)
    ]}  # fmt: skip


def measured() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Losses where the matched domain lowers loss by a tenth, and nothing else does anything but noise."""
    rng = np.random.default_rng(3)
    rows, documents = [], []
    difficulty = {name: rng.normal(20, 3, 30) for name in (*TARGETS, "web")}
    for arm in STUDY.arms:
        for seed in STUDY.seeds:
            of_seed = rng.normal(0, 0.02)
            for target in TARGETS:
                helped = 0.9 if (arm.special, target) in STUDY.same_domain else 1.0
                nats = difficulty[target] * helped + of_seed + rng.normal(0, 0.1, 30)
                key = {"size": "nano", "arm": arm.name, "seed": seed}
                for phase, corpus, role, values in (
                    ("sft", target, "target", nats),
                    ("sft", "web", "general", difficulty["web"] + 1 + rng.normal(0, 0.1, 30)),
                    ("midtrain", "web", "general", difficulty["web"] + rng.normal(0, 0.1, 30)),
                ):
                    of = target if phase == "sft" else None
                    documents.append(
                        pl.DataFrame({"document": np.arange(30, dtype=np.uint64), "nats": values,
                                      "n_tokens": np.full(30, 10)}).with_columns(
                            **{k: pl.lit(v) for k, v in key.items()},
                            phase=pl.lit(phase), corpus=pl.lit(corpus), role=pl.lit(role),
                            target=pl.lit(of, dtype=pl.String),
                        )
                    )  # fmt: skip
                rows.append({**key, "target": target, "loss": nats.sum() / 300})
    return pl.DataFrame(rows), pl.concat(documents, how="diagonal")


def test_what_helps_is_found_and_what_does_not_is_not_claimed():
    lost, documents = measured()
    documents = documents.unique(["size", "arm", "seed", "phase", "corpus", "role", "target", "document"], keep="first",
                                 maintain_order=True)  # fmt: skip
    found = effects(STUDY, lost, documents, Prediction)
    assert found.height == 9
    errors = found.select("standard_error", "freedom").iter_rows()  # of the paired differences, nine tests
    assert found["minimum_detectable"].to_list() == [minimum_detectable(*row, n_tests=9) for row in errors]
    for row in found.iter_rows(named=True):
        truth = 0.1 if (row["mix"], row["target"]) in STUDY.same_domain else 0.0
        assert row["low"] <= truth <= row["high"]
        assert (row["p_holm"] < 0.05) == (truth > 0)
        if truth:
            assert row["observed_rank"] == row["predicted_rank"] == 1
    agreed = agreements(STUDY, found)
    said = agreed.filter((pl.col("predictor") == "predicted") & (pl.col("left_out") == "")).to_dicts()[0]
    assert said["pearson"] > 0.95 and said["p"] == pytest.approx(6 / 36, abs=0.15)
    lines = sentences(found, agreed)
    assert lines[0].startswith("nano: the prediction and the improvement correlate at r = +")
    by_target = [line for line in lines if "general text then costs" in line]
    assert len(by_target) == len(TARGETS)  # one each, however many mixtures there are
    for target, line in zip(TARGETS, by_target, strict=True):
        best = next(special for special, of in STUDY.same_domain if of == target)
        assert re.match(rf"nano: of 3 mixtures {best}:0.2 lowered the loss on {target} by (9|10)\.\d%", line)
        assert "; simtool had ranked it 1. By 95% intervals 1 lowered that loss and " in line


def test_continued_pretraining_is_held_against_midtraining_where_it_moved_most():
    def row(kind, target, value, weight):
        known = {"size": "nano", "design": "paper", "mix": "code", "arm": f"code:{weight:g}", "start": 0.5}
        unknown = dict.fromkeys(("low", "high", "p_holm", "general_low", "general_high", "predicted"))
        return {**known, **unknown, "kind": kind, "target": target, "weight": weight,
                "relative_improvement": value, "general_difference": 0.25 * weight}  # fmt: skip

    improvements = (("midtrain", 0.2, (0.1, 0.02)), ("cpt", 1.0, (0.15, -0.03)))
    rows = [row(kind, target, value, weight) for kind, weight, values in improvements
            for target, value in zip("ab", values, strict=True)]  # fmt: skip
    table = pl.DataFrame(rows)
    line = sentences(table, pl.DataFrame())[-1]
    assert line == (
        "nano: continued pretraining on code alone changed the loss on a by -15.0% (one seed: no interval), where"
        " midtraining at 0.2 changed the loss on a by -10.0% (one seed: no interval); general text then costs"
        " 0.250 nats per token more than under the control after the first and 0.050 nats per token more than under the"
        " control after the second. The first is ahead on 1 of 2 targets."
    )


def test_forgetting_is_the_rise_of_each_from_where_it_stood():
    target, arm = TARGETS[0], next(arm for arm in STUDY.arms if arm.control)
    nats = {  # general text of two documents, before SFT and after
        arm.name: ([9.0, 9.0], [13.0, 10.0]),
        arm.control: ([8.0, 8.0], [10.0, 10.0]),
    }
    after, before = {}, {}
    for (name, (first, last)), seed in product(nats.items(), (0, 1)):
        before["nano", name, None, seed, "web", "general"] = np.array(first), np.array([2, 2])
        after["nano", name, target, seed, "web", "general"] = np.array(last), np.array([2, 2])
        after["nano", name, target, seed, target, "target"] = np.array(last), np.array([2, 2])
    found = _estimates(after, before, "nano", target, arm, (0, 1), ("web",))
    assert found["general_difference"] == pytest.approx((23 - 20) / 4)
    assert found["forgetting_difference"] == pytest.approx(((23 - 18) - (20 - 16)) / 4)
