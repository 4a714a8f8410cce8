"""Word problems for school children, each with its answer step by step; the last line is "#### number".

To add a problem, write a function that returns a `WordProblem` and name it in `PROBLEMS`. No wording is shared with
`drills.py`, which is mixed in at midtraining while these are a target. Every equation in an answer is true.
"""

from typing import NamedTuple

from simtool.corpora.generated.dice import Dice, capital

SHE = ["Asha", "Berit", "Carla", "Dina", "Edith", "Fatou", "Greta", "Hana", "Ines", "Jadwiga", "Kirra", "Lotte", "Meena",
       "Nora", "Oyana", "Paola", "Rosa", "Selma", "Tove", "Ulla", "Vera", "Wanda", "Yuki", "Zora", "Amal", "Bruna"]  # fmt: skip
HE = ["Anton", "Boris", "Chen", "Dario", "Emil", "Farid", "Gustav", "Hugo", "Idris", "Jonas", "Kofi", "Lars", "Mateo",
      "Nils", "Omar", "Pavel", "Rafa", "Samir", "Tomas", "Uwe", "Viktor", "Walid", "Yusuf", "Zeno", "Arun", "Bela"]  # fmt: skip
FOOD = [
    "apples",
    "plums",
    "rolls",
    "muffins",
    "eggs",
    "pears",
    "lemons",
    "pancakes",
    "biscuits",
    "carrots",
    "figs",
    "dumplings",
]
THINGS = ["marbles", "stamps", "postcards", "beads", "shells", "stickers", "buttons", "pencils", "coins", "badges", "tickets",
          "bricks", "ribbons", "candles", "balloons", "magnets"]  # fmt: skip
GOODS = [
    "notebook",
    "scarf",
    "lantern",
    "kite",
    "jigsaw",
    "teapot",
    "basket",
    "torch",
    "cushion",
    "drum",
    "whistle",
    "mug",
]
BOXES = ["boxes", "baskets", "bags", "crates", "jars", "trays", "drawers"]
PLACES = [
    "market",
    "school fair",
    "village shop",
    "library",
    "harbour",
    "station",
    "museum",
    "town hall",
    "bakery",
    "club",
]


class WordProblem(NamedTuple):
    story: list[str]
    question: str
    steps: list[str]
    answer: int


class Protagonist(NamedTuple):
    name: str
    they: str
    their: str


def problem(dice: Dice) -> dict[str, str]:
    """The row: prompt and response."""
    worked = dice.choose(PROBLEMS)(dice)
    story = list(worked.story)
    if dice.chance(0.3):
        story.append(dice.say(dice.choose(ASIDES), n=dice.integer(2, 12)))
    return {
        "prompt": " ".join([*story, worked.question]),
        "response": "\n".join([*worked.steps, f"#### {worked.answer}"]),
    }


# True of the scene, and of no use for the answer
ASIDES = (
    "It [rains|is windy|is sunny] [all day|that morning|until noon].",
    "The [dog|cat|goat|neighbour] watches [from the gate|for a while|in silence].",
    "The [radio|clock|kettle] has been [in the family|there] for {n} years.",
    "[A friend|An uncle|A teacher] [comes by|looks in|stops] for {n} minutes.",
    "There are {n} [chairs|windows|lamps] in the room.",
    "Everyone is in [a good|a hurried|a quiet] mood.",
)


def person(dice: Dice) -> Protagonist:
    return (
        Protagonist(dice.choose(SHE), "she", "her") if dice.chance(0.5) else Protagonist(dice.choose(HE), "he", "his")
    )


def people(dice: Dice, n: int) -> list[Protagonist]:
    everybody = [Protagonist(name, "she", "her") for name in SHE] + [Protagonist(name, "he", "his") for name in HE]
    return dice.some(everybody, n)


def _containers(dice: Dice) -> WordProblem:
    who, box, thing = person(dice), dice.choose(BOXES), dice.choose(THINGS + FOOD)
    n, each = dice.integer(3, 12), dice.integer(4, 25)
    gone = dice.integer(2, n * each - 1)
    v = {"who": who.name, "they": who.they, "box": box, "x": thing, "n": n, "e": each, "g": gone, "p": n * each,
         "r": n * each - gone}  # fmt: skip
    return WordProblem(
        [
            dice.say("{who} [has|owns|keeps|fills] {n} {box} [with|of] {e} {x} [each|in every one].", **v),
            dice.say(
                "[On Monday|Later|After lunch|In the evening] {they} [gives away|sells|loses|hands out] {g} of them.",
                **v,
            ),
        ],
        dice.say("How many {x} [does {who} still have|are still there|has {who} got now]?", **v),
        [
            dice.say("[At first there are|{who} starts with|The {box} hold] {n} * {e} = {p} {x}.", **v),
            dice.say("[After that|With {g} of them gone,|Without those {g},] {p} - {g} = {r} are still there.", **v),
        ],
        v["r"],
    )


def _shopping(dice: Dice) -> WordProblem:
    who, (first, second) = person(dice), dice.some(GOODS, 2)
    n, m, p, q = dice.integer(2, 6), dice.integer(1, 5), dice.integer(2, 15), dice.integer(2, 12)
    cost = n * p + m * q
    paid = (cost // 10 + dice.integer(1, 3)) * 10
    v = {"who": who.name, "they": who.they, "a": first, "b": second, "n": n, "m": m, "p": p, "q": q, "c": n * p, "d": m * q,
         "t": cost, "paid": paid, "r": paid - cost, "place": dice.choose(PLACES)}  # fmt: skip
    return WordProblem(
        [
            dice.say("At the {place} [a {a} costs {p} dollars and a {b} {q} dollars|they ask {p} dollars for a {a} and {q}"
                     " dollars for a {b}].", **v),
            dice.say("{who} [buys|picks out|takes home] {n} of the first and {m} of the second and [pays with|hands over] {paid}"
                     " dollars.", **v),
        ],
        dice.say("How much [change does {they} get|money comes back|does {they} get back]?", **v),
        [
            dice.say("The first kind [costs|comes to] {n} * {p} = {c} dollars.", **v),
            dice.say("The second kind [costs|comes to] {m} * {q} = {d} dollars.", **v),
            dice.say("[That makes|The bill is|Both kinds cost] {c} + {d} = {t} dollars.", **v),
            dice.say("[{who} gets back|The change is|There is a change of] {paid} - {t} = {r} dollars.", **v),
        ],
        v["r"],
    )  # fmt: skip


def _compare(dice: Dice) -> WordProblem:
    (a, b, c), thing = people(dice, 3), dice.choose(THINGS)
    n, times, more = dice.integer(4, 30), dice.integer(2, 5), dice.integer(2, 20)
    v = {"a": a.name, "b": b.name, "c": c.name, "x": thing, "n": n, "k": times, "m": more, "y": n * times,
         "z": n * times + more, "t": n + n * times + n * times + more}  # fmt: skip
    return WordProblem(
        [
            dice.say("{a} [has|collects|finds] {n} {x}.", **v),
            dice.say("{b} [has|collects|finds] {k} times as many as {a}, and {c} [has|finds] {m} more than {b}.", **v),
        ],
        dice.say("How many {x} do the three [friends|children|cousins] have [together|between them]?", **v),
        [
            dice.say("{b} has {k} * {n} = {y} {x}.", **v),
            dice.say("{c} has {y} + {m} = {z} {x}.", **v),
            dice.say("[Together they have|All three have|That is] {n} + {y} + {z} = {t} {x}.", **v),
        ],
        v["t"],
    )


def _wages(dice: Dice) -> WordProblem:
    who, job = person(dice), dice.choose(["mows lawns", "walks dogs", "paints fences", "teaches chess", "repairs bicycles",
                                          "picks cherries", "tunes pianos", "sorts letters"])  # fmt: skip
    pay, hours, days = dice.integer(7, 24), dice.integer(2, 8), dice.integer(3, 6)
    spent = dice.integer(5, pay * hours * days - 1)
    v = {"who": who.name, "they": who.they, "job": job, "p": pay, "h": hours, "d": days, "s": spent, "x": pay * hours,
         "y": pay * hours * days, "r": pay * hours * days - spent}  # fmt: skip
    return WordProblem(
        [
            dice.say("{who} {job} for {p} dollars an hour, {h} hours a day.", **v),
            capital(dice.say("{they} [works|does so] on {d} days this week and then spends {s} dollars on [a gift|shoes|a trip].", **v)),
        ],
        dice.say("How many dollars does {who} [save|keep|have left]?", **v),
        [
            dice.say("[A day brings|In a day {who} earns|Daily pay is] {p} * {h} = {x} dollars.", **v),
            dice.say("[The week brings|In {d} days that is|All days bring] {x} * {d} = {y} dollars.", **v),
            dice.say("[{who} saves|What stays is|This leaves] {y} - {s} = {r} dollars.", **v),
        ],
        v["r"],
    )  # fmt: skip


def _sharing(dice: Dice) -> WordProblem:
    who, thing, group = (
        person(dice),
        dice.choose(FOOD + THINGS),
        dice.choose(["guests", "pupils", "neighbours", "players"]),
    )
    n, each, left_over = dice.integer(3, 12), dice.integer(3, 20), dice.integer(2, 15)
    v = {"who": who.name, "they": who.they, "x": thing, "g": group, "n": n, "e": each, "k": left_over, "t": n * each + left_over,
         "m": n * each}  # fmt: skip
    return WordProblem(
        [
            dice.say("{who} [brings|has|arrives with] {t} {x}.", **v),
            dice.say("[First|Before anything else] {they} [puts aside|keeps] {k}, and the {n} {g} [share the others evenly|get equal"
                     " numbers of all the others].", **v),
        ],
        dice.say("How many {x} [does each of the {g} get|go to each of them]?", **v),
        [
            dice.say("[To be shared are|There are] {t} - {k} = {m} {x} [to share|for the {g}].", **v),
            dice.say("[Everyone gets|Each gets] {m} / {n} = {e} {x}.", **v),
        ],
        each,
    )  # fmt: skip


def _journey(dice: Dice) -> WordProblem:
    who, way = person(dice), dice.choose(["cycles", "hikes", "rows", "drives", "rides"])
    n, m, days = dice.integer(6, 40), dice.integer(1, 12), dice.integer(2, 4)
    rest = dice.integer(3, 60)
    second = n + m
    total = n * days + second + rest
    v = {"who": who.name, "they": who.they, "w": way, "n": n, "m": m, "d": days, "s": second, "t": total, "x": n * days,
         "y": n * days + second, "r": rest}  # fmt: skip
    return WordProblem(
        [
            dice.say("{who} {w} to [the coast|a lake|an old castle|the border], {t} miles away.", **v),
            dice.say("[On each of the first {d} days|For {d} days] {they} {w} {n} miles a day, and on the day after {m} miles more"
                     " than that.", **v),
        ],
        dice.say("How many miles [are still ahead|does {who} still have to go|lie ahead]?", **v),
        [
            dice.say("[The first days make|In {d} days {who} does] {n} * {d} = {x} miles.", **v),
            dice.say("The day after makes {n} + {m} = {s} miles.", **v),
            dice.say("[Done so far|Behind {who} lie|So far]: {x} + {s} = {y} miles.", **v),
            dice.say("[Ahead are|Still ahead]: {t} - {y} = {r} miles.", **v),
        ],
        rest,
    )  # fmt: skip


def _ages(dice: Dice) -> WordProblem:
    a, b = people(dice, 2)
    young, times, years = dice.integer(3, 15), dice.integer(2, 5), dice.integer(2, 20)
    v = {"a": a.name, "b": b.name, "n": young, "k": times, "y": years, "o": young * times, "p": young * times + years,
         "q": young + years, "s": young * times + young + 2 * years}  # fmt: skip
    return WordProblem(
        [dice.say("{a} is {n} years old[, and|.|;] {b} is {k} times as old as {a}.", **v)],
        dice.say("How old will [the two|{a} and {b}] be together in {y} years?", **v),
        [
            dice.say("[Now|Today] {b} is {k} * {n} = {o} years old.", **v),
            dice.say("In {y} years {b} will be {o} + {y} = {p} and {a} {n} + {y} = {q}.", **v),
            dice.say("[Together|Then] they will be {p} + {q} = {s} years old.", **v),
        ],
        v["s"],
    )


def _discount(dice: Dice) -> WordProblem:
    who, thing, percent = person(dice), dice.choose(GOODS), dice.choose([10, 20, 25, 30, 40, 50, 60])
    price, n = dice.integer(2, 15) * 20, dice.integer(2, 7)
    off = price * percent // 100
    v = {
        "who": who.name,
        "x": thing,
        "p": percent,
        "c": price,
        "n": n,
        "o": off,
        "d": price - off,
        "t": (price - off) * n,
    }
    return WordProblem(
        [
            dice.say("A [handmade|painted|rare|large] {x} [costs|is sold for|is marked at] {c} dollars.", **v),
            dice.say(
                "[In the sale|Today|This week] everything is {p}% cheaper, and {who} [orders|buys] {n} of them.", **v
            ),
        ],
        dice.say("How many dollars does {who} pay [in all|for them]?", **v),
        [
            dice.say("[The sale takes off|Each is cheaper by] {c} * {p} / 100 = {o} dollars.", **v),
            dice.say("[One {x} now costs|So one costs] {c} - {o} = {d} dollars.", **v),
            dice.say("[{n} of them cost|{who} pays] {d} * {n} = {t} dollars.", **v),
        ],
        v["t"],
    )


def _fractions(dice: Dice) -> WordProblem:
    who, thing = person(dice), dice.choose(FOOD + THINGS)
    b, c = dice.some([2, 3, 4, 5, 6], 2)
    n = b * c * dice.integer(2, 8)
    half = ["", "", "half", "a third", "a quarter", "a fifth", "a sixth"]
    other = dice.choose(["sister", "brother", "aunt", "class", "grandfather"])
    v = {"who": who.name, "they": who.they, "their": who.their, "x": thing, "n": n, "b": b, "c": c, "fb": half[b],
         "fc": half[c], "o": other, "p": n // b, "q": n // c, "r": n - n // b - n // c, "l": n - n // b}  # fmt: skip
    if v["r"] <= 0:
        return _fractions(dice)
    return WordProblem(
        [
            dice.say("{who} [picked|gathered|bought|was given] {n} {x}.", **v),
            capital(dice.say("{fb} of them [goes|is given] to {their} {o} and {fc} of the {n} [goes|is sent] to a"
                             " [friend|neighbour].", **v)),
        ],
        dice.say("How many {x} does {who} [keep|have afterwards]?", **v),
        [
            dice.say("The {o} gets {n} / {b} = {p} {x}.", **v),
            dice.say("The other gift [is|takes] {n} / {c} = {q} {x}.", **v),
            dice.say("{who} keeps {n} - {p} - {q} = {r} {x}.", **v),
        ],
        v["r"],
    )  # fmt: skip


def _seats(dice: Dice) -> WordProblem:
    event = dice.choose(["concert", "play", "film night", "lecture", "puppet show", "chess final", "debate"])
    rows, seats, price = dice.integer(5, 20), dice.integer(6, 25), dice.integer(2, 12)
    empty = dice.integer(1, rows * seats // 2)
    v = {"e": event, "r": rows, "s": seats, "p": price, "m": empty, "a": rows * seats, "b": rows * seats - empty,
         "t": (rows * seats - empty) * price, "place": dice.choose(PLACES)}  # fmt: skip
    return WordProblem(
        [
            dice.say(
                "For a {e} the {place} [sets up|has] {r} rows of {s} seats, and [a ticket is|every seat costs] {p} dollars.",
                **v,
            ),
            dice.say("[In the end|That night] {m} seats [stay empty|are not sold].", **v),
        ],
        dice.say("How many dollars do the tickets [bring|bring in]?", **v),
        [
            dice.say("[The room has|There are] {r} * {s} = {a} seats.", **v),
            dice.say("[Taken|Sold] are {a} - {m} = {b} seats.", **v),
            dice.say("[They bring|The tickets bring] {b} * {p} = {t} dollars.", **v),
        ],
        v["t"],
    )


def _recipe(dice: Dice) -> WordProblem:
    who, dish, stuff = person(dice), dice.choose(["soup", "bread", "jam", "stew", "lemonade", "porridge"]), dice.choose(
        ["flour", "sugar", "water", "milk", "oats", "lentils"])  # fmt: skip
    each, serves, times, have = dice.integer(2, 9) * 10, dice.integer(2, 6), dice.integer(2, 8), dice.integer(1, 5)
    guests, need = serves * times, each * times
    have = have * need // 10
    v = {"who": who.name, "they": who.they, "d": dish, "x": stuff, "e": each, "s": serves, "g": guests, "k": times, "n": need,
         "h": have, "r": need - have}  # fmt: skip
    return WordProblem(
        [
            dice.say("A pot of {d} for {s} people [takes|needs] {e} grams of {x}.", **v),
            dice.say(
                "{who} [cooks|wants to cook] for {g} people and has {h} grams of {x} [at home|in the cupboard].", **v
            ),
        ],
        dice.say("How many [more grams|grams more] does {they} need?", **v),
        [
            dice.say("[{g} people need|It takes] {g} / {s} = {k} pots.", **v),
            dice.say("[Those take|For them {who} needs] {k} * {e} = {n} grams.", **v),
            dice.say("[Missing are|{who} must get] {n} - {h} = {r} grams.", **v),
        ],
        v["r"],
    )


def _saving(dice: Dice) -> WordProblem:
    who, goal = (
        person(dice),
        dice.choose(["bicycle", "tent", "guitar", "telescope", "sewing machine", "camera", "canoe"]),
    )
    start, week, weeks = dice.integer(5, 60), dice.integer(3, 25), dice.integer(4, 20)
    price = start + week * weeks
    v = {
        "who": who.name,
        "they": who.they,
        "g": goal,
        "s": start,
        "w": week,
        "n": weeks,
        "p": price,
        "m": price - start,
    }
    return WordProblem(
        [
            dice.say(
                "{who} [wants|dreams of|is saving for] a {g} that costs {p} dollars and [has|owns] {s} dollars.", **v
            ),
            dice.say("[Every week|Each Friday] {they} [puts|lays] {w} dollars [aside|into a tin].", **v),
        ],
        dice.say("After how many weeks can {who} buy the {g}?", **v),
        [
            dice.say("[Still missing are|{who} lacks] {p} - {s} = {m} dollars.", **v),
            dice.say("[This takes|Saving them takes] {m} / {w} = {n} weeks.", **v),
        ],
        weeks,
    )


def _reading(dice: Dice) -> WordProblem:
    who = person(dice)
    a, b, days, rest = dice.integer(8, 40), dice.integer(2, 25), dice.integer(3, 9), dice.integer(10, 90)
    v = {"who": who.name, "they": who.they, "a": a, "b": b, "d": days, "s": a + b, "x": (a + b) * days, "r": rest,
         "t": (a + b) * days + rest, "kind": dice.choose(["novel", "travel book", "book of tales", "history", "diary"])}  # fmt: skip
    return WordProblem(
        [
            dice.say("{who} is reading a {kind} of {t} pages.", **v),
            dice.say(
                "[Every day|Daily] {they} [reads|manages] {a} pages in the morning and {b} at night, for {d} days.", **v
            ),
        ],
        dice.say("How many pages [are unread|has {who} still to read|does {they} still have to read]?", **v),
        [
            dice.say("[A day is|In one day {who} reads] {a} + {b} = {s} pages.", **v),
            dice.say("{d} days are {s} * {d} = {x} pages.", **v),
            dice.say("[Unread are|That leaves] {t} - {x} = {r} pages.", **v),
        ],
        rest,
    )


def _animals(dice: Dice) -> WordProblem:
    who = person(dice)
    (a, legs_a), (b, legs_b) = dice.some([("hens", 2), ("goats", 4), ("beetles", 6), ("spiders", 8), ("geese", 2),
                                          ("cows", 4), ("ants", 6), ("lizards", 4)], 2)  # fmt: skip
    n, m = dice.integer(3, 30), dice.integer(3, 30)
    v = {"who": who.name, "a": a, "b": b, "n": n, "m": m, "p": legs_a, "q": legs_b, "x": n * legs_a, "y": m * legs_b,
         "t": n * legs_a + m * legs_b}  # fmt: skip
    return WordProblem(
        [
            dice.say(
                "{who} [counts|sees|draws|photographs] {n} {a} and {m} {b} [on a farm|in the barn|on a walk|by the wall].",
                **v,
            )
        ],
        dice.say("How many legs [is that|do they have] [in all|altogether]?", **v),
        [
            dice.say("The {a} have {n} * {p} = {x} legs.", **v),
            dice.say("The {b} have {m} * {q} = {y} legs.", **v),
            dice.say("[All of them have|That is] {x} + {y} = {t} legs.", **v),
        ],
        v["t"],
    )


def _teams(dice: Dice) -> WordProblem:
    a, b = dice.some(["Otters", "Herons", "Foxes", "Badgers", "Comets", "Miners", "Pilots", "Sailors"], 2)
    n, m, two, three = dice.integer(4, 20), dice.integer(2, 12), dice.integer(5, 20), dice.integer(2, 10)
    own, other = 2 * n + 3 * m, 2 * two + 3 * three
    if own <= other:
        return _teams(dice)
    v = {"a": a, "b": b, "n": n, "m": m, "k": two, "l": three, "x": 2 * n, "y": 3 * m, "o": own, "p": 2 * two, "q": 3 * three,
         "s": other, "r": own - other}  # fmt: skip
    return WordProblem(
        [
            dice.say(
                "In a [final|friendly game|match] the {a} [score|make] {n} baskets of two points and {m} of three.", **v
            ),
            dice.say("The {b} [score|make] {k} of two and {l} of three.", **v),
        ],
        dice.say("By how many points do the {a} win?", **v),
        [
            dice.say("The {a} have 2 * {n} + 3 * {m} = {x} + {y} = {o} points.", **v),
            dice.say("The {b} have 2 * {k} + 3 * {l} = {p} + {q} = {s} points.", **v),
            dice.say("The {a} win by {o} - {s} = {r}.", **v),
        ],
        v["r"],
    )


def _garden(dice: Dice) -> WordProblem:
    who, plant = (
        person(dice),
        dice.choose(["tulips", "leeks", "roses", "beans", "tomato plants", "lettuces", "sunflowers"]),
    )
    rows, each, die = dice.integer(3, 12), dice.integer(5, 20), dice.integer(2, 14)
    new = dice.integer(3, 30)
    v = {"who": who.name, "they": who.they, "x": plant, "r": rows, "e": each, "d": die, "n": new, "t": rows * each,
         "l": rows * each - die, "z": rows * each - die + new}  # fmt: skip
    return WordProblem(
        [
            dice.say("{who} plants {r} rows of {e} {x}[ behind the house| along the wall| in April|].", **v),
            dice.say("[Frost|A storm|A snail] [kills|ruins] {d} of them, so {they} [sets|adds] {n} new ones.", **v),
        ],
        dice.say("How many {x} [grow there|are growing] now?", **v),
        [
            dice.say("{who} plants {r} * {e} = {t} {x}.", **v),
            dice.say("[The loss makes it|Alive are] {t} - {d} = {l}.", **v),
            dice.say("[With the new ones|The new ones make it] {l} + {n} = {z}.", **v),
        ],
        v["z"],
    )


PROBLEMS = (
    _containers, _shopping, _compare, _wages, _sharing, _journey, _ages, _discount, _fractions, _seats, _recipe, _saving,
    _reading, _animals, _teams, _garden,
)  # fmt: skip
