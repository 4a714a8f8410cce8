"""The documentation's pages: what they show is what comes out, and everything known by name is on its page."""

import dataclasses
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import simtool
from simtool.corpora.catalogue import CATALOGUE
from simtool.prediction.predictors import PREDICTORS
from simtool.profiles.features import FEATURES
from simtool.similarity.metrics import METRICS
from simtool.studies.presets import PRESETS
from simtool.tokens.catalogue import TOKENIZERS
from simtool.training.schedules import SCHEDULES
from simtool.training.sizes import SIZES
from tests.test_words import refused_phrases

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [DOCS / "tutorial.md", *sorted((DOCS / "guide").glob("*.md"))]
COLUMNS = 78  # of a console block
NUMBER = re.compile(r"\d[\d,]*\.?\d*(?:e-?\d+)?")


def blocks(language: str) -> list:
    """(page, text) of every block in a language."""
    texts = [(page, text) for page in PAGES for text in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)]
    return [pytest.param(*block, id=f"{block[0].stem}-{i}") for i, block in enumerate(texts)]


def shown_outputs() -> list:
    """(command, output) of the commands whose output a page shows; "..." stands for lines that are left out."""
    shown = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block.values[1], flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            if output.strip() and command.startswith("simtool "):
                shown.append(pytest.param(command, output, id=command))
    return shown


@pytest.mark.parametrize(("command", "output"), shown_outputs())
def test_what_a_page_shows_is_what_comes_out(command, output):
    done = subprocess.run(
        [sys.executable, "-m", "simtool.cli", *shlex.split(command)[1:]],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": str(COLUMNS)},
    )
    came = [plain(line) for line in done.stdout.splitlines()]
    for passage in re.split(r"^\.\.\.\n", output, flags=re.M):
        lines = [plain(line) for line in passage.strip("\n").splitlines()]
        if lines:
            assert any(came[i : i + len(lines)] == lines for i in range(len(came))), "\n".join(lines)


def plain(line: str) -> str:
    """Words to the letter; numbers to what another processor's rounding may change."""
    return NUMBER.sub(lambda number: f"{float(number[0].replace(',', '')):.1g}", line.rstrip())


@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_python_of_a_page_runs(page, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, page.name, "exec"), {})


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_blocks_of_a_terminal_are_narrow(page):
    for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
        # a command to copy is not broken
        output = [line for line in block.splitlines() if not line.startswith(("$ ", "  simtool "))]
        assert max(map(len, output), default=0) <= COLUMNS, page


def test_everything_known_by_name_is_on_its_page():
    page = runpy.run_path(str(DOCS / "catalogue.py"))["page"]()
    own = [name for name, predictor in PREDICTORS.items() if predictor.metric is None]
    for name in (*CATALOGUE, *METRICS, *FEATURES, *own, *PRESETS, *SIZES, *SCHEDULES, *TOKENIZERS):
        assert f"| `{name}` |" in page, name
    assert not list(refused_phrases(page))


def test_aligned_fields_become_a_list():
    pytest.importorskip("griffe")
    with_lists = runpy.run_path(str(DOCS / "aligned_fields.py"))["with_lists"]
    docstring = (
        "A thing.\n\n"
        "a, b   float64 (n,)   two numbers,\n"
        "                      each at least 0\n"
        "n      how many\n\n"
        "Parameters\n----------\nx\n    Not a field."
    )
    assert with_lists(docstring) == (
        "A thing.\n\n- `a`, `b` (float64 (n,)): two numbers, each at least 0\n- `n`: how many\n\n"
        "Parameters\n----------\nx\n    Not a field."
    )


@pytest.mark.parametrize("kind", [simtool.Options, simtool.Constraints])
def test_the_reference_says_what_each_option_is(kind):
    described = {
        name.strip() for line in kind.__doc__.splitlines() if (words := re.match(r" +([\w, ]+?)  +\S", line))
        for name in words[1].split(",")
    }  # fmt: skip
    assert {field.name for field in dataclasses.fields(kind)} <= described
