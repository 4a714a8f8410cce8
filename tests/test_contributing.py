"""What CONTRIBUTING.md says of the house is true: its floors are those that are checked, its paths exist."""

import importlib.util
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][0]
FLOORS = [set(re.findall(r"\w+", floor)) for floor in CONTRACT["layers"]]


def section(title: str) -> str:
    return TEXT.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_picture_has_the_floors_that_are_checked():
    lines = section("Tour of the house").split("```")[1].splitlines()
    names = [set(re.findall(r"\w+", re.split(r"\s{5,}", line.strip())[0])) for line in lines if line.strip(" |")]
    assert names[1:] == FLOORS  # the first line is what uses the house from outside


def test_every_room_is_described():
    described = set(
        re.findall(r"`(\w+)(?:\.py|/)?`", "".join(re.findall(r"^\| (.*?) \|", section("Tour of the house"), re.M)))
    )
    assert described == set().union(*FLOORS) | {"analyses", "figures", "benchmarks", "tests"}


def test_every_place_named_exists():
    for row in re.findall(r"^\| a.*$", section("To add one thing, touch one place"), re.M):
        paths = re.findall(r"`([\w./]+/[\w./]*)`", row)
        assert paths, row
        for path in paths:
            assert (ROOT / path).exists(), path
        if name := re.search(r"named in `(\w+)`", row):
            path = Path(paths[0])
            holder = path.with_suffix("") if path.suffix else path
            assert hasattr(importlib.import_module(".".join(holder.parts)), name[1]), row


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / target).exists(), target


def test_the_builds_named_can_be_run():
    for module in re.findall(r"^\$ python -m (simtool[\w.]+)", TEXT, re.M):
        assert importlib.util.find_spec(module) is not None, module
