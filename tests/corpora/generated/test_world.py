"""The world agrees with itself, and its questions with the world."""

import itertools
import re

from simtool.corpora.generated.dice import Dice
from simtool.corpora.generated.world import QUESTIONS, REGIONS, people, places, rivers, species
from tests.corpora.generated.equations import rows


def test_the_world_has_one_entry_of_each_name():
    for entries in (places(), people(), species(), rivers()):
        assert len({entry.name for entry in entries}) == len(entries)
    assert {place.river for place in places()} <= {river.name for river in rivers()}
    assert {person.home for person in people()} <= {place.name for place in places()}
    assert {one.found_by for one in species()} <= {person.name for person in people()}
    assert all(person.born < person.year < person.died for person in people())


def test_what_is_told_of_a_place_is_what_is_answered():
    by_name = {place.name: place for place in places()}
    told = " ".join(row["text"].replace("\n", " ") for row in rows("facts", 3_000))
    founded = re.findall(r"(\w+) (?:is known for|makes) [a-z ]+ and (?:was founded in|dates from) (\d+)", told)
    assert len(founded) > 100
    assert all(by_name[name].founded == int(year) for name, year in founded)
    asked = [row for row in rows("questions", 3_000) if "founded?" in row["prompt"]]
    assert len(asked) > 20
    for row in asked:
        name = re.search(r"When was (\w+) founded\?", row["prompt"])[1]
        assert str(by_name[name].founded) in row["response"]


def test_the_right_option_is_one_of_four_and_every_letter_is_right_as_often():
    letters = []
    for row in rows("questions", 3_000):
        options = re.findall(r"^([A-D])\) (.+)$", row["prompt"], re.MULTILINE)
        if options:
            letter, rest = row["response"].split(") ", 1)
            assert [name for name, _ in options] == list("ABCD")
            assert len({text for _, text in options}) == 4
            assert rest.startswith(dict(options)[letter] + ".")
            letters.append(letter)
    assert len(letters) > 800
    assert all(0.2 < letters.count(letter) / len(letters) < 0.3 for letter in "ABCD")


def test_a_question_has_one_answer():
    """The wrong options of a question with names are wrong: nobody else did the same work in the same year."""
    for (_, entries), seed in itertools.product(QUESTIONS, range(3)):
        assert Dice(seed).choose(entries()) in entries()
    deeds = [(person.deed, person.work, person.year) for person in people()]
    assert len(set(deeds)) > 0.99 * len(deeds)
    assert all(sum(place.region == region for place in places()) >= 4 for region in REGIONS)
