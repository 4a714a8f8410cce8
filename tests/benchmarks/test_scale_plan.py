"""The simulated plan is arithmetic where nothing varies, and is bound by what is slowest."""

import numpy as np
import pytest

from benchmarks import scale_plan
from benchmarks.scale_plan import (
    MEASURED,
    PACKED,
    PIECE,
    TEXT_PER_TOKEN,
    Cluster,
    counting_seconds,
    measured,
    merging_seconds,
    print_rates,
)

QUIET = Cluster(4, 8, 1e15, 0)
RNG = np.random.default_rng(0)
TOKENS = 640 * PIECE * PACKED / TEXT_PER_TOKEN  # 640 pieces: 20 for each of 32 workers


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("features", MEASURED)
def test_equal_nodes_share_equally(features, dynamic, monkeypatch):
    monkeypatch.setattr(scale_plan, "SPEEDS", 0.0)
    seconds = counting_seconds(TOKENS, features, QUIET, RNG, dynamic)
    expected = TOKENS / 32 / features.tokens_per_second * (1 + features.save / 60)  # a part is written every minute
    assert seconds == pytest.approx(expected)
    dying = Cluster(4, 8, 1e15, 1)
    assert counting_seconds(TOKENS, features, dying, RNG, dynamic) == pytest.approx(
        expected + 360
    )  # 300 to start, 60 lost


def test_the_slowest_node_or_the_store_ends_it():
    ends = [
        counting_seconds(TOKENS, MEASURED[2], QUIET, np.random.default_rng(1), dynamic) for dynamic in (False, True)
    ]
    assert ends[0] > ends[1]
    slow = Cluster(4, 8, 1e8, 0)
    assert counting_seconds(TOKENS, MEASURED[2], slow, RNG) == pytest.approx(640 * PIECE / 1e8)


def test_two_steps_add_up_in_the_time_of_a_few_parts():
    alone, steps = merging_seconds(MEASURED[2], Cluster())
    assert alone == pytest.approx(2048 * 1.07)
    assert steps == pytest.approx((32 + 64) * 1.07 + 0.81)  # 32 parts each, then 64 sums


def test_rates_are_measured_on_this_machine(tmp_path, capsys):
    path = tmp_path / "text.jsonl"
    path.write_text('{"text": "A few words, again and again."}\n' * 2000)
    costs = measured(path, "unigrams", ("token",), turns=1)
    assert costs.tokens_per_second > 1000 and costs.part > 0.001 and costs.save > 0 and costs.load > 0
    print_rates(path)
    assert [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()[2:5]] == [
        f"| {features.name}" for features in MEASURED
    ]
