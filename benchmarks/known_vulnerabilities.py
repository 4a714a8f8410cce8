"""Known vulnerabilities of what is installed and declared: python -m benchmarks.known_vulnerabilities DATABASE...

`pip-audit` asks a service; this reads databases at hand, where none can be reached. A database is a copy of

    https://github.com/pypa/advisory-database      the folder `vulns`: records of OSV, one file each
    https://github.com/pyupio/safety-db            `data/insecure.json`: {name: [specifier]}

The least versions that `pyproject.toml` declares are looked up too: they are what somebody may have.
"""

import argparse
import json
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
LEAST = (">=", "==", "~=")

Advisories = dict[str, list[tuple[str, str]]]  # {package: [(identity, specifier of the versions that have it)]}


def read_databases(paths: list[Path]) -> Advisories:
    advisories: Advisories = defaultdict(list)
    for path in paths:
        for name, identity, specifier in read_folder(path) if path.is_dir() else read_file(path):
            advisories[canonicalize_name(name)].append((identity, specifier))
    return advisories


def read_file(path: Path) -> Iterator[tuple[str, str, str]]:
    for name, specifiers in json.loads(path.read_bytes()).items():
        if not name.startswith("$"):
            yield from ((name, path.name, specifier) for specifier in specifiers)


def read_folder(path: Path) -> Iterator[tuple[str, str, str]]:
    for file in sorted(path.rglob("*.yaml")):
        record = yaml.load(file.read_bytes(), yaml.CSafeLoader)
        if "withdrawn" in record:
            continue
        for affected in record["affected"]:
            specifiers = [*map("=={}".format, affected.get("versions", ())), *ranges_of(affected)]
            yield from ((affected["package"]["name"], record["id"], specifier) for specifier in specifiers)


def ranges_of(affected: dict[str, Any]) -> Iterator[str]:
    """Specifiers of the ranges of versions, each from an event `introduced` to the next."""
    for events in (item["events"] for item in affected.get("ranges", ()) if item["type"] == "ECOSYSTEM"):
        first = "0"
        for event in events:
            first = event.get("introduced", first)
            if "fixed" in event:
                yield f">={first},<{event['fixed']}"
            if "last_affected" in event:
                yield f">={first},<={event['last_affected']}"


def installed() -> dict[str, Version]:
    versions = {}
    for distribution in distributions():
        versions[canonicalize_name(distribution.metadata["Name"])] = Version(distribution.version)
    return versions


def declared() -> dict[str, Version]:
    """The least version of each dependency, those of the extras too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    requirements = [requirement for requirement in map(Requirement, lines) if requirement.name != project["name"]]
    return {
        canonicalize_name(requirement.name): Version(part.version)
        for requirement in requirements
        for part in requirement.specifier
        if part.operator in LEAST
    }


def holds(specifier: str, version: Version) -> bool:
    try:
        return version in SpecifierSet(specifier, prereleases=True)
    except InvalidSpecifier:  # a version from before PEP 440, and none of what can be installed today
        return False


def affected(versions: dict[str, Version], advisories: Advisories) -> Iterator[str]:
    for name, version in sorted(versions.items()):
        known = {f"{identity} ({specifier})" for identity, specifier in advisories[name] if holds(specifier, version)}
        if known:
            yield f"{name} {version}: {', '.join(sorted(known))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("database", type=Path, nargs="+")
    advisories = read_databases(parser.parse_args().database)
    for what, versions in (("installed", installed()), ("declared, the least versions", declared())):
        n_known = sum(len(advisories[name]) for name in versions)
        lines = list(affected(versions, advisories))
        print(f"{what}: {len(versions)} packages, {n_known:,} ranges of versions looked at, {len(lines)} affected")
        print(*(f"  {line}" for line in lines), sep="\n")


if __name__ == "__main__":
    main()
