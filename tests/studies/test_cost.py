"""What a plan costs, by hand."""

import pytest

pytest.importorskip("torch")

from simtool.mixture import Mixture
from simtool.studies.cost import H100, UTILISATION, estimate_cost
from simtool.studies.plan import Study, arms_of, plan
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
    assert cost.bytes == 3 * 12 * (parameters + 2 * head)  # the leaves' weights are not saved
