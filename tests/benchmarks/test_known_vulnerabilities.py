"""Versions are looked up in both kinds of databases."""

import json
from pathlib import Path

import pytest
from packaging.version import Version

from benchmarks.known_vulnerabilities import affected, declared, installed, read_databases

RECORD = """
id: PYSEC-1
affected:
- package: {name: Some.Package, ecosystem: PyPI}
  versions: ["0.9"]
  ranges:
  - type: GIT
    events: [{introduced: "0"}, {fixed: abc}]
  - type: ECOSYSTEM
    events: [{introduced: "1.0"}, {fixed: "1.2"}, {introduced: "2.0"}, {last_affected: "2.1"}]
"""


@pytest.fixture
def advisories(tmp_path: Path):
    (tmp_path / "vulns" / "some-package").mkdir(parents=True)
    (tmp_path / "vulns" / "some-package" / "PYSEC-1.yaml").write_text(RECORD)
    (tmp_path / "vulns" / "some-package" / "PYSEC-2.yaml").write_text(
        RECORD.replace("1\n", "2\nwithdrawn: '2024'\n", 1)
    )
    specifiers = {"$meta": {"timestamp": 1}, "other": ["<1.5", "<2013.1.g3"]}
    (tmp_path / "insecure.json").write_text(json.dumps(specifiers))
    return read_databases([tmp_path / "vulns", tmp_path / "insecure.json"])


@pytest.mark.parametrize(
    ("version", "is_affected"),
    [("0.9", True), ("0.9.1", False), ("1.0", True), ("1.2", False), ("2.0", True), ("2.1", True), ("2.2", False)],
)
def test_a_version_in_a_range_is_affected(advisories, version, is_affected):
    found = list(affected({"some-package": Version(version)}, advisories))
    assert bool(found) == is_affected
    assert not any("PYSEC-2" in line for line in found)


def test_specifiers_are_read_and_those_of_old_schemes_passed_over(advisories):
    versions = {"other": Version("1.4"), "third": Version("1")}
    assert list(affected(versions, advisories)) == ["other 1.4: insecure.json (<1.5)"]


def test_what_is_installed_and_declared_is_found():
    assert {"numpy", "pytest"} <= installed().keys()
    assert {"numpy", "torch", "ray", "mkdocs-material"} <= declared().keys()
