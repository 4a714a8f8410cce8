"""The matrix at equal sizes: ceilings, intervals and mixtures mean what they say."""

from dataclasses import replace

import numpy as np
import pytest

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile
from simtool.profiles.resolve import shipped
from simtool.similarity.matrix import cells_of, equal_samples, leave_out_folds, similarity_matrix
from simtool.similarity.metrics import METRICS
from simtool.statistics import random_halves
from simtool.tokens.tokenizer import load_tokenizer

DIMENSION = 3000


def zipf(shift: int = 0, exponent: float = 1.1) -> np.ndarray:
    shares = 1.0 / np.arange(1, DIMENSION + 1) ** exponent
    return np.roll(shares / shares.sum(), shift)


def corpus_of(
    name: str, shares: np.ndarray, n_tokens: int, seed: int, document: int = 100, clumping: float = 300.0
) -> Profile:
    """Documents of their own topics: each draws its distribution from a Dirichlet around `shares`."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((N_FOLDS, len(shares)), np.int64)
    for _ in range(n_tokens // document):
        own = rng.dirichlet(shares * clumping + 1e-9)
        counts[rng.integers(N_FOLDS)] += rng.multinomial(document, own)
    per_fold = counts.sum(axis=1)
    return Profile(name, "toy", "f" * 64, per_fold, per_fold, per_fold, {"token": counts})


def matrix_of(*profiles: Profile, **options):
    return similarity_matrix({profile.corpus: profile for profile in profiles}, **options)


@pytest.mark.parametrize("metric", METRICS)
def test_two_samples_of_one_corpus_of_very_different_sizes_meet_the_ceiling(metric):
    small, large = corpus_of("small", zipf(), 20_000, 1), corpus_of("large", zipf(), 400_000, 2)
    result = matrix_of(small, large, metric=metric, feature="token", resamples=100)
    has_reference = METRICS[metric].by_ceilings  # the ceiling of many documents is not that of few
    assert result.is_tested[0, 1] == has_reference
    assert result.at_ceiling[0, 1] == has_reference, (result.values, result.low, result.high)
    low, high = result.low[0, 1], result.high[0, 1]
    ceiling = result.ceiling.mean()
    assert low <= ceiling <= high


def test_the_published_score_of_those_samples_is_not_even_near_one():
    """What the matrix corrects: the score on all that there is depends on the sizes."""
    small, large = corpus_of("small", zipf(), 20_000, 1), corpus_of("large", zipf(), 400_000, 2)
    shares = [p.features["token"].sum(axis=0) / p.size["tokens"] for p in (small, large)]
    assert METRICS["token"].compute(*shares) < 0.9


@pytest.mark.parametrize("metric", ["token", "js", "size_free", "cosine", "kl"])
def test_another_distribution_is_distinguishable_from_the_ceiling(metric):
    one, other = corpus_of("one", zipf(), 50_000, 1), corpus_of("other", zipf(3), 50_000, 2)
    result = matrix_of(one, other, metric=metric, resamples=100)
    assert not result.at_ceiling.any()


def test_a_copy_is_at_the_ceiling_and_not_above():
    """The same documents on both sides: no document may meet itself."""
    one = corpus_of("one", zipf(), 50_000, 1)
    copy = Profile(**{**vars(one), "corpus": "copy"})
    result = matrix_of(one, copy, resamples=100)
    np.testing.assert_allclose(result.values[0, 1], result.ceiling, atol=0.01)
    assert result.at_ceiling[0, 1]


@pytest.mark.parametrize("metric", METRICS)
def test_values_are_in_range_and_inside_their_interval(metric):
    result = matrix_of(
        *(corpus_of(f"c{n}", zipf(n), 20_000, n) for n in range(3)),
        metric=metric,
        feature="token",
        resamples=50,
    )
    chosen = METRICS[metric]
    assert (result.values >= chosen.low).all() and (result.values <= chosen.high).all()
    assert (result.low <= result.values).all() and (result.values <= result.high).all()
    if chosen.symmetric:
        np.testing.assert_array_equal(result.values, result.values.T)


def test_the_interval_covers_the_expected_score():
    """Of 40 pairs of fresh samples, the intervals hold the long-run mean about 95% of the time."""
    shares, others = zipf(), zipf(5)
    covered, scores = 0, []
    results = [
        matrix_of(
            corpus_of("a", shares, 10_000, 1000 + n), corpus_of("b", others, 10_000, 2000 + n),
            metric="cosine", resamples=60,
        )
        for n in range(40)
    ]  # fmt: skip
    truth = np.mean([result.values[0, 1] for result in results])
    for result in results:
        covered += result.low[0, 1] <= truth <= result.high[0, 1]
        scores.append(result.high[0, 1] - result.low[0, 1])
    assert covered >= 34  # P(fewer than 34 of 40 | 0.95) < 0.5%
    spread = np.std([result.values[0, 1] for result in results])
    assert 2.5 < np.mean(scores) / spread < 7  # about 4 standard errors wide


# --- Uncertainty that covers what it says: simulations, each of which fails with the quantiles of half-splits ---


@pytest.fixture(scope="module")
def populations() -> dict[str, np.ndarray]:
    """Real shapes: what the shipped profiles hold of each token, as the text that samples are drawn from."""
    tokenizer = load_tokenizer("default")
    counts = {name: shipped(name, tokenizer, ("token",)).features["token"].sum(axis=0) for name in ("c4", "gsm8k")}
    seen = sum(counts.values()) > 0
    return {name: of_corpus[seen] / of_corpus.sum() for name, of_corpus in counts.items()}


def sample_of(shares: np.ndarray, n_tokens: int, seed: int, clumping: float = 2_000.0) -> Profile:
    """Folds of their own topics and of unequal sizes, as many documents in each as in any other."""
    rng = np.random.default_rng(seed)
    sizes = np.round(n_tokens * rng.dirichlet(np.full(N_FOLDS, 60.0))).astype(int)
    counts = [rng.multinomial(n, rng.dirichlet(shares * clumping + 1e-12)) for n in sizes]
    return Profile("", "toy", "f" * 64, np.full(N_FOLDS, 10), sizes, sizes, {"token": np.array(counts, np.int64)})


def measured(
    a: np.ndarray, b: np.ndarray, seed: int, n_tokens: int = 10_000, metric: str = "js", clumping: float = 2_000.0
):
    pair = {"a": sample_of(a, n_tokens, 2 * seed, clumping), "b": sample_of(b, n_tokens, 2 * seed + 1, clumping)}
    return similarity_matrix(pair, metric=metric, feature="token", tokens=int(0.9 * n_tokens), resamples=20)


def test_intervals_of_noise_ceilings_cover_them(populations):
    """A sample moves both of its own halves together, which the spread of half-splits does not show."""
    results = [measured(*populations.values(), seed) for seed in range(30)]
    for i in range(2):
        truth = np.mean([result.values[i, i] for result in results])
        covered = sum(result.low[i, i] <= truth <= result.high[i, i] for result in results)
        assert covered >= 25  # P(fewer than 25 of 30 | 0.95) < 0.4%
        widths = np.mean([result.high[i, i] - result.low[i, i] for result in results])
        assert widths / np.std([result.values[i, i] for result in results]) < 8  # about 4 standard errors


def test_the_size_free_similarity_is_that_of_the_texts_at_any_size(populations):
    a, b = populations.values()
    truth, scores = float(METRICS["size_free"].compute(a, b)), []
    for n_tokens in (10_000, 40_000, 160_000):
        result = measured(a, b, n_tokens, n_tokens, "size_free")
        assert result.values[0, 1] == pytest.approx(truth, abs=0.025)
        assert result.low[0, 1] < truth + 0.01 and truth - 0.01 < result.high[0, 1]
        assert (np.diagonal(result.values) == 1).all() and (np.diagonal(result.low) == 1).all()
        scores.append(measured(a, b, n_tokens, n_tokens, "token").values[0, 1])
    assert scores[-1] - scores[0] > 0.04  # the paper's score is not


def test_the_interval_of_the_size_free_similarity_covers_its_mean(populations):
    """What is left of bias is tested above; `analyses/coverage.py` draws real documents and asks for the truth."""
    results = [measured(*populations.values(), seed, 20_000, "size_free") for seed in range(24)]
    mean = np.mean([result.values[0, 1] for result in results])
    assert sum(result.low[0, 1] <= mean <= result.high[0, 1] for result in results) >= 19  # P(fewer | 0.95) < 0.2%


@pytest.mark.parametrize("metric", ["js", "kl"])
def test_the_mark_is_right_for_one_text_and_sees_foreign_documents(metric, populations):
    """Of pairs of samples of one text 5% are distinguishable; where a fifth of one is foreign, most are."""
    a, b = populations.values()
    differ = {}
    for foreign in (0.0, 0.2):
        results = [measured(a, (1 - foreign) * a + foreign * b, 500 + seed, metric=metric) for seed in range(20)]
        assert all(result.is_tested[0, 1] for result in results)
        differ[foreign] = sum(not result.at_ceiling[0, 1] for result in results)
    assert differ[0.0] <= 4  # 1 expected; P(more than 4 of 20 | 5%) < 0.3%
    assert differ[0.2] >= 16


@pytest.mark.parametrize("metric", ["token", "js", "size_free"])
def test_one_text_is_not_called_different_where_document_counts_are_unequal(metric):
    """By the interval of the ceilings' mean less the cell, `token` calls 10 and `js` 8 of these 12 pairs different."""
    different = 0
    for seed in range(12):
        few, many = (corpus_of(str(n), zipf(), n, seed + n, clumping=20.0) for n in (10_000, 100_000))
        result = matrix_of(few, many, metric=metric, feature="token", resamples=40, seed=seed)
        different += bool(result.is_tested[0, 1] and not result.at_ceiling[0, 1])
    assert different <= 2  # 5% expected; P(more than 2 of 12) < 2%


def test_the_interval_of_the_size_free_similarity_covers_the_texts_own():
    """Without what it reaches for bias, it holds the truth in 20%."""
    tokenizer = load_tokenizer("default")
    counts = [shipped(name, tokenizer, ("token",)).features["token"].sum(axis=0) for name in ("pycode", "gsm8k")]
    a, b = (of_corpus[sum(counts) > 0] / of_corpus.sum() for of_corpus in counts)
    truth = float(METRICS["size_free"].compute(a, b))
    results = [measured(a, b, seed, 20_000, "size_free", 300.0) for seed in range(30)]
    assert sum(result.low[0, 1] <= truth <= result.high[0, 1] for result in results) >= 25  # P(fewer | 95%) < 0.4%


def test_the_bias_of_js_is_corrected():
    """First-order, so not all of it where most entries are rare; here about half at 20,000 tokens a side."""
    one, other = (corpus_of(name, zipf(n), 40_000, n, clumping=1e9) for n, name in ((0, "one"), (2, "other")))
    truth = float(METRICS["js"].compute(zipf(), zipf(2)))
    halves = [profile.features["token"][side::2].sum(axis=0) for side, profile in ((0, one), (1, other))]
    plug_in = float(METRICS["js"].compute(*(half / half.sum() for half in halves)))
    corrected = matrix_of(one, other, metric="js", resamples=50).values[0, 1]
    assert truth < corrected < truth + 0.6 * (plug_in - truth)


def test_a_mixture_holds_its_shares_exactly():
    one, other = corpus_of("one", zipf(), 50_000, 1), corpus_of("other", zipf(9), 50_000, 2)
    only = Profile(**{**vars(other), "features": {"token": np.roll(other.features["token"], 1, axis=1)}})
    profiles = {"one": one, "other": only}
    mixtures = {"one": Mixture({"one": 1.0}), "mix": Mixture({"one": 0.75, "other": 0.25})}
    samples, tokens = equal_samples(profiles, mixtures, "token", 20_000, np.random.default_rng(0))
    assert tokens == 20_000
    assert samples[0].sum() == samples[1].sum() == 20_000
    # what the mixture takes of `one` is a part of what `one` itself gives: comparisons are paired
    taken_of_one = samples[1] - thin_like(samples[1], only)
    assert (taken_of_one <= samples[0] + only.features["token"]).all()


def thin_like(sample: np.ndarray, profile: Profile) -> np.ndarray:
    return np.minimum(sample, profile.features["token"])


def test_a_mixture_of_one_corpus_is_that_corpus():
    one, other = corpus_of("one", zipf(), 30_000, 1), corpus_of("other", zipf(4), 30_000, 2)
    mixtures = {
        "one": Mixture({"one": 1.0}),
        "again": Mixture({"one": 1.0}),
        "other": Mixture({"other": 1.0}),
    }
    result = similarity_matrix({"one": one, "other": other}, mixtures, resamples=40)
    np.testing.assert_array_equal(result.values[0, 2], result.values[1, 2])


def test_same_seed_same_bits():
    profiles = [corpus_of(f"c{n}", zipf(n), 20_000, n) for n in range(3)]
    one, again = (matrix_of(*profiles, tokens=9_000, resamples=30, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.values, again.values)
    np.testing.assert_array_equal(one.low, again.low)
    assert not np.array_equal(one.values, matrix_of(*profiles, tokens=9_000, resamples=30, seed=4).values)


def test_too_few_tokens_for_the_budget():
    with pytest.raises(SimtoolError) as caught:
        matrix_of(corpus_of("one", zipf(), 10_000, 1), corpus_of("other", zipf(), 90_000, 2), tokens=50_000)
    assert str(caught.value) == (
        "one holds 10,000 tokens, too few for --tokens 50,000.\nAsk for at most 10,000, or leave it out."
    )


def test_too_few_documents_for_halves():
    lone = corpus_of("lone", zipf(), 100, 1)
    with pytest.raises(SimtoolError) as caught:
        matrix_of(lone, corpus_of("other", zipf(), 10_000, 2))
    assert str(caught.value) == (
        "Too few documents for an interval: lone. Documents are divided into 16 folds, and 8 of them must hold some.\n"
        "Give more documents (a few hundred are a good start)."
    )


def test_samples_that_share_nothing_with_themselves_have_no_size_free_similarity():
    samples = np.eye(16, dtype=np.float32)[None]  # each symbol once, so that two halves have none in common
    assert np.isnan(cells_of(METRICS["size_free"], samples, np.arange(16)[None] < 8)).all()


def test_it_prints_as_a_square_of_means():
    result = matrix_of(*(corpus_of(f"c{n}", zipf(), 20_000, n) for n in range(2)), resamples=20)
    title, header, first, _, basis = str(result).split("\n")
    assert title == "SimilarityMatrix, 4 rows" and header.split() == ["c0", "c1"]
    mark = "≈" if result.at_ceiling[0, 1] else ""
    assert first.split() == ["c0", f"{result.values[0, 0]:.3f}", f"{mark}{result.values[0, 1]:.3f}"]
    assert basis == f"token on token, {result.tokens:,} tokens of each; 95% intervals: to_polars()"
    wide = replace(result, corpora=("a" * 50, "b" * 50))
    assert "All 14 columns and 4 rows: to_polars()" in str(wide)


@pytest.mark.parametrize("metric", ["js", "kl", "size_free"])
def test_tiles_of_many_corpora_are_the_matrix_of_all(metric, monkeypatch):
    profiles = [corpus_of(f"c{k}", zipf(40 * k), 20_000, k) for k in range(5)]
    whole = matrix_of(*profiles, metric=metric, feature="token", resamples=20)
    monkeypatch.setattr("simtool.similarity.matrix.TILE_CORPORA", 2)
    tiled = matrix_of(*profiles, metric=metric, feature="token", resamples=20)
    for name in ("values", "low", "high"):
        np.testing.assert_allclose(getattr(tiled, name), getattr(whole, name), atol=1e-5)
    assert (tiled.at_ceiling == whole.at_ceiling).all()


@pytest.mark.parametrize("name", ["js", "kl"])  # symmetric, and not
def test_a_split_and_its_mirror_image_leave_out_folds_alike(name):
    rng = np.random.default_rng(0)
    samples = rng.poisson(3.0, (3, 16, 50)).astype(np.float32)
    splits = random_halves(16, 8, rng)
    left_out = leave_out_folds(METRICS[name], samples, splits)
    np.testing.assert_allclose(leave_out_folds(METRICS[name], samples, ~splits), left_out, rtol=1e-5)
