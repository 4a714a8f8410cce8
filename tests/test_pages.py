"""The documentation's pages: what they show is what comes out, and everything known by name is on its page."""

import dataclasses
import inspect
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

import simtool
from simtool.api import MODULES
from simtool.cli import app
from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.corpus import Corpus
from simtool.prediction.predictors import PREDICTORS
from simtool.profiles.features import FEATURES
from simtool.similarity.metrics import METRICS
from simtool.studies import presets
from simtool.studies.plan import Study
from simtool.studies.presets import PRESETS
from simtool.tokens.catalogue import TOKENIZERS
from simtool.training.schedules import SCHEDULES
from simtool.training.sizes import SIZES
from tests.plots.example_tables import effects
from tests.test_words import refused_phrases

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [DOCS / "tutorial.md", DOCS / "reference.md", *sorted((DOCS / "guide").glob("*.md"))]
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
        for part in re.split(r"^\$ ", block.values[1].replace("\\\n", " "), flags=re.M)[1:]:
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


WRITTEN = [*DOCS.rglob("*.md"), *(DOCS.parent / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
WRITTEN += [DOCS.parent / folder / "README.md" for folder in ("analyses", "benchmarks", "figures")]


@pytest.mark.parametrize("page", sorted(WRITTEN), ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_every_block_of_code_ends(page):
    """A fence that ends a block has no language; else the prose behind it is code, and the next code prose."""
    fences = re.findall(r"^ *```(.*)", page.read_text(encoding="utf-8"), re.M)
    assert len(fences) % 2 == 0 and not any(fences[1::2])


@pytest.mark.parametrize("page", sorted(WRITTEN), ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_links_of_a_page_lead_to_a_file(page):
    """Read in the repository; `docs/hooks.py` says where the site has it."""
    generated = DOCS / "catalogue.md"
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        path = page.parent / target
        assert path.exists() or path == generated, target


def test_links_out_of_the_docs_lead_to_pages_of_the_site():
    pytest.importorskip("mkdocs")
    hooks = runpy.run_path(str(DOCS / "hooks.py"))
    written = "[a](../../analyses/README.md#b) ![c](../../figures/out/d.png) [e](compare.md) [f](#g) [h](https://i.org)"
    page = SimpleNamespace(file=SimpleNamespace(src_uri="guide/compare.md"))
    assert hooks["on_page_markdown"](written, page=page) == (
        "[a](../results.md#b) ![c](../out/d.png) [e](compare.md) [f](#g) [h](https://i.org)"
    )


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


def test_parameters_that_share_a_description_have_it_each():
    pytest.importorskip("griffe")
    with_single_names = runpy.run_path(str(DOCS / "aligned_fields.py"))["with_single_names"]
    docstring = "A thing of a, b.\n\nParameters\n----------\na, b\n    Of both,\n    or none.\nc\n    More.\n\n"
    docstring += "Returns\n-------\nd, e\n    Two."
    assert with_single_names(docstring) == docstring.replace(
        "a, b\n    Of both,\n    or none.\n", "a\n    Of both,\n    or none.\nb\n    Of both,\n    or none.\n"
    )


def test_a_default_that_is_a_constant_is_shown_as_its_value():
    griffe = pytest.importorskip("griffe")
    names = runpy.run_path(str(DOCS / "aligned_fields.py"))
    module = griffe.load("simtool.api.compare", extensions=griffe.load_extensions(names["AlignedFields"]))
    defaults = {parameter.name: str(parameter.default) for parameter in module["matrix"].parameters}
    assert defaults["resamples"] == str(inspect.signature(simtool.matrix).parameters["resamples"].default)


@pytest.mark.parametrize("kind", [simtool.Options, simtool.Constraints])
def test_the_reference_says_what_each_option_is(kind):
    described = {
        name.strip() for line in inspect.cleandoc(kind.__doc__).splitlines()
        if (words := re.match(r"(\w[\w, ]*?)  +\S", line))
        for name in words[1].split(",")
    }  # fmt: skip
    assert {field.name for field in dataclasses.fields(kind)} <= described


def test_prose_of_what_is_returned_stands_below_its_type():
    pytest.importorskip("griffe")
    with_type = runpy.run_path(str(DOCS / "aligned_fields.py"))["with_type"]
    prose = "A thing.\n\nReturns\n-------\nMeans over\nhalf-splits.\n\nRaises\n------\nError\n    When."
    assert with_type(prose, "Matrix") == prose.replace(
        "Means over\nhalf-splits.", "Matrix\n    Means over half-splits."
    )
    typed = "A thing.\n\nReturns\n-------\nOutcome\n    By node."
    assert with_type(typed, "Matrix") == typed


def test_each_public_name_is_in_the_reference():
    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    for name, module in MODULES.items():
        assert f"::: simtool.{module}.{name}\n" in page, name


def commands_shown() -> list:
    """(page, words) of each simtool command on a page, run there or not."""
    commands = []
    for page in (DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))):
        for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            for line in re.findall(r"^\$ (.*)", block.replace("\\\n", " "), re.M):
                words = shlex.split(line.rsplit("&& ", 1)[-1], comments=True)
                if words[0] == "simtool":
                    commands.append(pytest.param(words[1:], id=f"{page.stem}: {' '.join(words)}"))
    return commands


@pytest.mark.parametrize("words", commands_shown())
def test_a_command_on_a_page_is_one_that_there_is(words, monkeypatch):
    """With its options and the values they take; `test_examples.py` runs all but those that need hours or a cluster."""
    seen = []
    program = typer.main.get_command(app)
    for command in leaves(program):
        monkeypatch.setattr(command, "callback", lambda **options: seen.append(options))
    program.main(words, prog_name="simtool", standalone_mode=False)
    assert len(seen) == 1


def leaves(group):
    for command in group.commands.values():
        yield from leaves(command) if hasattr(command, "commands") else (command,)


def test_code_of_how_to_add_a_thing_is_that_of_the_package():
    for page, modules in (("corpus", "corpora/catalogue/*.py"), ("metric", "similarity/metrics.py")):
        texts = [path.read_text(encoding="utf-8") for path in (DOCS.parent / "simtool").glob(modules)]
        source = {line.strip() for text in texts for line in text.splitlines()}
        [code] = re.findall(r"```python\n(.*?)```", (DOCS / "howto" / f"{page}.md").read_text(encoding="utf-8"), re.S)
        for line in filter(None, map(str.strip, code.splitlines())):
            assert {line, f"{line},"} & source or line == ")", f"{page}: {line}"


@pytest.mark.parametrize(("page", "kind"), [("corpus", Corpus), ("study", Study)])
def test_fields_that_a_page_explains_are_fields(page, kind):
    text = (DOCS / "howto" / f"{page}.md").read_text(encoding="utf-8")
    explained = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|[^|]*\|", text, re.M)))
    assert len(explained) > 5 and set(explained) <= {field.name for field in dataclasses.fields(kind)}


def test_a_study_and_a_figure_as_the_pages_write_them():
    [study] = re.findall(r"```python\n(.*?)```", (DOCS / "howto" / "study.md").read_text(encoding="utf-8"), re.S)
    names = dict(vars(presets))
    exec(study, names)
    assert names["recipes"]().arms[0].name == "control"
    [figure] = re.findall(r"```python\n(.*?)```", (DOCS / "howto" / "figure.md").read_text(encoding="utf-8"), re.S)
    exec(figure, drawn := {})
    assert drawn["draw"](effects()).axes[0].get_yticklabels()[0].get_text() == "PyCode"
