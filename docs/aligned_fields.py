"""For the documentation: the aligned field lines of docstrings become lists, which markdown would else run together.

    values, low, high   float64 (n, n)   mean over half-samples, and its 95% interval

is shown as "- `values`, `low`, `high` (float64 (n, n)): mean over half-samples, and its 95% interval". And a section of
what is returned that is prose gets the annotation's type as its heading, or each of its lines would be read as a type.
Parameters that share a description get it each, or all would have the type and default of the first; and a default that
is a constant is shown as its value.
"""

import importlib
import re
from typing import Any

from griffe import Extension, Function, Object

RETURNS = re.compile(r"(^Returns\n-{3,}\n)((?:\S.*(?:\n|\Z))+)", re.M)
FIELD = re.compile(r"^(?P<names>\w+(?:, \w+)*) {2,}(?P<rest>\S.*)$")
MORE = re.compile(r"^ {4,}(?P<rest>\S.*)$")


def with_lists(docstring: str) -> str:
    """The docstring with each block of field lines as a list, a field with its further lines per item."""
    blocks = re.split(r"\n\n", docstring)
    return "\n\n".join(_as_list(block) if _is_fields(block) else block for block in blocks)


def _is_fields(block: str) -> bool:
    """Whether all lines are fields or go on with one; numpy sections, with their rules, are not."""
    lines = block.splitlines()
    return bool(lines and FIELD.match(lines[0])) and all(FIELD.match(line) or MORE.match(line) for line in lines)


def _as_list(block: str) -> str:
    items: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if match := FIELD.match(line):
            items.append((match["names"], [match["rest"]]))
        else:
            items[-1][1].append(line.strip())
    return "\n".join(_item(names, parts) for names, parts in items)


def _item(names: str, parts: list[str]) -> str:
    kind, _, text = re.sub(r" {2,}", "\0", parts[0], count=1).partition("\0")
    described = " ".join([text or kind, *parts[1:]])
    of_kind = f" ({kind})" if text else ""
    return f"- {', '.join(f'`{name}`' for name in names.split(', '))}{of_kind}: {described}"


def with_type(docstring: str, returned: str) -> str:
    """The docstring with the prose of its Returns section below the type that is returned."""

    def typed(match: re.Match[str]) -> str:
        if docstring[match.end() :].startswith(" "):  # it names its type
            return match[0]
        return f"{match[1]}{returned}\n    {' '.join(match[2].split())}\n"

    return RETURNS.sub(typed, docstring)


PARAMETERS = re.compile(r"^Parameters\n-{3,}\n(?:.*\n|\n)*?(?=\S.*\n-{3,}\n|\Z)", re.M)
TOGETHER = re.compile(r"^(\w+(?:, \w+)+)\n((?: +\S.*(?:\n|\Z))+)", re.M)


def with_single_names(docstring: str) -> str:
    """The docstring with the description of `a, b` below `a` and below `b`."""

    def single(match: re.Match[str]) -> str:
        return "".join(f"{name}\n{match[2].rstrip()}\n" for name in match[1].split(", "))

    return PARAMETERS.sub(lambda section: TOGETHER.sub(single, section[0]), docstring)


def show_constants(function: Function) -> None:
    """Defaults that are constants of the package, as their values where these are short."""
    for parameter in function.parameters:
        if (name := str(parameter.default)).isidentifier() and name.isupper():
            try:
                value = getattr(importlib.import_module(function.module.path), name)
            except ImportError:  # it needs torch
                continue
            if isinstance(value, int | float | str):
                parameter.default = repr(value)


class AlignedFields(Extension):
    """Applies it to every class and function as it is loaded."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        if isinstance(obj, Function):
            show_constants(obj)
        if obj.docstring:
            obj.docstring.value = with_single_names(with_lists(obj.docstring.value))
            if obj.is_function and getattr(obj, "returns", None) is not None:
                obj.docstring.value = with_type(obj.docstring.value, str(obj.returns).strip("'\""))
