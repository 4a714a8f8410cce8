"""Names say what they hold, and prose is the field's plain English."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("simtool", "analyses", "figures", "benchmarks")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += [ROOT / folder / "README.md" for folder in ("analyses", "figures", "benchmarks")]

# names that say nothing of what they hold
EMPTY = {"told", "found", "one", "there", "said", "asked", "made", "kept", "chosen", "wanted", "given", "every"}
# names that have a better word in the field
REPLACED = {
    "written_whole": "atomic_write", "to_the_end": "run", "claim": "bind_folder", "stretch": "segment",
    "unset": "uninitialized_model", "alone": "as_mixtures", "rotated": "apply_rotary", "scored": "softmax_and_lse",
    "mixing_problem": "problem", "pose": "build_problem", "Posed": "problem", "emphasis": "target_weights",
    "apart": "distinguishable", "verdicts": "conclusions", "find_out": "analyze", "Law": "KernelFormula",
}  # fmt: skip
PHRASES = {
    r"\b(nats|bits|tokens|seconds|loss|row|panel|line|dot|column|marker) an? (token|symbol|bigram|cell|run|corpus|side"
    r"|mixture|target|size|pair|document|arm|predictor|metric|study|source|point|leaf|step|group)\b": "per",
    r"MB of text a second": "MB/s",
    r"\b(can|cannot|could not|can't) be told\b|\btold (apart|from)\b": "distinguishable",
    r"matched domain": "same-domain baseline",
    r"\bstand-ins?\b": "proxy corpus",
    r"†": "*",
    r"P\(PA ?> ?0\)": "P(closer)",
    r"\bmend (it|them)\b": "fix it",
    r"the least that was asked for": "at the minimum you set",
    r"what else could be had": "trade-off curve",
    r"the same as a table": "show table",
    r"could not have been seen": "minimum detectable effect",
}


def bindings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a module binds: variables, parameters, functions, classes, attributes, fields, keywords."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.alias(name=name, asname=alias):
                yield alias or name, node.lineno
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name, node.lineno


def at(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_names_say_what_they_hold():
    wrong = [
        f"{at(path, line)} {name}" + f" -> {REPLACED.get(name.strip('_'), 'a noun')}"
        for path in MODULES
        for name, line in bindings(ast.parse(path.read_text(encoding="utf-8")))
        if name.strip("_") in REPLACED or name.strip("_").lower() in EMPTY
    ]
    assert not wrong, "\n".join(wrong)


def strings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno


def function_docstrings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (text := ast.get_docstring(node)):
            yield text, node.lineno


def without_sections(docstring: str) -> Iterator[str]:
    """Lines that belong into a numpy section: "Raises SomeError when ..." in prose, and aligned parameters."""
    plain = re.sub(r"\s+", " ", docstring)
    yield from re.findall(r"\bRaises [A-Z]\w*[a-z]\w*", plain)
    yield from re.findall(r"^\w+(?:, \w+)* {2,}\S.*$", docstring, re.MULTILINE)


def test_functions_say_what_they_take_and_raise_in_numpy_sections():
    wrong = [
        f"{at(path, line)} {passage}"
        for path in MODULES
        if path.is_relative_to(ROOT / "simtool")
        for docstring, line in function_docstrings(ast.parse(path.read_text(encoding="utf-8")))
        for passage in without_sections(docstring)
    ]
    assert not wrong, "\n".join(wrong)


def test_prose_is_distinguished_from_sections():
    section = "The ids.\n\nParameters\n----------\ntext, name\n    (n,): as read.\n\n"
    section += "Raises\n------\nSimtoolError\n    When empty."
    assert not list(without_sections(section))
    assert list(without_sections("The ids. Raises\nSimtoolError when empty.")) == ["Raises SimtoolError"]
    assert list(without_sections("The ids.\n\ntext, name   as read")) == ["text, name   as read"]


def refused_phrases(text: str) -> Iterator[str]:
    plain = re.sub(r"\s+", " ", text)
    for phrase, better in PHRASES.items():
        if match := re.search(phrase, plain, re.IGNORECASE):
            yield f"{match[0]!r} -> {better!r}"


def test_strings_speak_the_language_of_the_field():
    wrong = [
        f"{at(path, line)} {phrase}"
        for path in MODULES
        for text, line in strings(ast.parse(path.read_text(encoding="utf-8")))
        for phrase in refused_phrases(text)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_speak_the_language_of_the_field(page):
    wrong = [
        f"line {i}: {phrase}"
        for i, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
        for phrase in refused_phrases(line)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_words_are_seen_where_they_are_bound():
    code = "def told(found, *kept):\n    for one in kept: x.made = (given := 1)\nimport a as asked\n"
    code += "class Chosen: every: int"
    names = {name for name, _ in bindings(ast.parse(code))}
    assert names >= {"told", "found", "kept", "one", "made", "given", "asked", "Chosen", "every"}
    assert list(refused_phrases("loss in nats a\n    token")) == ["'nats a token' -> 'per'"]
