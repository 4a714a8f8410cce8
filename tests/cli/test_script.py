"""Local workers of the installed command load no commands."""

import os
import subprocess
import sys

SCRIPT = """
import sys
from simtool import cli, executor
from simtool.cli import main
from tests.cli.test_script import has_commands

if __name__ == "__main__":
    cli.app = lambda **how: print(executor.run(has_commands, range(3), 2, preload=["json"]))
    sys.exit(main())
"""


def has_commands(task, report):
    return "simtool.cli" in sys.modules


def test_workers_do_not_run_the_script(tmp_path):
    script = tmp_path / "simtool"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    shown = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, timeout=240)
    assert shown.stdout == f"{[False] * 3}\n", shown.stderr
