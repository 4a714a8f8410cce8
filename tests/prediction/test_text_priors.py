import numpy as np
import pytest
from scipy import stats

from simtool.errors import SimtoolError
from simtool.mixture import Mixture, as_mixtures
from simtool.prediction.sweeps import Sweep, SweepTexts
from simtool.prediction.text_priors import (
    COSTS,
    count_sweep,
    predicted_losses,
    prior_losses,
    rank_runs,
    span_losses,
    spearman_rows,
)
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile
from simtool.similarity.metrics import METRICS, unlearnt
from simtool.tokens.tokenizer import load_tokenizer

DOMAINS = ("web", "code", "math")


def profile_of(name: str, shift: int, symbols_per_token: int = 1) -> Profile:
    rng = np.random.default_rng(shift)
    shares = np.roll(1 / np.arange(1, 65), shift)
    features = {
        feature: rng.multinomial(400 * symbols_per_token, shares / shares.sum(), N_FOLDS).astype(np.int64)
        for feature in ("token", "skeleton3")
    }
    sizes = np.full(N_FOLDS, 400)
    return Profile(name, "toy", "f" * 64, sizes // 50, sizes, sizes * 4, features)


@pytest.fixture(scope="module")
def profiles():
    return {name: profile_of(name, 20 * i, 1 + i) for i, name in enumerate(DOMAINS)}


@pytest.fixture(scope="module")
def sweep():
    weights = np.random.default_rng(0).dirichlet([0.5, 0.5, 0.5], 40)
    losses = 4 - np.log(weights[:, 1:] + 0.01)
    return Sweep(tuple(map(str, range(40))), DOMAINS, DOMAINS[1:], weights, losses)


@pytest.fixture(scope="module")
def texts():
    return SweepTexts(as_mixtures(DOMAINS), as_mixtures(DOMAINS[1:]))


def test_a_prior_is_the_cost_of_each_symbol_under_the_mixed_counts(sweep, texts, profiles):
    """The slow way: mix distributions run by run, weights being shares of tokens and not of symbols."""
    split = np.arange(N_FOLDS) % 2 == 0
    counts = count_sweep(profiles, DOMAINS, texts.targets, ("token",))
    for cost in COSTS.values():
        fast = predicted_losses(sweep.weights, counts, cost, split)
        for run in (0, 7):
            symbols = sweep.weights[run] * [1, 2, 3]  # symbols per token
            sources = [profiles[name].features["token"][split].sum(axis=0) for name in DOMAINS]
            mixed = sum(w * p / p.sum() for w, p in zip(symbols / symbols.sum(), sources, strict=True))
            for t, target in enumerate(sweep.targets):
                q = profiles[target].features["token"][~split].sum(axis=0)
                assert fast[run, t] == pytest.approx((q * cost(mixed, 64)).sum() / q.sum(), rel=1e-5)


def test_exposure_of_two_features_lies_side_by_side(sweep, texts, profiles):
    """By hand: shares over the symbols of both features together."""
    (both,) = prior_losses(sweep, texts, profiles, "exposure.token+skeleton3", resamples=1)
    names = ("token", "skeleton3")
    counts = [count_sweep(profiles, DOMAINS, texts.targets, (name,)) for name in names]
    assert both.shape == (40, 2)
    joint = count_sweep(profiles, DOMAINS, texts.targets, names)
    np.testing.assert_array_equal(joint.per_token, sum(one.per_token for one in counts))
    assert 0 < both.min() < both.max() < 1
    assert (unlearnt(np.array([0.0])) == 1).all()


def test_cross_entropy_is_that_of_the_catalogue_but_for_the_targets_smoothing(sweep, texts, profiles):
    split = np.arange(N_FOLDS) % 2 == 0
    counts = count_sweep(profiles, DOMAINS, texts.targets, ("token",))
    fast = predicted_losses(np.array([[1.0, 0, 0]]), counts, COSTS["cross_entropy"], split)[0, 0]
    p, q = profiles["web"].features["token"][split].sum(axis=0), profiles["code"].features["token"][~split].sum(axis=0)
    assert fast == pytest.approx(METRICS["cross_entropy"].compute(p / p.sum(), q / q.sum()), rel=0.02)


def test_text_ranks_a_sweep_that_follows_its_text(sweep, texts, profiles):
    own = sweep.own_weights(texts)
    predictions = {
        "own": -own[None],
        "text": prior_losses(sweep, texts, profiles, resamples=5),
        "noise": np.random.default_rng(1).random((1, 40, 2)),
    }
    ranking = rank_runs(sweep, own, predictions, draws=50)
    np.testing.assert_allclose(ranking.spearman[0], 1)  # the losses are a function of the own weight
    assert (ranking.spearman[1] > 0.8).all() and (np.abs(ranking.spearman[2]) < 0.6).all()
    assert (ranking.low <= ranking.high).all() and ranking.low[2, -1] < 0 < ranking.high[2, -1]
    assert ranking.n.tolist() == [40, 40]
    np.testing.assert_array_equal(ranking.n_low, (own < 0.005).sum(axis=0))
    table = ranking.to_polars()
    assert table.height == 3 * 3 and set(table["target"]) == {"code", "math", "mean"}


def test_a_target_without_enough_runs_has_no_rank(sweep, texts, profiles):
    losses = sweep.losses.copy()
    losses[2:, 0] = np.nan
    some = Sweep(sweep.runs, sweep.domains, sweep.targets, sweep.weights, losses)
    ranking = rank_runs(some, some.own_weights(texts), {"own": -some.own_weights(texts)[None]}, draws=20)
    assert np.isnan(ranking.spearman[0, 0])
    assert ranking.spearman[0, 1] == ranking.spearman[0, 2] == pytest.approx(1)


def test_spearman_of_rows_is_scipys():
    rng = np.random.default_rng(0)
    x, y = rng.integers(4, size=(5, 12)), rng.random((5, 12))
    np.testing.assert_allclose(
        spearman_rows(x, y), [stats.spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    )


def test_spans_rank_runs_by_text_that_they_hold():
    words = {"web": "river stone house red blue", "code": "def return self class while"}
    documents = {name: [(fold, f"{text} " * 9) for fold in range(N_FOLDS)] for name, text in words.items()}
    weights = np.array([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]])
    sweep = Sweep(("a", "b", "c"), ("web", "code"), ("code",), weights, np.array([[3.0], [2], [1]]))
    texts = SweepTexts(as_mixtures(("web", "code")), {"code": Mixture({"code": 1.0})})
    values = span_losses(sweep, texts, documents, load_tokenizer("default"), resamples=4)
    assert values.shape == (4, 3, 1)
    assert (np.diff(values[:, :, 0], axis=1) < 0).all()


def test_an_unknown_prior(sweep, texts, profiles):
    with pytest.raises(SimtoolError, match=r"^Unknown text prior 'entropy.token'"):
        prior_losses(sweep, texts, profiles, "entropy.token")
