"""What is remembered of a text is weighed by when it was read, and scored as any prediction."""

import math

import numpy as np
import polars as pl
import pytest

from analyses import recency


def test_the_shorter_the_memory_the_more_the_last_text_counts():
    shares = [recency.late_share(0.6, memory) for memory in (1e-3, 0.2, 0.5, 1.0, 1e6)]
    assert shares == sorted(shares, reverse=True)
    assert recency.late_share(0.6, 0.0) == 1.0 == pytest.approx(shares[0])
    assert recency.late_share(0.6, math.inf) == pytest.approx(0.4) == pytest.approx(shares[-1], abs=1e-6)
    read = np.linspace(0, 1, 100_001)  # by adding up exp(-t / memory) over all text, t before its end
    weights = np.exp(-(1 - read) / 0.3)
    assert recency.late_share(0.6, 0.3) == pytest.approx(weights[read > 0.6].sum() / weights.sum(), rel=1e-3)


def test_differences_are_of_continued_pretraining_and_midtraining_on_the_same_corpus():
    arms = pl.DataFrame({"kind": ["midtrain", "midtrain", "cpt"], "mix": ["a", "b", "b"]})
    predicted = np.array([[9.0, 9.0], [1.0, 2.0], [2.0, 1.0]])
    scores = recency._differences(arms, predicted, predicted * [1, -1])
    assert (scores["n_differences"], scores["same_sign"]) == (2, 0.5)


def test_continued_pretraining_is_no_better_than_its_share_when_nothing_is_forgotten(monkeypatch):
    monkeypatch.setattr(recency, "RESAMPLES", 2)
    monkeypatch.setattr(recency, "NAMES", ("cross_entropy.token",))
    rows = [
        {"design": "paper", "kind": kind, "mix": mix, "weight": weight, "start": 0.6, "target": target}
        for kind, mix, weight in (("midtrain", "math", 0.4), ("cpt", "math", 1.0), ("midtrain", "starcoder", 0.4))
        for target in ("gsm8k", "pycode")
    ]
    effects = pl.DataFrame(rows).with_columns(relative_improvement=pl.Series([0.2, 0.0, 0.5, 0.0, 0.0, 0.3]))
    scores = recency._scores("toy", effects, {"pretrain": "c4"}, None)
    assert scores["memory"].to_list() == list(recency.MEMORIES)
    assert scores["n"].to_list() == [6] * 5 and scores["n_midtraining"].to_list() == [4] * 5
    assert scores["n_differences"].to_list() == [2] * 5
    assert scores["pearson"].is_between(-1, 1).all() and scores["pearson"].n_unique() == 5
