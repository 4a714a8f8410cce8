"""The GPU suite is rehearsed end to end on a CPU, on a machine that has only what training needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from benchmarks import gpu_suite

SUITE = Path(gpu_suite.__file__)
# what a machine with a GPU lacks: nothing of it may be needed once the folder is prepared
BLOCKED = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"polars", "pyarrow", "datasets", "zstandard", "orjson", "xxhash", "platformdirs",
                                  "seaborn", "matplotlib", "fastokens"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


def run(folder: Path, *command: str, blocked: Path | None = None) -> subprocess.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    if blocked:
        environment["PYTHONPATH"] = os.pathsep.join([str(blocked), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, str(SUITE), *command, "--folder", str(folder)], capture_output=True, text=True, env=environment
    )


@pytest.mark.slow
def test_all_five_commands_on_a_cpu(tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "sitecustomize.py").write_text(BLOCKED)
    folder = tmp_path / "suite"
    done = run(folder, "prepare", "--tiny")
    assert done.returncode == 0, done.stderr
    for text in folder.glob("*.jsonl"):
        text.unlink()  # the texts stay behind
    for command in ("one", "two", "three"):
        done = run(folder, command, blocked=bare)
        assert done.returncode == 0, done.stdout + done.stderr
    results = {path.stem: json.loads(path.read_text()) for path in (folder / "results").iterdir()}
    assert {*results} == {step.replace(":", "-") for steps in gpu_suite.TINY.values() for step in steps}
    assert all(result["ok"] and result["rows"] for result in results.values())
    by_name = {row["what"]: row for row in results["throughput-nano"]["rows"]}
    own = ("simtool's loop", "simtool's step", "simtool's step, residual stream in bf16")
    assert all(by_name[name]["tokens_per_second"] > 0 for name in own)
    page = run(folder, "report").stdout
    assert "A rehearsal on a CPU: no figure here is one of a GPU." in page
    assert page.count("\n## ") == len(results) and "Not measured" not in page


@pytest.fixture
def folder(tmp_path):
    gpu_suite.write_json(
        tmp_path / "plan.json", {"tiny": True, "steps_of": {"one": {"machine": 1, "attention": 1, "tests": 1}}}
    )
    return tmp_path


def test_a_step_that_takes_too_long_or_fails_stops_no_other(folder, monkeypatch):
    def subprocess_run(command, timeout, **options):
        step = command[-1]
        if step == "attention":
            partly = {"step": step, "ok": False, "rows": [{"kind": "plain"}]}
            gpu_suite.write_json(gpu_suite.result_path(folder, step), partly)
            raise subprocess.TimeoutExpired(command, timeout)
        if step == "machine":
            result = {"step": step, "ok": True, "rows": [dict.fromkeys(("card", "torch", "simtool", "commit"), "x")]}
            gpu_suite.write_json(gpu_suite.result_path(folder, step), result)
        return subprocess.CompletedProcess(command, 0 if step == "machine" else -9, "", "Killed")

    monkeypatch.setattr(gpu_suite.subprocess, "run", subprocess_run)
    assert not gpu_suite.run_steps(folder, "one")
    paths = [gpu_suite.result_path(folder, step) for step in ("machine", "attention", "tests")]
    errors = [gpu_suite.read_json(path).get("error") for path in paths]
    assert errors == [None, "it took longer than 1 s", "Killed"]
    page = gpu_suite.report(folder)
    assert "| kind |\n| --- |\n| plain |\n\nThe rest was not measured: it took longer than 1 s\n" in page
    assert "## tests\n\nNot measured: Killed\n" in page


def test_rows_are_written_as_they_come(folder, monkeypatch):
    from benchmarks import gpu_steps

    seen = []

    def failing(plan, folder, part):
        yield {"n": 1}
        yield {"n": 2}
        seen.append(gpu_suite.read_json(gpu_suite.result_path(folder, "machine")))
        raise ValueError("no more")

    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # set for good otherwise
    monkeypatch.setitem(gpu_steps.STEPS, "machine", failing)
    gpu_steps.main(folder, "machine")
    assert seen == [{"step": "machine", "ok": False, "rows": [{"n": 1}, {"n": 2}]}]
    result = gpu_suite.read_json(gpu_suite.result_path(folder, "machine"))
    assert not result["ok"] and result["rows"] == [{"n": 1}, {"n": 2}] and "ValueError: no more" in result["error"]


def test_the_report_says_what_was_not_measured(folder):
    gpu_suite.write_json(
        gpu_suite.result_path(folder, "attention"),
        {"step": "attention", "ok": False, "rows": [], "error": "Traceback\nRuntimeError: no kernel", "seconds": 1.0},
    )
    page = gpu_suite.report(folder)
    assert "## attention\n\nNot measured: RuntimeError: no kernel" in page
    assert "## tests\n\nNot measured.\n" in page


def test_tables_have_every_column():
    rows = [{"a": 1, "b": 0.123456}, {"a": 20_000, "c": None}]
    assert gpu_suite.table_of(rows) == ["| a | b | c |", "| --- | --- | --- |", "| 1 | 0.1235 |  |", "| 20,000 |  |  |"]


def test_a_command_takes_the_time_that_a_gpu_is_lent_for():
    for command, minutes in (("one", 8), ("two", 9), ("three", 9)):
        assert sum(gpu_suite.FULL[command].values()) <= 60 * minutes
    assert {step.split(":")[0] for steps in gpu_suite.FULL.values() for step in steps} == {
        step.split(":")[0] for steps in gpu_suite.TINY.values() for step in steps
    }


def test_no_folder_says_what_comes_first(tmp_path):
    with pytest.raises(SystemExit, match=r"First: python benchmarks/gpu_suite\.py prepare"):
        gpu_suite.report(tmp_path)
