"""What benchmarks that are tested share."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def same_environment(monkeypatch):
    """What the workspace sets of damaged files sets ends with the test."""
    for name, value in (("SIMTOOL_CACHE", ""), ("COLUMNS", "200"), ("SIMTOOL_LONGEST_DOCUMENT", "64")):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(Path.cwd())
