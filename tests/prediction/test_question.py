"""What a mixture is compared with: the pretraining corpus with held-out documents of itself."""

from dataclasses import replace

import numpy as np
import pytest

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.prediction.question import Part, Question, control, name_of
from tests.prediction.toys import C4


def test_each_new_share_has_one_control(corpora):
    mixtures = {
        "code": Mixture({"c4": 0.8, "starcoder": 0.2}),
        "math": Mixture({"c4": 0.5, "math": 0.5}),
        "both": Mixture({"c4": 0.8, "starcoder": 0.1, "math": 0.1}),
        "none": C4,
    }
    question = Question(corpora, C4, mixtures, ("code",))
    assert question.sources[5:] == [
        {Part("c4"): 0.8, Part("c4", held_out=True): 0.2},
        {Part("c4"): 0.5, Part("c4", held_out=True): 0.5},
    ]
    assert question.controls.tolist() == [5, 6, 5, 0]  # what adds nothing is compared with the pretraining corpus


def test_the_control_of_a_pretraining_mixture_has_its_shares():
    pretrain = Mixture({"c4": 0.75, "wiki": 0.25})
    assert control(pretrain, 0.2) == pytest.approx(
        {Part("c4"): 0.6, Part("wiki"): 0.2, Part("c4", True): 0.15, Part("wiki", True): 0.05}
    )
    assert control(pretrain, 1) == {Part("c4", True): 0.75, Part("wiki", True): 0.25}


def test_more_of_a_corpus_that_is_in_pretraining_brings_no_new_documents(corpora):
    pretrain = Mixture({"c4": 0.9, "math": 0.1})
    question = Question(corpora, pretrain, {"more math": Mixture({"c4": 0.5, "math": 0.5})}, ("code",))
    assert question.controls.tolist() == [0] and len(question.sources) == 2


def test_a_source_reads_as_its_shares():
    assert name_of({Part("c4"): 0.8, Part("c4", True): 0.2}) == "c4:0.8+c4:0.2 held out"


def test_names_without_a_profile_are_refused(corpora):
    question = Question(corpora, C4, {"code": Mixture({"c4": 0.8, "starcoder": 0.2})}, ("code",))
    with pytest.raises(SimtoolError, match=r"^Unknown corpus 'cod'\. Did you mean 'code'\?"):
        replace(question, targets=("cod",))
    assert np.issubdtype(question.controls.dtype, np.integer)


def test_each_mixture_is_compared_with_the_control_of_its_own_share(corpora):
    shares = (0.5, 0.2, 0.9, 0.2)  # in no order
    mixtures = {f"{n}": Mixture({"c4": 1 - share, "math": share}) for n, share in enumerate(shares)}
    question = Question(corpora, C4, mixtures, ("code",))
    held_out = [question.sources[place][Part("c4", held_out=True)] for place in question.controls]
    assert held_out == pytest.approx(shares) and len(question.sources) == 1 + 4 + 3
