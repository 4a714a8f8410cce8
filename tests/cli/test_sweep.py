"""The command on a sweep of our own making: losses follow the weight of words that the target has."""

import json

import numpy as np
import polars as pl
import pytest

from tests.conftest import sentences, simtool, write_jsonl

WORDS = {
    "web": ["river", "stone", "house", "walks", "sings", "the", "of"],
    "code": ["def", "return", "self", "class", "while", "import", "the"],
    "math": ["plus", "equals", "seven", "eleven", "times", "sum", "of"],
}


@pytest.fixture
def sweep(tmp_path):
    """Files of 40 runs over three domains, with losses on two of them."""
    weights = np.random.default_rng(0).dirichlet([0.5, 0.5, 0.5], 40).round(3)
    losses = 4 - np.log(weights[:, 1:] + 0.01)
    runs = {"run": [f"r{i}" for i in range(40)]}
    pl.DataFrame(runs | {f"weight_{name}": weights[:, k] for k, name in enumerate(WORDS)}).write_csv(tmp_path / "m.csv")
    pl.DataFrame(runs | {"loss_code": losses[:, 0], "loss_math": losses[:, 1]}).write_csv(tmp_path / "l.csv")
    for seed, (name, words) in enumerate(WORDS.items()):
        write_jsonl(tmp_path / f"{name}.jsonl", sentences(120, seed, words))
    (tmp_path / "map.toml").write_text("".join(f'{name} = "{name}.jsonl"\n' for name in WORDS))
    return ["--mixtures", tmp_path / "m.csv", "--losses", tmp_path / "l.csv", "--corpora", tmp_path / "map.toml"]


def test_text_ranks_the_runs_and_the_mixture_keeps_to_its_constraints(sweep, tmp_path):
    pytest.importorskip("lightgbm")
    out = tmp_path / "out"
    done = simtool("sweep", *sweep, "--max-share", "code=0.3", "--min-share", "web=0.2", "--save", out)
    assert done.returncode == 0, done.stderr
    assert "Rank correlation with the losses of 40 runs" in done.stdout
    assert "Weights are rounded to 0.001: a weight of 0 counts as 0.0005 beside a logarithm." in done.stdout
    ranking = pl.read_csv(out / "sweep_ranking.csv").filter(pl.col("target") == "mean")
    spearman = dict(ranking.select("predictor", "spearman").iter_rows())
    assert spearman["own-domain weight"] == pytest.approx(1)
    assert spearman["span_mixture"] > 0.9 and spearman["exposure.token+skeleton3"] > 0.8
    assert {"ridge", "ridge + text", "lightgbm", "mixing law"} <= set(pl.read_csv(out / "proxy_runs.csv")["predictor"])
    shares = dict(pl.read_csv(out / "sweep_mixture.csv").select("domain", "share").iter_rows())
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["code"] <= 0.3 + 1e-9 and shares["web"] >= 0.2 - 1e-9
    assert (out / "proxy_runs.png").exists()
    facts = json.loads((out / "sweep_ranking.json").read_text())
    assert len(facts["corpora"]) == 3 and facts["losses"].endswith("l.csv")


def test_other_runs_are_ranked_by_models_fitted_on_these(sweep, tmp_path):
    other = ["--test-mixtures", tmp_path / "m.csv", "--test-losses", tmp_path / "l.csv"]
    done = simtool("sweep", *sweep, *other, "--target", "math", "--fit", "mixing law", "--recommend-by", "mixing law")
    assert done.returncode == 0, done.stderr
    assert "mean over 1 target;" in done.stdout and "mixing law" in done.stdout
    assert "ridge" not in done.stdout


def test_what_is_missing_is_one_message(sweep, tmp_path):
    (tmp_path / "map.toml").write_text('web = "web.jsonl"\ncode = "code.jsonl"\n')
    for arguments, message in (
        (sweep, "has no text for math."),
        ([*sweep, "--target", "maths"], "simtool: Unknown target 'maths'. Did you mean 'math'?"),
        ([*sweep, "--test-losses", tmp_path / "l.csv"], "simtool: Give both tables of the runs to rank"),
        ([*sweep[:2], "--losses", tmp_path / "none.csv", *sweep[4:]], f"simtool: No file {tmp_path / 'none.csv'}"),
    ):
        done = simtool("sweep", *arguments)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr, done.stderr
