"""An invented world: its places, people, species and rivers, told as an encyclopaedia and asked about.

The world is one: an entry is drawn from its own number, so it is the same in every text, and what `questions`
asks is what `facts` tells. No name or date in it is meant to be real.
"""

from bisect import bisect_right
from functools import lru_cache
from typing import NamedTuple

from simtool.corpora.generated.dice import Dice, capital, listed

N_PLACES, N_PEOPLE, N_SPECIES, N_RIVERS = 240, 600, 240, 60
WORLD = 1 << 32  # seeds of the world's entries lie apart from those of texts

START = ["Al", "Bar", "Cor", "Dun", "Es", "Fal", "Gor", "Hal", "Ist", "Jor", "Kel", "Lom", "Mar", "Nev", "Or", "Pel", "Quen",
         "Ras", "Sel", "Tam", "Ul", "Vor", "Wen", "Yar", "Zan", "Bre", "Dra", "Thel", "Sko", "Pry"]  # fmt: skip
MIDDLE = ["a", "e", "i", "o", "u", "an", "en", "ir", "ol", "um", "esh", "avi", "oma", "iri", "ath", "ell"]
TOWN = ["dale", "mere", "stead", "wick", "haven", "gard", "moor", "ford", "burn", "holm", "cliff", "port"]
FAMILY = ["sen", "ak", "ova", "ier", "ling", "ado", "escu", "man", "is", "ett", "orn", "uin"]
GIVEN_NAMES = ["Mirel", "Tasko", "Ondra", "Velia", "Joran", "Sefa", "Lucan", "Brenna", "Ivo", "Calla", "Dorit", "Emeric", "Fenna",
         "Galen", "Hedda", "Isolt", "Kasimir", "Lavra", "Marek", "Nadia", "Osric", "Petra", "Quill", "Runa", "Stellan", "Tirza",
         "Ulric", "Wilma", "Xenia", "Yorick"]  # fmt: skip
REGIONS = ["the Amber Coast", "Upper Vashti", "the Salt Plains", "Old Merrin", "the Lake Counties", "the Iron Hills", "Torvania",
           "the Western Isles of Ketu", "the Valley of Sorn", "the Northern March"]  # fmt: skip
SEAS = ["the Sea of Ash", "the Gulf of Pell", "Lake Ondine", "the Outer Ocean"]
CRAFTS = ["glass", "rope", "clocks", "cheese", "paper", "bells", "salt", "carpets", "blue pottery", "violins", "smoked fish", "ink",
          "honey", "ships", "copper pans", "maps"]  # fmt: skip
BUILDINGS = ["lighthouse", "observatory", "covered market", "stone bridge", "botanical garden", "harbour wall", "round tower",
             "aqueduct", "library", "windmill"]  # fmt: skip
TRADES = {
    "astronomer": ("discovered the comet", "observed eclipses"), "composer": ("wrote the opera", "taught singing"),
    "botanist": ("published the atlas", "collected mosses"), "painter": ("painted the mural", "restored altars"),
    "engineer": ("built the engine", "drained marshes"), "poet": ("wrote the cycle", "translated fables"),
    "explorer": ("led the expedition", "drew coastlines"), "physician": ("wrote the handbook", "founded hospitals"),
    "mathematician": ("proved the theorem", "computed tables"), "architect": ("designed the hall", "measured ruins"),
}  # fmt: skip
TITLES = ["Winter Light", "Nine Lanterns", "Silver Thread", "Open Gate", "Quiet Harbour", "Red Meridian", "Long Shadow", "First Snow",
          "Broken Compass", "Green Hour", "Seventh Wave", "Paper Crown", "Low Tide", "Glass Orchard", "Distant Bell"]  # fmt: skip
KINDS = {
    "bird": ("nests in", "seeds"), "fish": ("spawns in", "small snails"), "beetle": ("hides in", "rotting wood"),
    "fern": ("grows in", ""), "orchid": ("flowers in", ""), "frog": ("calls from", "midges"), "bat": ("roosts in", "moths"),
    "lizard": ("basks on", "ants"), "moss": ("covers", ""), "crab": ("digs in", "algae"),
}  # fmt: skip
HABITATS = ["dry riverbeds", "cold springs", "limestone caves", "pine forests", "reed beds", "alpine meadows", "salt marshes",
            "old walls", "sandy dunes", "peat bogs"]  # fmt: skip
FOODS = ["seeds", "small snails", "midges", "moths", "ants", "algae", "berries", "roots", "spiders", "pollen"]
COLOURS = ["grey", "bright green", "rust-red", "pale blue", "black", "yellow", "silver", "violet", "brown", "white"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December"]  # fmt: skip


class Place(NamedTuple):
    name: str
    region: str
    founded: int
    people: int
    craft: str
    building: str
    river: str
    height: int
    month: str


class Person(NamedTuple):
    name: str
    born: int
    died: int
    home: str
    trade: str
    deed: str
    work: str
    year: int
    also: str


class Species(NamedTuple):
    name: str
    kind: str
    region: str
    habitat: str
    colour: str
    size: int
    food: str  # "" for plants
    month: str
    found_by: str
    year_found: int


class River(NamedTuple):
    name: str
    length: int
    region: str
    mouth: str
    bridges: int


def _dice(kind: int, number: int) -> Dice:
    return Dice(WORLD + (kind << 16) + number)


@lru_cache(maxsize=1)
def rivers() -> tuple[River, ...]:
    entries = []
    for i in range(N_RIVERS):
        dice = _dice(1, i)
        name = _name(i, ["na", "s", "ra", "th"])
        entries.append(River(name, dice.integer(40, 900), dice.choose(REGIONS), dice.choose(SEAS), dice.integer(2, 60)))
    return tuple(entries)


@lru_cache(maxsize=1)
def places() -> tuple[Place, ...]:
    entries = []
    for i in range(N_PLACES):
        dice = _dice(2, i)
        entries.append(
            Place(_name(i * 7 + 1, TOWN), dice.choose(REGIONS), dice.integer(700, 1790), dice.integer(9, 990) * 100,
                  dice.choose(CRAFTS), dice.choose(BUILDINGS), dice.choose(rivers()).name, dice.integer(2, 1900),
                  dice.choose(MONTHS))
        )  # fmt: skip
    return tuple(entries)


@lru_cache(maxsize=1)
def people() -> tuple[Person, ...]:
    entries = []
    for i in range(N_PEOPLE):
        dice = _dice(3, i)
        born, trade = dice.integer(1500, 1890), dice.choose(list(TRADES))
        work, also = TRADES[trade]
        entries.append(
            Person(f"{GIVEN_NAMES[i % len(GIVEN_NAMES)]} {_name(i * 11 + 3, FAMILY)}", born, born + dice.integer(48, 91),
                   dice.choose(places()).name, trade, work, dice.choose(TITLES), born + dice.integer(22, 45), also)
        )  # fmt: skip
    return tuple(entries)


@lru_cache(maxsize=1)
def species() -> tuple[Species, ...]:
    entries = []
    for i in range(N_SPECIES):
        dice = _dice(4, i)
        kind = dice.choose(list(KINDS))
        finder = dice.choose(people())
        food = dice.choose(FOODS) if KINDS[kind][1] else ""
        name = f"{_name(i * 13 + 5, ['ian', 'ine', 'ish', 'ese'])} {kind}"
        entries.append(
            Species(name, kind, dice.choose(REGIONS), dice.choose(HABITATS), dice.choose(COLOURS), dice.integer(2, 60), food,
                    dice.choose(MONTHS), finder.name, finder.year)
        )  # fmt: skip
    return tuple(entries)


def _name(number: int, ends: list[str]) -> str:
    """A name for each number; numbers below 30 * 16 * the endings have different ones."""
    number, start = divmod(number, len(START))
    number, middle = divmod(number * 5 + start * 3, len(MIDDLE))
    return START[start] + MIDDLE[middle] + ends[(number + start) % len(ends)]


# Told


def facts(dice: Dice) -> str:
    """One article: on an entry of the world, or an overview of a region."""
    if dice.chance(0.15):
        return _region(dice)
    tell, entries = ARTICLES[_kind(dice)]
    return tell(dice, dice.choose(entries()))


def _kind(dice: Dice) -> int:
    """Of the four kinds of entry, each as often as it has entries, so that all are told equally often."""
    number = dice.below(N_PLACES + N_PEOPLE + N_SPECIES + N_RIVERS)
    return bisect_right([N_PLACES, N_PLACES + N_PEOPLE, N_PLACES + N_PEOPLE + N_SPECIES], number)


def _place(dice: Dice, it: Place) -> str:
    v = it._asdict()
    lead = dice.say(
        "{name} [is a town in|is a settlement of|lies in] {region}[, on the river {river}| by the river {river}].", **v
    )
    rest = [
        dice.say("[It was founded in|Its foundation is dated to|The town goes back to a charter of] {founded}.", **v),
        dice.say("[It has|It is home to|The census counts] about {people} inhabitants.", **v),
        dice.say("[It is known for its|The town is famous for|Its workshops make] {craft}.", **v),
        dice.say("[Its landmark is|Visitors come to see|At its centre stands] the {building}.", **v),
        dice.say("[It lies|The market square lies] {height} metres above the sea.", **v),
        dice.say("[A fair is held|The town celebrates its fair] every {month}.", **v),
    ]  # fmt: skip
    born = [person.name for person in people() if person.home == it.name][:3]
    if born:
        rest.append(dice.say("{who} [came from {name}|grew up here].", who=listed(born), name=it.name))
    return _article(dice, it.name, lead, rest)


def _person(dice: Dice, it: Person) -> str:
    v = it._asdict()
    lead = dice.say("{name} ({born} to {died}) [was|worked as] {a} from {home}.", a=_a(it.trade), **v)
    last = it.name.split()[1]
    rest = [
        dice.say("In {year} {last} {deed} [called|known as|named] {work}.", last=last, **v),
        dice.say("{last} also {also} [for many years|in later life|with great care].", last=last, **v),
        dice.say(
            "{last} [died in|lived until] {died}[, aged {age}|, at the age of {age}].",
            last=last,
            age=it.died - it.born,
            **v,
        ),
        dice.say(
            "[At the time of|When completing] {work}, {last} was {age} years old.",
            last=last,
            age=it.year - it.born,
            **v,
        ),
    ]
    described = [kind.name for kind in species() if kind.found_by == it.name][:2]
    if described:
        rest.append(f"{last} was the first to describe the {listed(described)}.")
    return _article(dice, it.name, lead, rest)


def _species(dice: Dice, it: Species) -> str:
    v = it._asdict()
    lives = KINDS[it.kind][0]
    lead = dice.say("The {name} [is a {kind} of|is a {kind} that lives in|occurs only in] {region}.", **v)
    rest = [
        dice.say("[It|This species] {lives} {habitat}.", lives=lives, **v),
        dice.say("[Adults|Typical specimens|Grown specimens] are {colour} and [reach|measure|grow to] {size} centimetres.", **v),
        dice.say("[It was first described by|The first description is due to|It was discovered by] {found_by} in {year_found}.", **v),
        dice.say("[It is most often seen in|Most records are from|The season begins in] {month}.", **v),
    ]  # fmt: skip
    if it.food:
        rest.append(dice.say("It [feeds on|eats mainly|lives on] {food}.", **v))
    return _article(dice, capital(it.name), lead, rest)


def _river(dice: Dice, it: River) -> str:
    v = it._asdict()
    lead = dice.say("The {name} is a river [in|of] {region}.", **v)
    towns = [place.name for place in places() if place.river == it.name][:4]
    rest = [
        dice.say("[It is {length} kilometres long|From source to mouth it measures {length} kilometres].", **v),
        dice.say("[It flows into|It ends in|Its waters reach] {mouth}.", **v),
        dice.say("[It is crossed by|Travellers find on it|It has] {bridges} bridges.", **v),
    ]  # fmt: skip
    if towns:
        rest.append(dice.say("[On its banks lie|It passes] {towns}.", towns=listed(towns)))
    return _article(dice, it.name, lead, rest)


def _region(dice: Dice) -> str:
    region = dice.choose(REGIONS)
    towns = dice.some([place for place in places() if place.region == region], 4)
    living = dice.some([kind for kind in species() if kind.region == region], 3)
    parts = [
        dice.say(
            "[Among the towns of|Towns in|Settlements of] {r} are {t}.", r=region, t=listed([t.name for t in towns])
        )
    ]
    parts += [
        dice.say("{name} [makes|is known for] {craft} and [was founded in|dates from] {founded}.", **t._asdict())
        for t in towns
    ]
    parts.append(dice.say("[Its wildlife includes|Here live] the {s}.", s=listed([kind.name for kind in living])))
    parts += [dice.say("The {name} {l} {habitat}.", l=KINDS[kind.kind][0], **kind._asdict()) for kind in living]
    return f"{capital(region)}\n\n" + " ".join(parts)


def _article(dice: Dice, title: str, lead: str, rest: list[str]) -> str:
    sentences = dice.some(rest, dice.integer(min(3, len(rest)), len(rest)))
    body = " ".join([lead, *sentences])
    return f"{title}\n\n{body}" if dice.chance(0.7) else body


ARTICLES = ((_place, places), (_person, people), (_species, species), (_river, rivers))


# Questions


class Exercise(NamedTuple):
    question: str
    answer: str
    reason: str
    others: list[str]  # wrong answers


def questions(dice: Dice) -> dict[str, str]:
    """The row: prompt and response; asked openly, with four answers to choose from, or after a passage."""
    kind = _kind(dice)
    ask, entries = QUESTIONS[kind]
    entry = dice.choose(entries())
    exercise = ask(dice, entry)
    form = dice.below(3)
    if form == 0:
        return {"prompt": exercise.question, "response": f"{capital(exercise.answer)}. {exercise.reason}"}
    if form == 1:
        wrong = dice.some([other for other in dict.fromkeys(exercise.others) if other != exercise.answer], 3)
        options = dice.some([exercise.answer, *wrong], 4)
        letter = "ABCD"[options.index(exercise.answer)]
        shown = "\n".join(f"{name}) {option}" for name, option in zip("ABCD", options, strict=True))
        return {
            "prompt": f"{exercise.question}\n{shown}",
            "response": f"{letter}) {exercise.answer}. {exercise.reason}",
        }
    passage = ARTICLES[kind][0](dice, entry).split("\n\n")[-1]
    return {"prompt": f"{passage}\n{exercise.question}", "response": f"{capital(exercise.answer)}. {exercise.reason}"}


def _near(dice: Dice, number: int, step: int) -> list[str]:
    return [str(number + step * dice.integer(1, 9) * sign) for sign in (1, -1, 1, -1, 1, -1, 1, -1)]


def _ask_place(dice: Dice, it: Place) -> Exercise:
    v = it._asdict()
    return dice.choose([
        Exercise(dice.say("[In which region is|Where does one find] the town of {name}?", **v), it.region,
              f"{it.name} is in {it.region}.", REGIONS),
        Exercise(dice.say("[What does {name} produce?|Which product made {name} famous?]", **v), it.craft,
              f"The workshops of {it.name} make {it.craft}.", CRAFTS),
        Exercise(dice.say("[When was {name} founded?|From which year does {name} date?]", **v), str(it.founded),
              f"{it.name} was founded in {it.founded}.", [*_near(dice, it.founded, 7), "650", "660", "670"]),
        Exercise(dice.say("[Which river flows past|On which river lies] {name}?", **v), it.river,
              f"{it.name} lies on the {it.river}.", [river.name for river in rivers()]),
        Exercise(dice.say("What [landmark|building] [would you visit|can be seen] in {name}?", **v), f"the {it.building}",
              f"The {it.building} stands in {it.name}.", [f"the {building}" for building in BUILDINGS]),
        Exercise(dice.say("In which month [is the fair of {name}|does {name} hold its fair]?", **v), it.month,
              f"The fair of {it.name} is in {it.month}.", MONTHS),
    ])  # fmt: skip


def _ask_person(dice: Dice, it: Person) -> Exercise:
    v = it._asdict()
    age = it.died - it.born
    return dice.choose([
        Exercise(dice.say("What was {name}'s profession?", **v), it.trade, f"{it.name} worked as {_a(it.trade)}.", list(TRADES)),
        Exercise(dice.say("[Which town did {name} come from?|Where was {name} at home?]", **v), it.home,
              f"{it.name} came from {it.home}.", [place.name for place in places()]),
        Exercise(dice.say("Who {deed} {work} in {year}?", **v), it.name, f"It was {it.name}, {_a(it.trade)} from {it.home}.",
              [other.name for other in people()]),
        Exercise(dice.say("How old did {name} become?", **v), str(age),
              f"Born in {it.born}, {it.name} died in {it.died}: {it.died} - {it.born} = {age}.", [*_near(dice, age, 3), "31", "33", "35"]),
        Exercise(dice.say("What is the name of the work for which {name} is remembered?", **v), it.work,
              f"In {it.year} {it.name} {it.deed} {it.work}.", TITLES),
    ])  # fmt: skip


def _ask_species(dice: Dice, it: Species) -> Exercise:
    v = it._asdict()
    exercises = [
        Exercise(dice.say("[Where would you look for|What is the habitat of] the {name}?", **v), it.habitat,
              f"The {it.name} {KINDS[it.kind][0]} {it.habitat}.", HABITATS),
        Exercise(dice.say("[What colour is|Which colour has] the {name}?", **v), it.colour, f"The {it.name} is {it.colour}.", COLOURS),
        Exercise(dice.say("Who [discovered|first described] the {name}?", **v), it.found_by,
              f"{it.found_by} described it in {it.year_found}.", [person.name for person in people()]),
        Exercise(dice.say("In which region does the {name} [live|occur]?", **v), it.region,
              f"The {it.name} occurs in {it.region}.", REGIONS),
    ]  # fmt: skip
    if it.food:
        exercises.append(
            Exercise(dice.say("What does the {name} [eat|feed on]?", **v), it.food, f"Its food is {it.food}.", FOODS)
        )
    return dice.choose(exercises)


def _ask_river(dice: Dice, it: River) -> Exercise:
    return dice.choose([
        Exercise(f"Where does the river {it.name} end?", it.mouth, f"The {it.name} flows into {it.mouth}.", SEAS),
        Exercise(f"How many kilometres long is the {it.name}?", str(it.length), f"The {it.name} measures {it.length} kilometres.",
              [*_near(dice, it.length, 3), "911", "922", "933"]),
        Exercise(f"Through which region does the {it.name} flow?", it.region, f"The {it.name} is a river of {it.region}.", REGIONS),
    ])  # fmt: skip


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


QUESTIONS = ((_ask_place, places), (_ask_person, people), (_ask_species, species), (_ask_river, rivers))
