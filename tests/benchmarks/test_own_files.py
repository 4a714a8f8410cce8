"""Damage to what training and studies write: a few of the faults of `python -m benchmarks.faults`."""

from importlib.util import find_spec

import pytest

from benchmarks.faults import inject
from benchmarks.own_files import KINDS


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("torch"), reason="needs torch")
def test_damage_to_what_is_trained_is_one_message_or_made_good(tmp_path):
    problems = []
    names = [name for name, kind in KINDS.items() if kind.maker == "run"]
    counts = inject(tmp_path, names, 2 * len(names), 1, problems.append)
    assert not problems and sum(sum(row.values()) for row in counts.values()) == 2 * len(names)
