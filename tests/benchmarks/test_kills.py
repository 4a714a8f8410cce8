"""What lives on is counted, and results are compared without their dates."""

import subprocess
import sys
from random import Random

from benchmarks import kills
from benchmarks.kills import content_hash, kill_at, living


def test_processes_of_a_session_are_counted():
    command = [sys.executable, "-c", "print(1, flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout.readline() and living(process.pid) == 1
        process.kill()
    assert living(process.pid) == 0


def test_a_command_is_killed_or_ends_before(tmp_path, monkeypatch):
    def start(folder, command):
        return subprocess.Popen([sys.executable, "-c", *command], stderr=subprocess.PIPE, start_new_session=True)

    monkeypatch.setattr(kills, "start", start)
    assert kill_at(tmp_path, ("pass",), 60, Random(0))[0] == "ended before"
    what, session = kill_at(tmp_path, ("input()", "import time; time.sleep(60)")[1:], 0.1, Random(0))
    assert what in ("group", "first process") and living(session) == 0


def test_results_are_compared_without_their_dates(tmp_path):
    path = tmp_path / "losses.jsonl"
    path.write_text('{"loss": 1.5, "made": "2026-11-26T10:00:00+00:00"}\n')
    first = content_hash(tmp_path, ["*.jsonl"])
    path.write_text('{"loss": 1.5, "made": "2027-01-01T11:00:00+00:00"}\n')
    assert content_hash(tmp_path, ["*.jsonl"]) == first
    path.write_text('{"loss": 2.5, "made": "2027-01-01T11:00:00+00:00"}\n')
    assert content_hash(tmp_path, ["*.jsonl"]) != first
    path.write_text('{"a": 1, "made": "x"}\n{"b": 2, "seconds": 3}\n')
    first = content_hash(tmp_path, ["*.jsonl"])
    path.write_text('{"b": 2, "seconds": 4}\n{"a": 1, "made": "y"}\n')
    assert content_hash(tmp_path, ["*.jsonl"]) == first, "runs end in any order"


def test_each_command_that_is_killed_is_one_of_simtool():
    from simtool.cli import PANELS

    known = {command.__name__.replace("_", "-") for panel in PANELS.values() for command in panel}
    assert {killed.command[0] for killed in kills.COMMANDS.values()} <= known
    assert all(killed.patterns for killed in kills.COMMANDS.values())
