"""Damage to what training and studies write: a few of the faults of `python -m benchmarks.faults`."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.faults import inject
from benchmarks.own_files import KINDS


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("torch"), reason="needs torch")
def test_damage_to_what_is_trained_is_one_message_or_made_good(tmp_path, monkeypatch):
    for name in ("SIMTOOL_CACHE", "COLUMNS", "SIMTOOL_LONGEST_DOCUMENT"):
        monkeypatch.setenv(name, "64")
    monkeypatch.chdir(Path.cwd())
    problems = []
    inject(tmp_path, [name for name in KINDS if KINDS[name].needs], 11, 1, problems.append)
    assert not problems
