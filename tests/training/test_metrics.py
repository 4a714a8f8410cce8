"""Counts between messages by hand; what was logged behind a checkpoint is forgotten."""

import json

import numpy as np
import pytest

from simtool.tokens.batches import IGNORED, Batch
from simtool.training import metrics
from simtool.training.metrics import SPIKE_HISTORY, LossHistory, Meter, append_metrics, cut_metrics


def batch_of(n_rows: int, n_targets: int) -> Batch:
    ids = np.zeros((n_rows, 4), np.int64)
    targets = np.full_like(ids, IGNORED)
    targets.ravel()[:n_targets] = 1
    return Batch(ids, targets, ids)


def test_the_meter_weighs_losses_by_targets_and_counts_every_token(monkeypatch):
    clock = iter([0.0, 2.0, 5.0])  # at the start, at the first step's message, and a step later
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: next(clock))
    meter = Meter("pre", first=0, n_steps=10, log_steps=2, flops_per_token=10.0, peak=100.0)
    first = meter.add(0, batch_of(2, 6), 3.0, 0.5, 1e-3, 6)
    assert (first.loss, first.tokens_per_second, first.mfu) == (3.0, 8 / 2, 10 * 4 / 100)
    assert first.seconds_left == 9 * 2
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: 5.0)
    second = meter.add(1, batch_of(1, 2), 1.0, 0.5, 1e-3, 8)  # (3 x 6 + 1 x 2) / 8, and 8 + 4 tokens in 5 s
    assert second.loss == pytest.approx(20 / 8)
    assert second.tokens_per_second == pytest.approx(12 / 5)
    assert meter.add(2, batch_of(1, 2), 1.0, 0.5, 1e-3, 10) is None
    assert meter.tokens == 4  # begun anew at the message before


def test_what_is_wrong_with_a_loss():
    def calm(spike: float | None, n_steps: int = SPIKE_HISTORY) -> LossHistory:
        history = LossHistory(spike)
        assert [history.add(1.0, 1.0) for _ in range(n_steps)] == [None] * n_steps
        return history

    assert calm(2.0).limit == 3.0
    assert calm(2.0).add(3.0, 1.0) is None
    assert calm(None).add(float("nan"), 1.0) == "the loss is nan and its gradient's norm 1.0"
    assert calm(2.0).add(1.0, float("inf")) == "the loss is 1.0 and its gradient's norm inf"
    assert calm(2.0).add(3.5, 1.0) == "the loss leapt from 1.000 to 3.500"
    few = calm(2.0, SPIKE_HISTORY - 1)  # too few to know what is usual
    assert few.limit == float("inf") and few.add(3.5, 1.0) is None
    assert calm(None).limit == float("inf") and calm(None).add(3.5, 1.0) is None


def test_a_loss_is_held_against_the_last_steps_only():
    history = LossHistory(2.0)
    for loss in [9.0] * SPIKE_HISTORY + [1.0] * SPIKE_HISTORY:
        history.add(loss, 1.0)
    assert history.limit == 3.0 and len(history.losses) == SPIKE_HISTORY


def test_lines_behind_a_checkpoint_are_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    cut_metrics(path, 0, 0)
    assert not path.exists()
    places = [(0, 10), (0, 20), (1, 10), (1, 20)]
    for segment, step in places:
        append_metrics(path, {"segment": segment, "step": step})
    with path.open("a") as file:
        file.write('{"segment": 0, "st')  # a kill in the middle of a line
    cut_metrics(path, 1, 10)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["segment"], line["step"]) for line in lines] == places[:3]
