"""What simtool imports is declared, nothing else is, and versions that are too old are refused."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path

import pytest
from filelock import FileLock
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = ("train", "ray", "embed", "web", "tokenizers", "sweep")
DECLARED = [*PROJECT["dependencies"], *(line for extra in EXTRAS for line in PROJECT["optional-dependencies"][extra])]
REQUIREMENTS = {requirement.name: requirement for requirement in map(Requirement, DECLARED)}
IMPORTED_AS = {"pyyaml": "yaml", "scikit-learn": "sklearn", "huggingface-hub": "huggingface_hub"}
NOT_IMPORTED = {
    "jinja2": "by the process that corpora/sandbox.py starts",
    "protobuf": "by transformers, which reads SentencePiece models with it",
}
BROUGHT_ALONG = {"fastwarc": "resiliparse"}
IF_INSTALLED = {"IPython", "lm_eval", "pandas", "sentence_transformers"}  # each says how to install it, or goes without
TOO_OLD = {  # what their authors mended since
    "aiohttp": "3.13.3",  # kept whatever headers a server sent, however many (CVE-2026-22815, CVE-2026-34516)
    "datasets": "3.6.0",  # ran the script of whoever published the data
    "filelock": "3.20.2",  # could be led to another file by a symbolic link
    "jinja2": "3.1.5",  # let a template out of its sandbox
    "lightgbm": "4.5.0",  # ran what a machine of a distributed training was sent (CVE-2024-43598)
    "orjson": "3.11.5",  # deeply nested data overflowed its stack (CVE-2025-67221)
    "protobuf": "6.33.4",  # so did messages nested in JSON (CVE-2026-0994)
    "ray": "2.53.0",  # a page open in the browser could delete jobs by way of the dashboard (CVE-2026-27482)
    # a config.json could set trust_remote_code, and before 5.3 name a kernel to run (CVE-2026-5241, CVE-2026-4372)
    "transformers": "5.4.0",
}


def imported_modules() -> Iterator[str]:
    """The first name of each import below simtool/, but for Python's own and simtool's."""
    for path in (ROOT / "simtool").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    yield from (name.name.split(".")[0] for name in names)
                case ast.ImportFrom(module=str(module), level=0):
                    yield module.split(".")[0]


OTHERS = set(imported_modules()) - set(sys.stdlib_module_names) - {"simtool"}


def test_what_is_imported_is_declared():
    declared = {IMPORTED_AS.get(name, name) for name in REQUIREMENTS}
    assert OTHERS - declared - IF_INSTALLED - set(BROUGHT_ALONG) == set()
    assert set(BROUGHT_ALONG.values()) <= set(REQUIREMENTS)


def test_what_is_declared_is_imported():
    assert {name for name in REQUIREMENTS if IMPORTED_AS.get(name, name) not in OTHERS} == set(NOT_IMPORTED)


def test_all_extras_are_looked_at():
    others = {"test", "trainers", "docs", "all"}
    assert set(PROJECT["optional-dependencies"]) == {*EXTRAS, *others}


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_a_dependency_says_from_which_version_on_and_what_is_installed_is_no_older(name):
    specifier = REQUIREMENTS[name].specifier
    assert any(part.operator in (">=", "==", "~=") for part in specifier)
    try:
        assert specifier.contains(version(name))
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")


def test_what_several_extras_declare_has_the_same_versions_in_each():
    lines = [*PROJECT["dependencies"], *chain.from_iterable(PROJECT["optional-dependencies"].values())]
    versions = {(requirement.name, str(requirement.specifier)) for requirement in map(Requirement, lines)}
    assert sorted(name for name, _ in versions) == sorted({name for name, _ in versions})


@pytest.mark.parametrize("name", TOO_OLD)
def test_a_version_with_a_hole_is_refused(name):
    assert not REQUIREMENTS[name].specifier.contains(TOO_OLD[name])


def test_urls_open_with_what_is_declared():
    assert REQUIREMENTS["fsspec"].extras == {"http"}


def test_a_lock_that_is_a_symbolic_link_is_refused(tmp_path):
    (tmp_path / "theirs").write_text("text")
    (tmp_path / "lock").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError), FileLock(tmp_path / "lock", timeout=1):
        pass
    assert (tmp_path / "theirs").read_text() == "text"
