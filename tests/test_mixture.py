"""From what a user types to a mixture: shares, names, blends and units."""

import pytest

from simtool.errors import SimtoolError
from simtool.mixture import (
    Mixture,
    blend,
    convert_weights,
    midtraining_mixtures,
    midtraining_name,
    parse_midtraining,
    parse_mixture,
)

C4 = Mixture({"c4": 1.0})


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("c4", {"c4": 1.0}),
        ("c4:0.8+starcoder:0.2", {"c4": 0.8, "starcoder": 0.2}),
        ("c4:0.5 + math:0.3 + c4:0.2", {"c4": 0.7, "math": 0.3}),
        ("notes+drafts.jsonl", {"notes+drafts.jsonl": 1.0}),  # a file's name
        ("org/set:code", {"org/set:code": 1.0}),  # a hub id with its configuration
    ],
)
def test_a_text_names_a_corpus_or_a_mixture(text, weights):
    assert dict(parse_mixture(text).weights) == pytest.approx(weights)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("starcoder:0.2", {"starcoder": 0.2, "c4": 0.8}),
        ("c4:0.5+starcoder:0.5", {"c4": 0.5, "starcoder": 0.5}),
        ("starcoder:0.1+math:0.2", {"starcoder": 0.1, "math": 0.2, "c4": 0.7}),
        ("starcoder:1", {"starcoder": 1.0}),
        ("starcoder:0", {"c4": 1.0}),
        ("c4:0.3", {"c4": 1.0}),
    ],
)
def test_shares_leave_the_rest_to_pretraining(text, weights):
    assert dict(parse_midtraining(text, C4).weights) == pytest.approx(weights)


def test_nested_mixtures_flatten():
    pretrain, special = Mixture({"c4": 0.9, "dclm": 0.1}), Mixture({"starcoder": 0.5, "c4": 0.5})
    assert dict(blend(pretrain, special, 0.2).weights) == pytest.approx({"c4": 0.82, "dclm": 0.08, "starcoder": 0.1})


def test_a_missing_share():
    with pytest.raises(SimtoolError) as caught:
        parse_midtraining("starcoder", C4)
    assert str(caught.value) == (
        "--mid starcoder lacks a share. Write --mid starcoder:0.2 for a fifth of it;"
        " what the shares leave of 1 is the pretraining corpus."
    )


def test_shares_above_one():
    with pytest.raises(SimtoolError) as caught:
        parse_midtraining("starcoder:0.8+math:0.3", C4)
    assert str(caught.value) == "The shares of --mid starcoder:0.8+math:0.3 must come to at most 1. Got 1.1."


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("starcoder:0.2", "starcoder:0.2"),
        ("starcoder:.20", "starcoder:0.2"),
        ("c4:0.5 + starcoder:0.5", "c4:0.5+starcoder:0.5"),
        ("math:1", "math:1"),
    ],
)
def test_a_mixture_is_called_what_is_typed(text, name):
    assert midtraining_name(text) == name


def test_midtraining_mixtures_by_name():
    mixtures = midtraining_mixtures(C4, ["starcoder:.2", "math:0.12"])
    assert {name: dict(mixture.weights) for name, mixture in mixtures.items()} == {
        "starcoder:0.2": {"starcoder": 0.2, "c4": 0.8},
        "math:0.12": {"math": 0.12, "c4": 0.88},
    }


def test_two_mixtures_of_one_name():
    with pytest.raises(SimtoolError) as caught:
        midtraining_mixtures(C4, ["math:0.2", "starcoder:0.2", "math:.2"])
    assert str(caught.value) == "Named twice: math:0.2. Name every mixture once."


def test_weights_in_documents_and_bytes():
    """Documents of a: 10 tokens and 40 bytes; of b: 30 tokens and 60 bytes."""
    sizes = {
        "a": {"documents": 2, "tokens": 20, "bytes": 80},
        "b": {"documents": 2, "tokens": 60, "bytes": 120},
    }
    half = {"a": 0.5, "b": 0.5}
    assert dict(convert_weights(half, "tokens", sizes).weights) == half
    assert dict(convert_weights(half, "documents", sizes).weights) == pytest.approx({"a": 0.25, "b": 0.75})
    assert dict(convert_weights(half, "bytes", sizes).weights) == pytest.approx({"a": 1 / 3, "b": 2 / 3})  # 1/4, 1/2


def test_a_corpus_by_itself_is_called_by_its_name():
    assert Mixture({"c4": 1.0}).label == "c4"
    assert Mixture({"c4": 0.8, "math": 0.2}).label == "c4:0.8+math:0.2"


def test_percent_are_no_share_and_the_message_says_what_is():
    with pytest.raises(SimtoolError, match=r"^--mid math:20% lacks a share\. Write --mid math:0\.2 for a fifth of it;"):
        parse_midtraining("math:20%", C4)
