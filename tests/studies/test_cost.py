"""What a plan costs, by hand."""

import math
from dataclasses import replace

import pytest

pytest.importorskip("torch")

from simtool.display.study import print_plan
from simtool.mixture import Mixture
from simtool.studies.cost import H100, UTILISATION, estimate_cost
from simtool.studies.plan import Study, arms_of, plan
from simtool.studies.power import agreement_power
from simtool.training import hardware


def test_a_plan_costs_what_its_tokens_do(monkeypatch):
    monkeypatch.setattr(hardware, "measured_peak", lambda device, precision: 1e9)
    web, step = Mixture({"web": 1.0}), 8 * 128
    texts = dict.fromkeys(("web", "code", "tasks"))
    arms = arms_of(web, [("code", 0.5)])
    study = Study("small", "Small.", web, arms, ("tasks",), texts, seeds=(0,), tokens=100 * step)
    cost = estimate_cost(plan(study, "f" * 16, {"tasks": 1_000}), 4_000, "cpu", workers=2)
    # trunk, control and arm of 50 steps each, two leaves of 1,000
    assert (cost.n_nodes, cost.n_leaves, cost.tokens) == (5, 2, 150 * step + 2_000)
    # nano: 4 layers of width 96, 4 (12 * 96^2 + 13 * 96) + 2 * 96 = 447,552 parameters; head 4,096 x 96 (padded to 128)
    parameters, head = 447_552, 4_096 * 96
    flops = cost.tokens * (6 * (parameters + head) + 12 * 4 * 96 * 128)
    assert cost.flops == pytest.approx(flops)
    assert cost.seconds == pytest.approx(flops / (1e9 * UTILISATION["cpu"] * 2))
    assert cost.h100_seconds == pytest.approx(flops / (H100 * UTILISATION["cuda"]))
    assert math.isnan(cost.power)  # one mixture, one target
    assert cost.bytes == 3 * 12 * (parameters + 2 * head)  # the leaves' weights are not saved


def test_a_plan_says_what_its_size_lets_it_show(monkeypatch, capsys):
    monkeypatch.setattr(hardware, "measured_peak", lambda device, precision: 1e9)
    web, names = Mixture({"web": 1.0}), ("code", "sums", "facts", "chat", "news")
    targets = ("a", "b", "c", "d")
    arms = arms_of(web, [(name, 0.5) for name in names])
    study = Study("small", "Small.", web, arms, targets, dict.fromkeys(("web", *names, *targets)), seeds=(0,))
    tree = plan(study, "f" * 16, dict.fromkeys(targets, 1_000))
    cost = estimate_cost(tree, 4_000, "cpu")
    assert cost.power == agreement_power(5, 4)
    print_plan(tree, replace(cost, power=0.714), "table")
    assert (
        "Power: with 5 mixtures x 4 targets, a true r of 0.90 is shown (lower bound above 0.5, and 0.8 or more without"
        " any one target) by 71% of simulated studies."
    ) in " ".join(capsys.readouterr().out.split())
