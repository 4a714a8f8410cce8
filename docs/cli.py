"""Writes docs/cli.md, the reference of the command line, from the commands themselves: python docs/cli.py"""

from pathlib import Path
from typing import Any

import typer

from simtool.cli import PANELS, app

PAGE = Path(__file__).with_suffix(".md")
INTRODUCTION = """\
# Command line

Made by `python docs/cli.py` from the help of the commands; a test compares. An option means the same in every command,
and counts may be written 300k, 2M or 2B."""

BEFORE = """\
## Before the name of a command

The last three are limits, against files that take all memory and words that walk a whole disk."""


def reference() -> str:
    """The page: every command with its help, arguments and options, in the order of `simtool --help`."""
    program = typer.main.get_command(app)
    commands = program.commands
    names = {command.callback.__name__: name for name, command in commands.items()}
    parts = [INTRODUCTION, BEFORE, "\n".join(map(line, program.params))]
    for panel, functions in PANELS.items():
        parts.append(f"## {panel}")
        for function in functions:
            name = names[function.__name__]
            parts += [
                f"### simtool {name}",
                paragraphs(commands[name].help),
                "\n".join(map(line, commands[name].params)),
            ]
    return "\n\n".join(parts) + "\n"


def paragraphs(text: str | None) -> str:
    """A help text, one line per paragraph, its example as a block."""
    lines = [" ".join(part.split()) for part in (text or "").strip().split("\n\n")]
    return "\n\n".join(
        f"```console\n$ {part.removeprefix('Example: ')}\n```" if part.startswith("Example: ") else part
        for part in lines
    )


def line(parameter: Any) -> str:
    """An option or argument as an item of a list, with its default."""
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("-"))
    default = parameter.default
    absent = default is None or default is False or default == () or parameter.required
    text = "" if absent or default == "" else f" Default: {_default(default)}."
    return f"- {names or f'`{parameter.metavar or parameter.name.upper()}`'}: {parameter.help}{text}"


def _default(value: Any) -> str:
    if str(value) == ".":
        return "the working folder"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(getattr(value, "value", value))


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
