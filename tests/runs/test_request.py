"""From what is asked for to a recipe."""

import pytest

from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.runs.request import Request, recipe_for, tokens_needed
from simtool.tokens.tokenizer import load_tokenizer

TOKENIZER = load_tokenizer("default")
C4 = Mixture({"c4": 1.0})
MIX = Mixture({"c4": 0.8, "starcoder": 0.2})


def test_a_fork_goes_on_from_the_run_it_names():
    base = recipe_for(Request(pretrain=C4, pretrain_tokens=2_000_000, schedule="constant"), TOKENIZER)
    arms = [
        recipe_for(Request(mid=mixture, mid_tokens=500_000, schedule="linear"), TOKENIZER, base)
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
        (
            Request(pretrain_tokens=1000),
            "Name what to pretrain on (--pretrain c4), or a run to go on from (--from RUN).",
        ),
        (Request(pretrain=C4), "How many tokens for pretrain? Say so: --pretrain-tokens 2M."),
        (
            Request(pretrain=C4, mid=MIX, pretrain_tokens=10**6),
            "How many tokens for midtrain? Say so: --mid-tokens 2M.",
        ),
    ],
)
def test_what_is_missing_is_named(incomplete, message):
    with pytest.raises(SimtoolError) as error:
        recipe_for(incomplete, TOKENIZER)
    assert str(error.value) == message


def test_what_is_mixed_in_may_be_typed_as_a_share_of_it():
    base = recipe_for(Request(pretrain="c4", pretrain_tokens=2_000_000), TOKENIZER)
    forked = recipe_for(Request(mid="starcoder:0.2", mid_tokens=500_000), TOKENIZER, base)
    assert forked.phases[1].mixture.weights == {"starcoder": 0.2, "c4": 0.8}
    assert recipe_for(Request(cpt="math", mid_tokens=500_000), TOKENIZER, base).phases[1].mixture.weights == {"math": 1}


def test_what_a_recipe_reads_of_each_corpus():
    request = Request(pretrain=C4, pretrain_tokens=2_000_000, mid=MIX, mid_tokens=500_000, sft="gsm8k")
    # a fifth of 0.5M of starcoder; SFT counts epochs, and names no number
    assert tokens_needed(recipe_for(request, TOKENIZER)) == {"c4": 2_000_000, "starcoder": 100_000, "gsm8k": 0}


def test_a_run_that_goes_on_needs_the_text_of_the_first():
    base = recipe_for(Request(pretrain=C4, pretrain_tokens=2_000_000), TOKENIZER)
    forked = recipe_for(Request(cpt=C4, mid_tokens=9_000_000), TOKENIZER, base)
    assert tokens_needed(forked) == tokens_needed(base) == {"c4": 2_000_000}
