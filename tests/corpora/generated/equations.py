"""Equations in a text, worked out exactly."""

import re
from fractions import Fraction
from itertools import islice

from simtool.corpora.generators import Generated

NUMBERS = re.compile(r"(?<![\w.])[(\d][\d .+*/()=-]*")


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
