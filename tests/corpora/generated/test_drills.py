"""Every equation of a drill is true, and every topic comes."""

import re

import pytest

from simtool.corpora.generated.dice import Dice
from simtool.corpora.generated.drills import TOPICS
from tests.corpora.generated.equations import assert_true, rows


def test_the_check_sees_a_wrong_equation():
    assert assert_true("We get 2 + 3 = 5, so 10 / 4 = 2.5. Then 1/2 + 1/3 = 3/6 + 2/6 = 5/6.") == 3
    with pytest.raises(AssertionError):
        assert_true("Ida has 2 * (3 + 1) = 9 figs.")


def test_every_equation_of_the_drills_is_true():
    n = 0
    for row in rows("drills", 1_500):
        for part in re.split(r"\n\n", row["text"]):
            n += assert_true(solved(part))
    assert n > 10_000


def solved(part: str) -> str:
    """The unknown replaced by the solution that the part ends with."""
    found = re.findall(r"\b([xyn]) = (\d+)(?=\.(?:\s|$))", part)
    if not found:
        return part
    name, solution = found[-1]
    part = re.sub(rf"(\d+){name}\b", rf"\1 * {solution}", part)
    return re.sub(rf"\b{name}\b(?= [-+=)]|\))", solution, part)


def test_every_topic_comes():
    assert {make(Dice(0)).title for make in TOPICS} >= {"Order of operations", "Lowest terms"}
    assert len({make(Dice(5)).title.split(" increase")[0].split(" decrease")[0] for make in TOPICS}) == len(TOPICS)
