"""What is counted into a problem; names and corpora that make none."""

import numpy as np
import pytest

from simtool.errors import SimtoolError
from simtool.mixing.constraints import Constraints
from simtool.mixing.problem import build_problem, unseen_share
from simtool.mixing.recommend import recommend
from simtool.mixing.solver import within_budget
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile
from tests.mixing.toys import block, corpus_of


def mix(profiles, constraints=None, candidates=("code", "maths"), targets=("target",), **options):
    options = {"resamples": 40, **options}
    return recommend(profiles, "web", candidates, dict.fromkeys(targets, 1.0), constraints, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"candidates": ("code", "web")},
            "web is the pretraining corpus, which every mixture may hold. Leave it out of the candidates.",
        ),
        ({"candidates": ()}, "Nothing to mix in. Name one candidate or more."),
        ({"targets": ()}, "Name one target or more, each with a weight above 0. Got {}."),
        (
            {"targets": ("targe",)},
            "Unknown corpus 'targe'. Did you mean 'target'?\nKnown: again, code, maths, other, target, useless, web.",
        ),
    ],
)
def test_names_that_make_no_problem_are_refused(profiles, options, message):
    with pytest.raises(SimtoolError) as caught:
        mix(profiles, **options)
    assert str(caught.value) == message


def test_a_corpus_without_the_feature_is_refused(profiles):
    nothing = {**profiles, "code": corpus_of("code", block(0, 5), 0)}
    with pytest.raises(SimtoolError) as caught:
        mix(nothing)
    assert str(caught.value) == "code has nothing to count for token. Give longer documents or another feature."


def test_unseen_entries_get_what_witten_and_bell_give_them():
    # 8 symbols of 2 kinds: 2 / (8 + 2); 3 of 3: 3 / 6; the last column is of no source, so it is no kind
    counts = np.array([[5.0, 3, 0, 0], [1, 1, 1, 0], [8, 0, 0, 2]])
    np.testing.assert_allclose(unseen_share(counts), [2 / 10, 3 / 6, 1 / 11])


def profile_of(name: str, counts: np.ndarray) -> Profile:
    sizes = counts.sum(axis=1)
    return Profile(name, "toy", "f" * 64, sizes, sizes, sizes, {"token": counts})


def test_distributions_by_hand():
    """Web is (2, 2, 0) per fold, code (0, 0, 4), the target (1, 0, 1) and a third of an entry that no source has.

    Of V = 4 entries: web leaves 2 / 66, code 1 / 65, both after 64 symbols; the target is as counted.
    """
    per_fold = {"web": (2, 2, 0, 0), "code": (0, 0, 4, 0), "target": (1, 0, 1, 1)}
    profiles = {name: profile_of(name, np.tile(np.array(counts), (N_FOLDS, 1))) for name, counts in per_fold.items()}
    problem = build_problem(profiles, "web", ["code"], {"target": 1.0}, Constraints(), "token", 2, 0).counts.whole()
    of_web = np.array([32.5, 32.5, 0.5, 0.5]) / 66  # (c + T / V) / (N + T), T / V = 2 / 4
    of_code = np.array([0.25, 0.25, 64.25, 0.25]) / 65
    np.testing.assert_allclose(problem.sources_KV, [of_web, of_code])
    np.testing.assert_allclose(problem.target_TV, [np.array([1, 0, 1, 1]) / 3, of_web])
    np.testing.assert_allclose(problem.forgetting(np.array([1.0, 0.0])), 0, atol=1e-12)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_the_best_share_of_small_samples_is_near_that_of_their_populations(share):
    """8,000 words of 3,000: with 1% for the unseen, whatever the sample, the means of these 20 are .33 and .85."""
    web = 1 / np.arange(1, 3_001)
    web /= web.sum()
    code = np.roll(web, 300)
    populations = {"web": web, "code": code, "target": share * code + (1 - share) * web}
    best = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        drawn = {name: rng.multinomial(500, shares, N_FOLDS) for name, shares in populations.items()}
        profiles = {name: profile_of(name, counts) for name, counts in drawn.items()}
        problem = build_problem(profiles, "web", ["code"], {"target": 1.0}, Constraints(), "token", 2, seed)
        best.append(within_budget(problem.counts.whole(), problem.target_weights, None).weights[1])
    assert np.mean(best) == pytest.approx(share, abs=0.012)
