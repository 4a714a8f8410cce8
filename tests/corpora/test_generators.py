"""Generated text is the same everywhere, and what it says is true: equations add up, the world agrees with itself."""

import hashlib
import itertools
import json
import re
from fractions import Fraction
from itertools import islice

import pytest

from simtool.corpora.catalogue import find_corpus
from simtool.corpora.generated.dice import Dice, listed
from simtool.corpora.generated.drills import TOPICS
from simtool.corpora.generated.problems import PROBLEMS
from simtool.corpora.generated.world import QUESTIONS, REGIONS, people, places, rivers, species
from simtool.corpora.generators import GENERATORS, LIST_ROWS, VERSION, Generated

NUMBERS = re.compile(r"(?<![\w.])[(\d][\d .+*/()=-]*")
WORDS = [("%", "100"), ("half", "2"), ("third", "3"), ("quarter", "4"), ("fifth", "5"), ("sixth", "6"), ("two", "2")]
WORDS += [("three", "3"), *((animal, "2") for animal in ("hens", "geese")), ("beetles", "6"), ("ants", "6")]
WORDS += [("spiders", "8"), *((animal, "4") for animal in ("goats", "cows", "lizards"))]
each_kind = pytest.mark.parametrize("kind", GENERATORS)


def rows(kind, n):
    return list(islice((row for batch in Generated(kind).read() for row in batch), n))


def value(expression: str) -> Fraction:
    """Of sums and products of numbers, exactly."""
    exact = re.sub(r"\d+(\.\d+)?", lambda number: f"Fraction('{number[0]}')", expression)
    return eval(exact, {"Fraction": Fraction})


def equations(text: str) -> list[str]:
    """Every chain a = b = c of numbers in a text; sentences end with a point."""
    chains = [
        chain.strip(" .") for line in text.split("\n") for chain in NUMBERS.findall(re.sub(r"\.( |$)", ";", line))
    ]
    return [chain for chain in chains if "=" in chain and not chain.startswith("=")]


def assert_true(text: str) -> int:
    found = equations(text)
    for chain in found:
        sides = [side for side in chain.split("=") if side.strip(" +-*/(")]
        assert len({value(side) for side in sides}) == 1, f"{chain}\n{text}"
    return len(found)


def test_the_check_sees_a_wrong_equation():
    assert assert_true("We get 2 + 3 = 5, so 10 / 4 = 2.5. Then 1/2 + 1/3 = 3/6 + 2/6 = 5/6.") == 3
    with pytest.raises(AssertionError):
        assert_true("Ida has 2 * (3 + 1) = 9 figs.")


@each_kind
def test_a_longer_source_begins_with_the_shorter(kind):
    short, long = Generated(kind, n_documents=700), Generated(kind, n_documents=1_100)
    first = [row for batch in short.read() for row in batch]
    assert len(first) == 700
    assert first == [row for batch in long.read() for row in batch][:700]


@each_kind
def test_shards_hold_every_document_once(kind):
    source = Generated(kind, n_documents=3 * LIST_ROWS + 17)
    whole = [json.dumps(row) for batch in source.read() for row in batch]
    parts = [json.dumps(row) for shard in range(4) for batch in source.read(shard, 4) for row in batch]
    assert sorted(parts) == sorted(whole)
    assert len(whole) == source.n_documents


# Change a template: raise VERSION, and write the new sums. SHA-256 of the first 200 rows as JSON.
SUMS = {
    "drills": "60d35e23f233d7ad",
    "problems": "1fc35376076ba53c",
    "facts": "19997f0699ea9a77",
    "questions": "14159803bcd4f4be",
    "dialogue": "1a1e73e8f791340a",
    "chat": "0638b493a2f23c56",
}


@each_kind
def test_the_text_is_the_same_on_every_machine(kind):
    told = "\n".join(json.dumps(row, sort_keys=True) for row in rows(kind, 200))
    assert (VERSION, hashlib.sha256(told.encode()).hexdigest()[:16]) == (1, SUMS[kind])


@each_kind
def test_documents_are_many(kind):
    texts = [json.dumps(row) for row in rows(kind, 2_000)]
    # where all slots are few, as in a request for a list, a text may come again
    assert len(set(texts)) > 0.97 * len(texts)
    assert not [text for text in texts if re.search(r"[{}\[\]|]{2}|  |\bNone\b|\bshe's his\b", text[1:-1])]


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


def test_every_topic_and_problem_comes():
    assert {make(Dice(0)).title for make in TOPICS} >= {"Order of operations", "Lowest terms"}
    assert len({make(Dice(5)).title.split(" increase")[0].split(" decrease")[0] for make in TOPICS}) == len(TOPICS)
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


def test_what_sft_learns_from_stands_apart():
    for name in ("gen_problems", "gen_questions", "gen_dialogue"):
        corpus = find_corpus(name)
        for document in corpus.documents(200):
            assert document.prompt.endswith("\n") and document.response.strip()
    assert [find_corpus(f"gen_{kind}").role for kind in ("drills", "facts", "chat")] == ["specialised"] * 3


def test_dice_are_those_of_python():
    assert [Dice(0).below(1_000_000) for _ in range(2)] == [844_421] * 2  # random.Random(0).random() = 0.8444218...
    assert sorted(Dice(1).some(range(5), 5)) == [0, 1, 2, 3, 4]
    assert Dice(2).say("[a|a] {x}", x=1) == "a 1"
    assert (listed(["a"]), listed(["a", "b", "c"])) == ("a", "a, b and c")
