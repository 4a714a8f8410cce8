"""Sentences by what they say."""

import math

import pytest

from simtool import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.4699, "0.470"),  # three significant digits: the last 0 counts
        (12.6102, "12.6"),
        (0.01234, "0.0123"),
        (1234.5, "1,234"),  # never in powers of ten
        (9.996, "10.0"),  # not 10.00: rounded first, then counted
        (0, "0"),
        (math.nan, "not known"),
    ],
)
def test_three_significant_digits(value, text):
    assert wording.rounded(value) == text


def test_signs_and_intervals():
    assert wording.rounded(-0.5, signed=True) == "-0.500"
    assert wording.interval(0.4, 0.5) == "[0.40, 0.50]"
    assert wording.interval(1, 2, 1, signed=True, unit="%") == "[+1.0%, +2.0%]"
    assert wording.interval(None, 0.5) == wording.interval(math.nan, 0.5) == "[not known]"


def test_lists_and_plurals():
    assert (wording.listed(["a"]), wording.listed(["a", "b", "c"]), wording.listed([])) == ("a", "a, b and c", "")
    assert (wording.plural(1, "seed"), wording.plural(1200, "seed")) == ("1 seed", "1,200 seeds")
    assert wording.plural(2, "corpus", "corpora") == "2 corpora"


def test_an_effect_is_said_with_its_interval_and_whether_it_is_one():
    assert wording.effect("gsm8k", 0.119, 0.105, 0.133, 0.001) == "lowered the loss on gsm8k by 11.9% [10.5%, 13.3%]"
    assert wording.effect("gsm8k", -0.02, -0.03, -0.01, 0.2) == (
        "raised the loss on gsm8k by 2.0% [1.0%, 3.0%], not significant after Holm's correction"
    )
    assert wording.effect("gsm8k", 0.01, -0.01, 0.03, 0.3).startswith(
        "changed the loss on gsm8k by an amount not significantly different from zero"
    )
    assert (
        wording.effect("gsm8k", 0.01, None, None, None) == "changed the loss on gsm8k by -1.0% (one seed: no interval)"
    )


def test_more_and_less():
    assert wording.difference(0.0512, 0.04, 0.06) == "0.051 nats per token more [0.040, 0.060]"
    assert wording.difference(-0.0512, -0.06, -0.04) == "0.051 nats per token less [0.040, 0.060]"


def test_an_advantage_that_may_be_none_says_so():
    numbers = ("math:0.2", "c4", "gsm8k")
    assert wording.advantage(None, *numbers, 0.1, -0.1, 0.3, "80 of 100") == (
        "math:0.2 is not significantly different from c4 for gsm8k (+0.10; 95%: -0.10 to +0.30)."
    )
    gain = "a token of {target} costs {value} bits {more_or_less} with {mixture} than under {pretrain}"
    assert wording.advantage(gain, *numbers, 1.65, 1.5, 1.8, "100 of 100") == (
        "A token of gsm8k costs 1.65 bits less with math:0.2 than under c4 (95%: +1.50 to +1.80; 100 of 100"
        " half-splits agree)."
    )


def test_a_small_sample_names_what_limits_it():
    assert wording.small_sample(338, "novel.txt").startswith(
        "338 tokens of each corpus say little, which is all that was counted of novel.txt: "
    )
    assert "all that" not in wording.small_sample(338, "")


def test_white_space_is_made_visible():
    assert [wording.readable(text) for text in ("a b", " a", "a\n", "\t", None)] == [
        "a b", "␣a", "a⏎", "⇥", "(a bucket of rarer n-grams)",
    ]  # fmt: skip


def test_whether_a_pair_differs_is_said_plainly():
    alike, differ, untested = (wording.similarity("A and B.", sure, 0.8) for sure in (False, True, None))
    assert alike == "A and B. That is not distinguishable from two samples of the same text (0.800)."
    assert differ == "A and B. Two samples of the same text score 0.800, so they differ."
    assert untested == (
        "A and B. Whether they differ at all this score cannot say: one was counted from more documents than the other,"
        " which moves the score by itself. The size-free similarity can."
    )


def test_a_long_list_of_names_is_shortened():
    assert wording.shortened(list("abc")) == "a, b and c"
    assert wording.shortened(list("abcdef")) == "a, b, c, d, e and f"
    assert wording.shortened(list("abcdefg")) == "a, b, c, d, e and 2 more"
