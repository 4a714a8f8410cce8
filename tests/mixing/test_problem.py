"""Names and corpora that make no problem."""

import pytest

from simtool.errors import SimtoolError
from simtool.mixing.recommend import recommend
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
