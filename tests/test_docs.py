"""What can be checked in the documents is: code runs, output is what comes out, every command has its sentence."""

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import simtool
from simtool.api import MODULES
from simtool.errors import SimtoolError

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


COLUMNS = 80  # of a console block


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_of_the_readme_runs(code, capsys):
    exec(compile(code, "README.md", "exec"), {})


def shown_commands() -> list[tuple[str, str]]:
    """(command, output as shown) of the simtool commands whose output the README shows."""
    shown = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            command = command.rsplit("&& ", 1)[-1]
            if output.strip() and command.startswith("simtool "):
                shown.append((command, output))
    return shown


def lines_of(text: str) -> list[str]:
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n").splitlines()


@pytest.mark.parametrize(("command", "output"), shown_commands())
def test_output_of_the_readme_is_what_comes_out(command, output):
    """Line by line; a line of three dots stands for lines that are left out."""
    done = subprocess.run(
        [sys.executable, "-m", "simtool.cli", *shlex.split(command)[1:]],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": str(COLUMNS)},
    )
    rest = lines_of(done.stdout)
    for chunk in re.split(r"^\.\.\.$", output, flags=re.MULTILINE):
        shown = lines_of(chunk)
        # words to the letter; numbers to what another processor's rounding may change
        pattern = [NUMBER.sub("#", line) for line in shown]
        came = [NUMBER.sub("#", line) for line in rest]
        at = next((k for k in range(len(came)) if came[k : k + len(shown)] == pattern), None)
        assert at is not None, f"{chunk}\nis not in\n{done.stdout}"
        for line, expected in zip(rest[at:], shown, strict=False):
            assert numbers(line) == pytest.approx(numbers(expected), rel=5e-3, abs=2e-3)
        rest = rest[at + len(shown) :]
    assert not rest or output.rstrip().endswith("..."), f"more came out than is shown:\n{chr(10).join(rest)}"


def test_console_blocks_are_narrow():
    for command, output in shown_commands():
        assert all(len(line) <= COLUMNS or line.startswith("  simtool ") for line in output.splitlines()), command


NUMBER = re.compile(r"\d[\d,]*\.?\d*(?:e-?\d+)?")


def numbers(line: str) -> list[float]:
    return [float(number.replace(",", "")) for number in NUMBER.findall(line)]


def test_the_first_command_is_shown():
    assert "simtool matrix c4 pycode gsm8k" in [command for command, _ in shown_commands()]


def test_the_command_line_page_is_current():
    # in a process of its own: tests add toys to catalogues that the help lists
    script = "import runpy; print(runpy.run_path('docs/cli.py')['reference'](), end='')"
    reference = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == reference.stdout, "docs/cli.md is not what the commands say: python docs/cli.py"


def test_every_command_has_help_and_an_example():
    import typer

    from simtool.cli import app

    for name, command in typer.main.get_command(app).commands.items():
        assert f"Example: simtool {name}" in command.help, name
        assert all(parameter.help for parameter in command.params if parameter.name != "help"), name


@pytest.mark.parametrize("name", simtool.__all__)
def test_a_public_name_is_there_or_says_what_it_needs(name):
    try:
        assert getattr(simtool, name)
    except SimtoolError as error:
        assert find_spec("torch") is None
        assert str(error) == "This needs torch: pip install '.[train]' in a clone of simtool."


def test_completion_shows_functions_and_what_they_take():
    shown = {name for name in dir(simtool) if not name.startswith("_")}
    assert shown == {*MODULES} and {"matrix", "mix", "report", "Options"} <= shown


def test_no_other_name_is_there():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = simtool.nothing


def test_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150
