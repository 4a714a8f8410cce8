"""A study as text: its plan, a line for each node, and effects beside what was predicted."""

import csv
import io
from types import SimpleNamespace

import polars as pl
import pytest

from simtool.display.study import Studying, print_conclusions, print_plan
from simtool.mixture import Mixture
from simtool.progress import NodeFailed, NodeFinished
from simtool.studies.cost import Cost
from simtool.studies.plan import Study, arms_of, plan


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "10000")


def test_nodes_are_a_line_each(capsys):
    with Studying() as shown:
        shown.report(NodeFinished("control", 1, 4, 2.3456, "gsm8k", 61))
        shown.report(NodeFinished("code", 2, 4, 2.0, "gsm8k", None))
        shown.report(NodeFailed("math", "out of memory"))
    assert capsys.readouterr().err.splitlines() == [
        "1/4  control  loss on gsm8k 2.346  1:01 left",
        "2/4  code  loss on gsm8k 2.000",
        "math failed: out of memory",
    ]


@pytest.fixture
def tree():
    web = Mixture({"web": 1.0})
    texts = dict.fromkeys(("web", "code", "tasks"))
    study = Study(
        "small", "Small.", web, arms_of(web, [("code", 0.5)]), ("tasks",), texts, seeds=(0, 1), tokens=102_400
    )
    return plan(study, "f" * 16, {"tasks": 1_000})


def test_a_plan_has_a_row_per_arm_and_says_what_it_costs(tree, capsys):
    cost = Cost(10, 4, 300_000, 600_000, 900_000, 1e12, 2_500_000_000, "cpu", 1e9, 0.5, 2, 100, 5_000, 0.8)
    print_plan(tree, cost, "csv")
    header, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert [row[0] for row in rows] == ["control", "code:0.5"]
    assert [row[header.index("own tokens")] for row in rows] == ["51,200", "51,200"]  # arms fork in the middle
    print_plan(tree, cost, "table")
    shown = capsys.readouterr().out
    assert "600,000 (2.0 times)" in shown and "(3.0 times as many)" in shown
    assert "by 80% of simulated studies" in " ".join(shown.split())
    assert "2 minutes on 2 cpu workers" in shown and "83 minutes on one H100" in shown and "2.5 GB" in shown


EFFECT = {
    "target": "tasks", "arm": "code:0.5", "size": "nano", "design": "paper", "start": 0.5,
    "relative_improvement": 0.042,
    "low": 0.01, "high": 0.07, "p_holm": 0.01, "predicted": None, "predicted_rank": None, "observed_rank": 1,
    "minimum_detectable": None,
    **{f"general_{part}": 0.1 for part in ("difference", "low", "high")},
    **{f"forgetting_{part}": -0.02 for part in ("difference", "low", "high")},
}  # fmt: skip
LOSS = {
    "size": "nano", "arm": "code:0.5", "target": "tasks", "loss": 2.0, "loss_before": 3.0, "general_unigram": None,
    "general_before": 3.5, "general_after": 3.6, "forgetting": 0.1,
}  # fmt: skip


def test_what_is_not_known_is_said_and_no_zero(capsys):
    tables = {"study_effects": pl.DataFrame([EFFECT]), "study_losses": pl.DataFrame([LOSS, {**LOSS, "loss": 2.2}])}
    facts = {"intervals": "95%", "seeds": [0, 1], "predictor": "js", "prediction": "a" * 64}
    conclusions = SimpleNamespace(
        tables=tables, facts=facts | {"devices": ["cpu"], "torch": ["2"]}, sentences=["Code helps."]
    )
    print_conclusions(conclusions, "table")
    shown = capsys.readouterr().out
    assert shown.strip().startswith("Code helps.")
    assert "+4.2% [+1.0%, +7.0%]" in shown and "+0.100 [+0.100, +0.100]" in shown
    assert "? -> 1" in shown and shown.count("not known") == 3  # predicted, detectable, unigram entropy
    assert "2.100" in shown  # the mean of the two seeds' losses, 2.0 and 2.2
    print_conclusions(conclusions, "csv")
    assert capsys.readouterr().out.splitlines()[0] == ",".join(EFFECT)


def test_many_effects_are_shown_as_improvements_mixtures_by_targets(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    effects = [
        {**EFFECT, "arm": f"code:{share}", "target": target, "relative_improvement": share / 100 + 0.001 * i,
         "p_holm": 0.01 if share > 3 else 0.2, "general_difference": 0.5 * i}
        for share in range(5) for i, target in enumerate("abcde")
    ]  # fmt: skip
    losses = [LOSS]
    facts = {
        "intervals": "95%",
        "seeds": [0],
        "predictor": "js",
        "prediction": "a" * 64,
        "devices": ["cpu"],
        "torch": ["2"],
    }
    conclusions = SimpleNamespace(
        tables={"study_effects": pl.DataFrame(effects), "study_losses": pl.DataFrame(losses)}, facts=facts, sentences=[]
    )
    print_conclusions(conclusions, "table")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["arm", "a", "b", "c", "d", "e", "general"] in lines
    assert ["code:3", "+3.0", "+3.1", "+3.2", "+3.3", "+3.4", "+1.00"] in lines
    assert ["code:4", "+4.0*", "+4.1*", "+4.2*", "+4.3*", "+4.4*", "+1.00"] in lines
    print_conclusions(conclusions, "table", full=True)
    shown = capsys.readouterr().out
    assert "+4.4% [+1.0%, +7.0%]" in shown and "2.000" in shown
