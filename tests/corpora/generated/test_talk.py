"""Requests are answered; in conversations people speak in turn."""

from itertools import pairwise

import pytest

from simtool.corpora.generated.dice import Dice
from simtool.corpora.generated.talk import REQUESTS, TALKS, chat, dialogue


@pytest.mark.parametrize("request_of", REQUESTS)
def test_every_request_is_answered_and_no_slot_is_left_open(request_of):
    for seed in range(100):
        request, answer = request_of(Dice(seed))
        assert request.strip() and answer.strip() and request != answer
        assert not set("{}[]|") & set(request + answer)


@pytest.mark.parametrize("talk", TALKS)
def test_nobody_answers_themselves(talk):
    for seed in range(50):
        speakers = [speaker for speaker, _ in talk(Dice(seed), ["Kim", "Noa"])]
        assert len(speakers) >= 4 and len(set(speakers)) == 2
        assert all(before != after for before, after in pairwise(speakers))


def test_the_same_seed_says_the_same():
    assert (dialogue(Dice(3)), chat(Dice(3))) == (dialogue(Dice(3)), chat(Dice(3)))
    assert dialogue(Dice(3)) != dialogue(Dice(4))
