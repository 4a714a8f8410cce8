"""Counting workers are forks of a process that has what they need."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
from simtool import executor
from simtool.profiles.count import PRELOAD, preloaded_tokenizer

def state(task, report):
    from simtool.tokens import tokenizer
    return "pyarrow.parquet" in sys.modules, tokenizer._backends_of.cache_info().currsize

if __name__ == "__main__":
    with preloaded_tokenizer({name!r}, None):
        print(executor.run(state, range(3), 2, preload=PRELOAD))
"""


@pytest.mark.parametrize(("name", "n_tokenizers"), [("default", 1), ("no-such/tokenizer.json", 0)])
def test_a_worker_starts_with_imports_and_tokenizer(tmp_path, name, n_tokenizers):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(name=name))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    shown = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, timeout=240)
    assert shown.stdout == f"{[(True, n_tokenizers)] * 3}\n", shown.stderr
    assert "SIMTOOL_PRELOADED" not in " ".join(os.environ)
