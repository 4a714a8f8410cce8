"""From what is asked for to a recipe."""

import pytest

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.runs.request import Request, recipe_for
from simtool.tokens.tokenizer import load_tokenizer

TOKENIZER = load_tokenizer("default")
C4 = Mixture({"c4": 1.0})
MIX = Mixture({"c4": 0.8, "starcoder": 0.2})


def test_a_fork_goes_on_from_the_run_it_names():
    base = recipe_for(Request(pretrain=C4, tokens=2_000_000, schedule="constant"), TOKENIZER)
    arms = [
        recipe_for(Request(midtrain=mixture, tokens=500_000, schedule="linear"), TOKENIZER, base)
        for mixture in (C4, MIX)
    ]
    for arm in arms:
        assert arm.prefix(1, 0) == base.fingerprint
        assert arm.phases[1].learning_rate_at(0.0) == base.phases[0].learning_rate_at(1.0)  # no leap of the rate
    tuned = recipe_for(Request(sft="gsm8k"), TOKENIZER, arms[1])
    assert [phase.name for phase in tuned.phases] == ["pretrain", "midtrain", "sft"]
    assert tuned.phases[2].optimizer == "fresh" and tuned.phases[1].optimizer == "carry"


@pytest.mark.parametrize(
    ("incomplete", "message"),
    [
        (Request(tokens=1000), "Name what to pretrain on (--pretrain c4), or a run to go on from (--from RUN)."),
        (Request(pretrain=C4), "How many tokens for pretrain? Say so: --tokens 2M."),
        (
            Request(pretrain=C4, midtrain=MIX, tokens=10**6),
            "How many tokens for midtrain? Say so: --midtrain-tokens 2M.",
        ),
    ],
)
def test_what_is_missing_is_named(incomplete, message):
    with pytest.raises(SimtoolError) as error:
        recipe_for(incomplete, TOKENIZER)
    assert str(error.value) == message
