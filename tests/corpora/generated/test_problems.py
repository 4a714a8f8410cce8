"""Every answer of a problem is true, and follows from what its story says."""

import re

from simtool.corpora.generated.dice import Dice
from simtool.corpora.generated.problems import PROBLEMS
from tests.corpora.generated.equations import assert_true, equations, rows, value

WORDS = [("%", "100"), ("half", "2"), ("third", "3"), ("quarter", "4"), ("fifth", "5"), ("sixth", "6"), ("two", "2")]
WORDS += [("three", "3"), *((animal, "2") for animal in ("hens", "geese")), ("beetles", "6"), ("ants", "6")]
WORDS += [("spiders", "8"), *((animal, "4") for animal in ("goats", "cows", "lizards"))]


def test_every_answer_of_the_problems_is_true():
    for row in rows("problems", 2_000):
        *steps, last = row["response"].split("\n")
        assert re.fullmatch(r"#### \d+", last)
        assert assert_true("\n".join(steps)) >= 1
        final = equations(steps[-1])[-1].split("=")[-1]
        assert value(final) == int(last[5:])
        # nothing is counted that the story does not tell, or an earlier step
        known = {*re.findall(r"\d+", row["prompt"]), *(n for word, n in WORDS if word in row["prompt"].lower())}
        for step in steps:
            for chain in equations(step):
                assert set(re.findall(r"\d+", chain.split("=")[0])) <= known, row
                known |= set(re.findall(r"\d+", chain))


def test_every_problem_comes():
    for make in PROBLEMS:
        for seed in range(300):
            made = make(Dice(seed))
            assert made.answer > 0 and len(made.steps) >= 2


def test_drills_and_problems_share_no_wording():
    def shingles(texts):
        words = [re.findall(r"[a-z]+|\d+", re.sub(r"\d+", "0", text.lower())) for text in texts]
        kept = (run for of in words for run in zip(*(of[i:] for i in range(6)), strict=False))
        return {run for run in kept if sum(word.isalpha() for word in run) >= 4}

    drills = shingles(row["text"] for row in rows("drills", 1_000))
    problems = shingles(row["prompt"] + "\n" + row["response"] for row in rows("problems", 1_000))
    assert len(drills & problems) < 0.001 * len(problems)
