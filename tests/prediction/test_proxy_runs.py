import numpy as np
import polars as pl
import pytest

from simtool.errors import SimtoolError
from simtool.prediction import proxy_runs
from simtool.prediction.proxy_runs import (
    MODELS,
    Inputs,
    cross_validation,
    proxy_curve,
    quality,
    transfers,
    within_reach,
)
from simtool.prediction.sweeps import Sweep

K = 4


def weights_of(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(K, 0.4), n)


def sweep_with(losses: np.ndarray, weights: np.ndarray) -> Sweep:
    names = tuple("abcd"[: losses.shape[1]])
    return Sweep(tuple(map(str, range(len(weights)))), tuple("abcd"), names, weights, losses)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns_its_own_kind_of_loss(name):
    pytest.importorskip("sklearn"), pytest.importorskip("lightgbm")
    weights = weights_of(300)
    losses = {
        "ridge": 2 - 0.3 * np.log(weights[:, 0] + 5e-4) - weights[:, 1],
        "lightgbm": 3.0 - (weights[:, 0] > 0.2) - (weights[:, 1] > 0.5),
        "mixing law": 2 + np.exp(weights @ np.array([-3.0, 0.0, -1.0, 0.5])),
    }[name]
    inputs = Inputs(weights, 5e-4)
    fitted = MODELS[name].fit(inputs.rows(np.arange(200)), losses[:200])
    error = fitted(inputs.rows(np.arange(200, 300))) - losses[200:]
    assert np.sqrt((error**2).mean()) < 0.2 * losses.std()


def test_ridge_with_a_perfect_prior_needs_hardly_a_run():
    pytest.importorskip("sklearn")
    weights = weights_of(60)
    losses = np.sin(40 * weights[:, 0]) + 3  # what ridge on weights cannot learn
    with_prior = Inputs(weights, 5e-4, 2 * losses - 1)
    fitted = MODELS["ridge"].fit(with_prior.rows(np.arange(8)), losses[:8])
    np.testing.assert_allclose(fitted(with_prior), losses, atol=0.05)


def test_every_run_is_held_out_once_and_never_trained_on():
    draws = cross_validation(23, folds=5)
    np.testing.assert_array_equal(np.sort(np.concatenate([draw.test for draw in draws])), np.arange(23))
    for draw in draws:
        assert not set(draw.train) & set(draw.test) and len(draw.train) + len(draw.test) == 23
    for draw in transfers(10, 4, draws=3):
        assert sorted(draw.train) == list(range(10)) and draw.test.tolist() == [10, 11, 12, 13]


def test_quality_by_hand():
    # the first is picked: 3 nats against the best, 1; at random 2 on average, which loses 1
    assert quality(np.array([0.0, 1.0, 2.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx((-1, 2, 2))
    # the first two tie for the best, and are picked with equal chances
    assert quality(np.array([0.0, 0.0, 1.0]), np.array([1.0, 2.0, 3.0]))[1:] == pytest.approx((0.5, 0.5))


def test_the_curve_has_every_predictor_size_and_target():
    pytest.importorskip("sklearn")
    weights = weights_of(60)
    losses = 3 - np.log(weights[:, :2] + 0.01)
    prior = -weights[:, :2]
    sweep = sweep_with(losses, weights)
    curve = proxy_curve(sweep, cross_validation(60), {"own": prior}, prior, ["ridge", "mixing law"], (8, 32, 128))
    table = curve.to_polars()
    keys = set(table.select("predictor", "runs").unique().iter_rows())
    models = ("ridge", "ridge + text", "mixing law")
    assert keys == {("own", 0), *((model, size) for model in models for size in (8, 32))}  # 48 runs at most to train on
    assert set(table["target"]) == {"a", "b", "mean", "average"} and set(table["draws"]) == {5}
    own = table.filter((pl.col("predictor") == "own") & (pl.col("target") == "mean"))
    assert own["spearman"].item() == pytest.approx(1) and own["regret"].item() == pytest.approx(0)
    ridge = table.filter((pl.col("predictor") == "ridge") & (pl.col("target") == "mean")).sort("runs")["spearman"]
    assert ridge[0] < ridge[1]  # 8 runs, 32 runs
    assert (table["spearman_low"] <= table["spearman"] + 1e-12).all()


def test_a_target_that_a_run_lacks_is_left_out():
    weights = weights_of(40)
    losses = 3 - np.log(weights[:, :2] + 0.01)
    losses[3, 0] = np.nan
    draws = cross_validation(40)
    curve = proxy_curve(sweep_with(losses, weights), draws, {"own": -weights[:, :2]}, -weights[:, :2], [])
    assert set(curve.rows["target"]) == {"b", "mean", "average"}
    with pytest.raises(SimtoolError, match=r"^No target has a loss for every run"):
        proxy_curve(sweep_with(losses[:, :1], weights), draws, {}, -weights[:, :1], [])


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(proxy_runs.MODELS, "ridge", proxy_runs.ModelEntry(proxy_runs.fit_ridge, "Ridge.", "no_such"))
    with pytest.raises(SimtoolError, match=r"^ridge needs no_such. Install it: pip install '\.\[sweep\]' in a clone"):
        proxy_runs.find_model("ridge")
    with pytest.raises(SimtoolError, match=r"^Unknown model 'rigde'. Did you mean 'ridge'"):
        proxy_runs.find_model("rigde")


def test_a_model_is_trusted_between_runs_and_not_far_from_them():
    shares = np.linspace(0, 0.5, 6)
    runs = np.column_stack([shares, 1 - shares])  # 0.2 apart, as sums of absolute differences
    sweep = Sweep(tuple("abcdef"), ("x", "y"), ("t",), runs, np.linspace(1, 2, 6)[:, None])
    trusted = within_reach(sweep, lambda weights: np.zeros(len(weights)))
    between, far = trusted(np.array([[0.05, 0.95], [1.0, 0.0]]))
    assert between == pytest.approx(0, abs=1e-9)
    assert far == pytest.approx(10 * np.std(np.linspace(1, 2, 6)) * (1.0 - 0.2))
