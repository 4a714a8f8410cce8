"""A sweep as a function: losses that follow the weight of words that a target has are ranked by its text."""

import numpy as np
import polars as pl
import pytest

import simtool
from simtool.api.sweep import _installed
from simtool.mixing.constraints import Constraints
from simtool.prediction.proxy_runs import MODELS
from tests.conftest import sentences, write_jsonl

WORDS = {"web": ["river", "stone", "walks", "the"], "code": ["def", "return", "self", "class"]}


@pytest.fixture
def tables(tmp_path):
    share = np.random.default_rng(0).uniform(0.05, 0.95, 20).round(3)
    runs = [f"r{i}" for i in range(20)]
    weights = {"run": runs, "weight_web": 1 - share, "weight_code": share}
    pl.DataFrame(weights).write_csv(tmp_path / "m.csv")
    losses = {"loss_code": 4 - np.log(share), "loss_web": 4 - np.log(1 - share)}
    pl.DataFrame({"run": runs} | losses).write_csv(tmp_path / "l.csv")
    for seed, (name, words) in enumerate(WORDS.items()):
        write_jsonl(tmp_path / f"{name}.jsonl", sentences(80, seed, words))
    (tmp_path / "map.toml").write_text("".join(f'{name} = "{name}.jsonl"\n' for name in WORDS))
    return tmp_path / "m.csv", tmp_path / "l.csv", tmp_path / "map.toml"


def test_text_ranks_the_runs_and_a_mixture_is_within_its_constraints(tables):
    how = {"models": ["mixing law"], "model": "mixing law", "constraints": Constraints(max_share={"code": 0.6})}
    report = simtool.sweep(*tables, targets=["code"], resamples=10, **how)
    ranking = report.ranking.to_polars().filter(pl.col("target") == "mean")
    spearman = dict(ranking.select("predictor", "spearman").iter_rows())
    assert spearman["own-domain weight"] == pytest.approx(1)
    assert spearman[report.prior] > 0.9
    shares = dict(zip(report.mixture.domains, report.mixture.weights, strict=True))
    # the loss falls with code, and so it takes as much as it may; or stops where runs end
    assert 0.5 < shares["code"] <= 0.6 + 1e-9
    assert report.facts["losses"] == str(tables[1])


def test_models_whose_packages_are_missing_are_left_out(monkeypatch):
    assert _installed(["ridge"]) == ["ridge"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert _installed(None) == [name for name, entry in MODELS.items() if entry.needs is None]
