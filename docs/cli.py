"""Writes docs/cli.md, the reference of the command line, from the commands themselves: python docs/cli.py"""

from pathlib import Path
from typing import Any

import typer

from simtool.cli import app

PAGE = Path(__file__).with_suffix(".md")


def reference() -> str:
    """The page: every command with its help, arguments and options."""
    group = typer.main.get_command(app)
    parts = ["# Command line", "Made by `python docs/cli.py` from the commands' own help; a test compares."]
    for name, command in sorted(group.commands.items()):
        parts += [f"## simtool {name}", inspect_clean(command.help), *map(_line, command.params)]
    return "\n\n".join(parts).replace("\n\n- ", "\n- ") + "\n"


def inspect_clean(text: str | None) -> str:
    paragraphs = (text or "").strip().split("\n\n")
    return "\n\n".join(" ".join(line.strip() for line in paragraph.splitlines()) for paragraph in paragraphs)


def _line(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("-"))
    default = parameter.default
    told = "" if default in (None, False, ..., ()) or parameter.required else f" Default: {_default(default)}."
    return f"- {names or f'`{parameter.metavar or parameter.name.upper()}`'}: {parameter.help}{told}"


def _default(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(getattr(value, "value", value))


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
