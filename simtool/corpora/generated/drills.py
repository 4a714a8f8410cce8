"""School mathematics as a textbook writes it: a rule, a worked example, the steps. Every equation is true.

To add a topic, write a function that returns a `Lesson` and name it in `TOPICS`. Equations are written with
`=` between numbers that are equal, so that the tests can work them out.
"""

from fractions import Fraction
from math import gcd, lcm
from typing import NamedTuple

from simtool.corpora.generated.dice import Dice


class Lesson(NamedTuple):
    title: str
    rule: str
    task: str
    steps: list[str]
    end: str


def drill(dice: Dice) -> str:
    """One page: some lessons of one or of several topics."""
    topics = [dice.choose(TOPICS)] * dice.integer(1, 3) if dice.chance(0.5) else dice.some(TOPICS, dice.integer(2, 4))
    parts, lessons = [], set()
    for topic in topics:
        lesson = topic(dice)
        opening = [] if lesson.title in lessons else [lesson.title, lesson.rule] if dice.chance(0.7) else [lesson.rule]
        lessons.add(lesson.title)
        parts += [*opening, dice.choose(LAYOUTS)(dice, lesson)]
    return "\n\n".join(parts)


def _prose(dice: Dice, lesson: Lesson) -> str:
    start = dice.say("[Example.|Worked example.|For example:|As an illustration,|A case to follow:|]")
    task = lesson.task if start.endswith((".", ":")) or not start else lesson.task[0].lower() + lesson.task[1:]
    return " ".join(filter(None, [start, task, *lesson.steps, lesson.end]))


def _lines(dice: Dice, lesson: Lesson) -> str:
    return "\n".join([lesson.task, *lesson.steps, lesson.end])


def _numbered(dice: Dice, lesson: Lesson) -> str:
    mark = dice.choose(["Step {}: ", "{}. ", "({}) "])
    return "\n".join([lesson.task, *(mark.format(i + 1) + s for i, s in enumerate(lesson.steps)), lesson.end])


def _solution(dice: Dice, lesson: Lesson) -> str:
    task_heading, solution_heading = dice.choose(
        [("Exercise", "Solution"), ("Task", "Working"), ("Practice", "Worked answer")]
    )
    return f"{task_heading}. {lesson.task}\n{solution_heading}. {' '.join(lesson.steps)}\n{lesson.end}"


LAYOUTS = (_prose, _lines, _numbered, _solution)


def decimal(number: Fraction) -> str:
    """Of a fraction whose decimals end: 2.4, 36."""
    return f"{float(number):.4f}".rstrip("0").rstrip(".")


def _addition(dice: Dice) -> Lesson:
    a, b = dice.integer(112, 989), dice.integer(111, 899)
    parts = [(a // p % 10 * p, b // p % 10 * p) for p in (100, 10, 1)]
    sums = [x + y for x, y in parts]
    steps = [
        dice.say("[Add the|The|Combine the|Look at the] {n}: {x} + {y} = {s}.", n=name, x=x, y=y, s=x + y)
        for name, (x, y) in zip(("hundreds", "tens", "ones"), parts, strict=True)
    ]
    steps.append(
        dice.say("[Join the parts|Put them together|The partial sums]: {a} + {b} + {c} = {t}.", a=sums[0], b=sums[1],
                 c=sums[2], t=a + b)
    )  # fmt: skip
    return Lesson(
        "Adding by place value",
        dice.say("[To add large numbers|When numbers are long], [split them into|write them as] hundreds, tens and ones"
                 " and add [each kind|like to like]."),
        dice.say("[Add|Find the sum of|Work out the total of] {a} and {b}.", a=a, b=b),
        steps,
        dice.say("[The sum is|So the total is|Hence] {a} + {b} = {t}.", a=a, b=b, t=a + b),
    )  # fmt: skip


def _subtraction(dice: Dice) -> Lesson:
    a, b = dice.integer(400, 980), dice.integer(111, 390)
    hundreds, tens, ones = b // 100 * 100, b // 10 % 10 * 10, b % 10
    left, steps = a, []
    for part in (hundreds, tens, ones):
        if part:
            words = "[Take away|Remove|Subtract|Count back] {p}: {l} - {p} = {r}."
            steps.append(dice.say(words, p=part, l=left, r=left - part))
            left -= part
    return Lesson(
        "Taking away in stages",
        dice.say("A subtraction [can be done|is easier|may be made] in stages, and [checked|tested] by adding."),
        dice.say("[Subtract {b} from {a}.|Find {a} - {b}.|What remains when {b} is taken from {a}?]", a=a, b=b),
        steps,
        dice.say(
            "[Check|Test|Proof]: {b} + {d} = {a}, [so the difference is|and the result is] {d}.", a=a, b=b, d=a - b
        ),
    )


def _multiplication(dice: Dice) -> Lesson:
    a, b = dice.integer(12, 99), dice.integer(3, 12)
    tens, ones = a // 10 * 10, a % 10
    return Lesson(
        "Splitting a product",
        dice.say("[A product may be split|The distributive law lets us split a product]: multiply [each part|tens and"
                 " ones apart] and add."),
        dice.say("[Multiply {a} by {b}.|Compute the product of {a} and {b}.|Evaluate {a} * {b}.]", a=a, b=b),
        [
            dice.say("[Write|Split|Break up] {a} as {t} + {o} = {a}.", a=a, t=tens, o=ones),
            dice.say("[The tens give|Tens first:|From the tens comes] {t} * {b} = {p}.", t=tens, b=b, p=tens * b),
            dice.say("[The ones give|Then the ones:|From the ones comes] {o} * {b} = {p}.", o=ones, b=b, p=ones * b),
        ],
        dice.say("[Altogether|In sum|Therefore] {a} * {b} = {p} + {q} = {r}.", a=a, b=b, p=tens * b, q=ones * b, r=a * b),
    )  # fmt: skip


def _division(dice: Dice) -> Lesson:
    divisor, quotient = dice.integer(3, 12), dice.integer(7, 40)
    rest = dice.integer(1, divisor - 1)
    n = divisor * quotient + rest
    values = {"n": n, "d": divisor, "q": quotient, "r": rest, "p": divisor * quotient, "over": divisor * (quotient + 1)}
    return Lesson(
        "Division with a remainder",
        dice.say("[The remainder is what is left when|Divide, and] no further whole group can be [made|taken]."),
        dice.say(
            "[Divide {n} by {d}.|Find quotient and remainder of {n} by {d}.|How often does {d} fit into {n}?]", **values
        ),
        [
            dice.say("[Try|Multiples of the divisor are near:] {d} * {q} = {p}.", **values),
            dice.say("[One more|The next multiple], {over}, [is too large|would exceed {n}].", **values),
            dice.say("[Left over is|The rest is|What remains is] {n} - {p} = {r}.", **values),
        ],
        dice.say("[So|Thus|In short,] {n} = {d} * {q} + {r}.", **values),
    )


def _fraction_sum(dice: Dice) -> Lesson:
    b, d = dice.some([2, 3, 4, 5, 6, 8, 9, 10, 12], 2)
    a, c = dice.integer(1, b - 1), dice.integer(1, d - 1)
    m = lcm(b, d)
    x, y = a * m // b, c * m // d
    total = Fraction(a, b) + Fraction(c, d)
    end = f" = {total}" if total.denominator != m else ""
    return Lesson(
        "Adding unlike fractions",
        dice.say("Fractions [can be added|are added] once they have [the same|a common] denominator."),
        dice.say("[Add|Find the sum of] {a}/{b} and {c}/{d}.", a=a, b=b, c=c, d=d),
        [
            dice.say(
                "[The least common multiple|The smallest common denominator] of {b} and {d} is {m}.", b=b, d=d, m=m
            ),
            dice.say("[Expand|Rewrite|Extend] the first: {a}/{b} = {x}/{m}.", a=a, b=b, x=x, m=m),
            dice.say("[Likewise|In the same way|And the second]: {c}/{d} = {y}/{m}.", c=c, d=d, y=y, m=m),
        ],
        dice.say(
            "[Now add the numerators|The numerators add up]: {x}/{m} + {y}/{m} = {s}/{m}{e}.",
            x=x,
            y=y,
            m=m,
            s=x + y,
            e=end,
        ),
    )


def _fraction_of(dice: Dice) -> Lesson:
    b = dice.choose([3, 4, 5, 6, 7, 8, 9, 10])
    a, unit = dice.integer(2, b - 1), dice.integer(3, 30)
    values = {"a": a, "b": b, "n": b * unit, "u": unit, "r": a * unit}
    return Lesson(
        "A fraction of a quantity",
        dice.say("To take a fraction of a [number|quantity], divide by the [denominator|lower number], then multiply by the"
                 " [numerator|upper number]."),
        dice.say("[Determine|Calculate|What is] {a}/{b} of {n}[.|, step by step.]", **values),
        [
            dice.say("[One part is|Each of the {b} parts is|A single share is] {n} / {b} = {u}.", **values),
            dice.say("[Of these we need {a}|There are {a} such parts|Take {a} parts]: {a} * {u} = {r}.", **values),
        ],
        dice.say("[The required part is|Therefore the fraction amounts to|Result:] {r}.", **values),
    )  # fmt: skip


def _simplify(dice: Dice) -> Lesson:
    factor, b = dice.integer(2, 12), dice.integer(3, 15)
    a = dice.choose([k for k in range(1, b) if gcd(k, b) == 1])
    values = {"a": a, "b": b, "f": factor, "x": a * factor, "y": b * factor}
    return Lesson(
        "Lowest terms",
        dice.say("A fraction is in lowest terms when [its two numbers share no factor|nothing divides both its numbers]"
                 " but one."),
        dice.say("[Reduce|Simplify|Write in lowest terms] {x}/{y}.", **values),
        [
            dice.say("The [greatest common divisor|largest factor shared by both] is {f}.", **values),
            dice.say("[Above|Numerator|On top]: {x} / {f} = {a}.", **values),
            dice.say("[Below|Denominator|Underneath]: {y} / {f} = {b}.", **values),
        ],
        dice.say("[Reduced|In lowest terms|So], {x}/{y} = {a}/{b}.", **values),
    )  # fmt: skip


def _percentage(dice: Dice) -> Lesson:
    percent, n = dice.integer(2, 95), dice.integer(4, 90) * 10
    one_percent, part = Fraction(n, 100), Fraction(percent * n, 100)
    values = {"p": percent, "n": n, "o": decimal(one_percent), "r": decimal(part)}
    return Lesson(
        "Per cent means of a hundred",
        dice.say("[One per cent is the hundredth part.|A percentage counts hundredths.] Find one per cent, then [as many as"
                 " are asked|multiply]."),
        dice.say("[What is {p} per cent of {n}?|Find {p} per cent of {n}.|Compute {p} per cent of {n}.]", **values),
        [
            dice.say("[One per cent is|The hundredth part is] {n} / 100 = {o}.", **values),
            dice.say("[Then|Next,|Multiplying:] {p} * {o} = {r}.", **values),
        ],
        dice.say("[Thus|Hence] {p} per cent of {n} [is|comes to|equals] {r}.", **values),
    )  # fmt: skip


def _growth(dice: Dice) -> Lesson:
    percent, n, up = dice.choose([5, 10, 20, 25, 30, 40, 50]), dice.integer(2, 45) * 20, dice.chance(0.5)
    part = percent * n // 100
    values = {"p": percent, "n": n, "d": part, "r": n + part if up else n - part, "s": "+" if up else "-"}
    way = ("increase", "raised", "added to") if up else ("decrease", "lowered", "taken from")
    return Lesson(
        f"Percentage {way[0]}",
        dice.say(
            "In a percentage {w} the [change is worked out first|part is found] and {v} the [old value|start].",
            w=way[0],
            v=way[2],
        ),
        dice.say(
            "A value of {n} is {w} by {p} per cent. [Give the new value.|What does it become?]", w=way[1], **values
        ),
        [
            dice.say("[The change is|Change:|The part in question is] {n} * {p} / 100 = {d}.", **values),
            dice.say("[The new value is|New value:|This leads to] {n} {s} {d} = {r}.", **values),
        ],
        dice.say("[The value becomes|We end with|Answer:] {r}.", **values),
    )


UNITS = (
    ("metres", "centimetres", 100), ("kilometres", "metres", 1000), ("kilograms", "grams", 1000), ("hours", "minutes", 60),
    ("minutes", "seconds", 60), ("litres", "millilitres", 1000), ("days", "hours", 24), ("weeks", "days", 7),
    ("centimetres", "millimetres", 10), ("tonnes", "kilograms", 1000), ("feet", "inches", 12), ("yards", "feet", 3),
)  # fmt: skip


def _units(dice: Dice) -> Lesson:
    large, small, factor = dice.choose(UNITS)
    n, extra = dice.integer(2, 40), dice.integer(1, factor - 1)
    values = {"l": large, "s": small, "f": factor, "n": n, "e": extra, "p": n * factor, "t": n * factor + extra}
    return Lesson(
        "Changing units",
        dice.say(
            "[Going to|To reach] the smaller unit, multiply: [there are {f} {s} to|{f} {s} make up] each of the {l}.",
            **values,
        ),
        dice.say("[Express|Write|Convert] {n} {l} and {e} {s} in {s}.", **values),
        [
            dice.say("[Convert the {l} first|First the {l}]: {n} * {f} = {p} {s}.", **values),
            dice.say("[Then add the rest|Add the remaining {s}]: {p} + {e} = {t} {s}.", **values),
        ],
        dice.say("[Together that is|The whole is|It comes to] {t} {s}.", **values),
    )


def _equation(dice: Dice) -> Lesson:
    a, x, b, v = dice.integer(2, 12), dice.integer(2, 25), dice.integer(1, 40), dice.choose("xyn")
    minus = dice.chance(0.4) and a * x > b
    c = a * x - b if minus else a * x + b
    values = {
        "a": a,
        "x": x,
        "b": b,
        "c": c,
        "v": v,
        "p": a * x,
        "s": "-" if minus else "+",
        "t": "+" if minus else "-",
    }
    return Lesson(
        "Equations with one unknown",
        dice.say("Do the same to both sides until the unknown [stands alone|is by itself]."),
        dice.say("[Solve|Find {v} from|Solve for {v}:] {a}{v} {s} {b} = {c}.", **values),
        [
            dice.say("[Undo the {s} {b}|Move the constant]: {a}{v} = {c} {t} {b}, so {a}{v} = {p}.", **values),
            dice.say("[Divide both sides by|Share by] {a}: {v} = {p} / {a}.", **values),
        ],
        dice.say("[Hence|The solution is|We get] {v} = {x}.", **values),
    )


def _bracket_equation(dice: Dice) -> Lesson:
    a, x, b, v = dice.integer(2, 9), dice.integer(2, 20), dice.integer(1, 15), dice.choose("xyn")
    values = {"a": a, "x": x, "b": b, "v": v, "c": a * (x + b), "q": x + b}
    return Lesson(
        "Equations with brackets",
        dice.say("[When a bracket is multiplied|With a factor before the bracket], divide by [the factor|it] first."),
        dice.say("[Solve|Determine {v}:|Which {v} satisfies] {a} * ({v} + {b}) = {c}.", **values),
        [
            dice.say("[Dividing by {a}|Remove the factor {a}]: {v} + {b} = {q}.", **values),
            dice.say("[Subtract|Take away] {b}: {v} = {q} - {b}.", **values),
        ],
        dice.say("[The unknown is|So] {v} = {x}.", **values),
    )


def _mean(dice: Dice) -> Lesson:
    n, mean = dice.integer(3, 5), dice.integer(8, 60)
    numbers = [mean + dice.integer(-7, 7) for _ in range(n - 1)]
    numbers.append(mean * n - sum(numbers))
    total = " + ".join(map(str, numbers))
    return Lesson(
        "The arithmetic mean",
        dice.say("The mean is the [sum|total] of the values divided by [their number|how many they are]."),
        dice.say("[Find the mean of|Average the values|Compute the mean of] {n}.", n=", ".join(map(str, numbers))),
        [
            dice.say("[The sum is|Sum:|Adding up,] {t} = {s}.", t=total, s=mean * n),
            dice.say("[There are|We have] {n} values, so divide: {s} / {n} = {m}.", n=n, s=mean * n, m=mean),
        ],
        dice.say("[The mean is|Mean value:] {m}.", m=mean),
    )


def _rectangle(dice: Dice) -> Lesson:
    a, b, unit = dice.integer(3, 40), dice.integer(2, 30), dice.choose(["cm", "m", "km", "mm"])
    values = {"a": a, "b": b, "u": unit, "area": a * b, "half": a + b, "p": 2 * (a + b)}
    return Lesson(
        "Measuring rectangles",
        dice.say("[Area is length times width.|The area multiplies the sides.] The perimeter [goes once around|runs along"
                 " all four sides]."),
        dice.say("A rectangle [is {a} {u} long and {b} {u} wide|measures {a} {u} by {b} {u}]. Find area and perimeter.", **values),
        [
            dice.say("[Area|Surface|For the area]: {a} * {b} = {area} square {u}.", **values),
            dice.say("[Half the perimeter|Two adjacent sides]: {a} + {b} = {half} {u}.", **values),
            dice.say("[All of it|Four sides|The full perimeter]: 2 * {half} = {p} {u}.", **values),
        ],
        dice.say("The area is {area} square {u} and the perimeter {p} {u}.", **values),
    )  # fmt: skip


def _sequence(dice: Dice) -> Lesson:
    first, step, n = dice.integer(1, 40), dice.integer(2, 15), dice.integer(8, 30)
    shown = ", ".join(str(first + step * i) for i in range(4))
    values = {
        "f": first,
        "d": step,
        "n": n,
        "k": n - 1,
        "p": (n - 1) * step,
        "r": first + (n - 1) * step,
        "shown": shown,
    }
    return Lesson(
        "Arithmetic sequences",
        dice.say(
            "In an arithmetic sequence [each term exceeds the one before by|neighbours differ by] a fixed amount."
        ),
        dice.say("[Which number is term {n} of|Find term {n} of] the sequence {shown}, ...", **values),
        [
            dice.say("[The common difference|The gap between neighbours] is {d}.", **values),
            dice.say(
                "[From the first term to term {n} there are {k} gaps|{k} gaps lie before it]: {k} * {d} = {p}.",
                **values,
            ),
            dice.say("[Start from|Add this to] the first term: {f} + {p} = {r}.", **values),
        ],
        dice.say("Term {n} is {r}.", **values),
    )


def _order(dice: Dice) -> Lesson:
    a, b, c, d = dice.integer(2, 60), dice.integer(2, 12), dice.integer(2, 12), dice.integer(1, 9)
    values = {"a": a, "b": b, "c": c, "d": d, "p": b * c, "s": a + b * c, "r": a + b * c - d}
    return Lesson(
        "Order of operations",
        dice.say("Products [come before|are worked out before] sums and differences, [unless brackets say otherwise|which"
                 " go from left to right]."),
        dice.say("[Evaluate|Work out|Calculate] {a} + {b} * {c} - {d}.", **values),
        [
            dice.say("[Multiply first|The product comes first]: {b} * {c} = {p}.", **values),
            dice.say("[Next add|Then the sum]: {a} + {p} = {s}.", **values),
            dice.say("[Finally subtract|Last, the difference]: {s} - {d} = {r}.", **values),
        ],
        dice.say("[In one line,|So] {a} + {b} * {c} - {d} = {r}.", **values),
    )  # fmt: skip


def _decimals(dice: Dice) -> Lesson:
    x, y = Fraction(dice.integer(11, 899), 10), Fraction(dice.integer(101, 4999), 100)
    values = {"x": decimal(x), "y": decimal(y), "i": int(x * 100), "j": int(y * 100)}
    total = x + y
    values |= {"k": int(total * 100), "t": decimal(total)}
    return Lesson(
        "Adding decimals",
        dice.say("[Write the points under each other|Line up the points], or count in hundredths."),
        dice.say("[Add|Find the sum of] {x} and {y}.", **values),
        [
            dice.say("In hundredths [these are|the numbers read] {i} and {j}.", **values),
            dice.say("[Adding whole numbers|Their sum]: {i} + {j} = {k}.", **values),
            dice.say("[Put the point back|Return to units]: {k} / 100 = {t}.", **values),
        ],
        dice.say("[Thus|So] {x} + {y} = {t}.", **values),
    )


def _ratio(dice: Dice) -> Lesson:
    a, b = dice.some(range(1, 9), 2)
    unit = dice.integer(3, 25)
    values = {"a": a, "b": b, "t": (a + b) * unit, "n": a + b, "u": unit, "x": a * unit, "y": b * unit}
    return Lesson(
        "Dividing in a ratio",
        dice.say("[Count the parts of the ratio|Add the terms of the ratio], find one part, and multiply [back|up]."),
        dice.say("[Divide|Split|Separate] {t} in the ratio {a} to {b}.", **values),
        [
            dice.say("[Number of parts|Parts in all]: {a} + {b} = {n}.", **values),
            dice.say("[Size of one part|One part]: {t} / {n} = {u}.", **values),
            dice.say("[The two portions|Both portions]: {a} * {u} = {x} and {b} * {u} = {y}.", **values),
        ],
        dice.say("[Check|Control]: {x} + {y} = {t}.", **values),
    )


def _factors(dice: Dice) -> Lesson:
    primes = sorted(dice.choose([2, 2, 3, 3, 5, 7, 11, 13]) for _ in range(dice.integer(3, 4)))
    n = 1
    for prime in primes:
        n *= prime
    left, steps = n, []
    for prime in primes[:-1]:
        steps.append(dice.say("[Divide by|Take out|Split off] {p}: {l} / {p} = {r}.", p=prime, l=left, r=left // prime))
        left //= prime
    return Lesson(
        "Prime factors",
        dice.say("[Try the primes in order|Begin with the smallest prime] and divide [as long as it goes|until a prime is"
                 " left]."),
        dice.say("[Factor {n}|Write {n} as a product of primes|Break {n} into primes].", n=n),
        [*steps, dice.say("The [last quotient|number left], {l}, is prime.", l=left)],
        dice.say("[The factorisation reads|So] {n} = {p}.", n=n, p=" * ".join(map(str, primes))),
    )  # fmt: skip


def _motion(dice: Dice) -> Lesson:
    speed, hours = dice.integer(3, 30) * 4, dice.integer(2, 9)
    thing = dice.choose(["A train", "A cyclist", "A ship", "A runner", "A lorry", "A glider", "A river boat"])
    values = {
        "v": speed,
        "h": hours,
        "d": speed * hours,
        "thing": thing,
        "q": speed // 4,
        "e": speed * hours + speed // 4,
    }
    return Lesson(
        "Speed, distance and time",
        dice.say("[At constant speed|If the speed does not change], distance is speed multiplied by time."),
        dice.say(
            "{thing} [moves|travels|goes] at {v} units an hour for {h} hours and a quarter. How far does it [get|go]?",
            **values,
        ),
        [
            dice.say("[Whole hours|For the full hours]: {v} * {h} = {d}.", **values),
            dice.say("[The quarter of an hour|A quarter hour] adds {v} / 4 = {q}.", **values),
            dice.say("[Total distance|In all]: {d} + {q} = {e}.", **values),
        ],
        dice.say("[The distance is|Distance covered:] {e} units.", **values),
    )


TOPICS = (
    _addition, _subtraction, _multiplication, _division, _fraction_sum, _fraction_of, _simplify, _percentage, _growth, _units,
    _equation, _bracket_equation, _mean, _rectangle, _sequence, _order, _decimals, _ratio, _factors, _motion,
)  # fmt: skip
