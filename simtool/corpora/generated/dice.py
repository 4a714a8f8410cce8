"""Repeatable chance for generated text: the same on every machine and in every version of Python."""

import random
import re
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")
CHOICE = re.compile(r"\[([^\[\]]*)\]")


class Dice:
    """Draws made of `Random.random` alone: it is what Python promises never to change for an integer seed."""

    def __init__(self, seed: int):
        self._next = random.Random(seed).random

    def below(self, n: int) -> int:
        return int(self._next() * n)

    def integer(self, low: int, high: int) -> int:
        """Both ends may come."""
        return low + self.below(high - low + 1)

    def chance(self, share: float) -> bool:
        return self._next() < share

    def choose(self, items: Sequence[Item]) -> Item:
        return items[self.below(len(items))]

    def some(self, items: Sequence[Item], n: int) -> list[Item]:
        """n different items in a random order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(n)]

    def say(self, template: str, **values: object) -> str:
        """The template with one of each "[this|that]", then with its {values}."""
        sentence = CHOICE.sub(lambda match: self.choose(match[1].split("|")), template)
        return sentence.format_map(values)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def listed(items: Sequence[str], word: str = "and") -> str:
    """ "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}"
