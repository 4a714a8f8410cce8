"""The GPU suite is rehearsed end to end on a CPU, on a machine that has only what training needs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from benchmarks import gpu_suite

SUITE = Path(gpu_suite.__file__)
# what a machine with a GPU lacks: nothing of it may be needed once the folder is prepared; absent also for those who
# only look whether it is there, as transformers does
BLOCKED = """
import importlib.util, sys
absent = {"polars", "pyarrow", "datasets", "zstandard", "orjson", "xxhash", "platformdirs", "seaborn", "matplotlib",
          "fastokens"}
find_spec = importlib.util.find_spec
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
importlib.util.find_spec = lambda name, package=None: None if name in absent else find_spec(name, package)
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
    running = {"simtool's loop", "simtool's step", "simtool's step, residual stream in bf16", "transformers' module"}
    assert all(by_name[name]["tokens_per_second"] > 0 for name in running)
    assert {row["outcome"] for row in results["tests"]["rows"]} == {"skipped"}  # each by its name
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
    def error_of(command, environment, limit):
        step = command[-1]
        if step == "attention":
            partly = {"step": step, "ok": False, "rows": [{"kind": "plain"}]}
            gpu_suite.write_json(gpu_suite.result_path(folder, step), partly)
            return f"it took longer than {limit} s"
        if step == "machine":
            result = {"step": step, "ok": True, "rows": [dict.fromkeys(("card", "torch", "simtool", "commit"), "x")]}
            gpu_suite.write_json(gpu_suite.result_path(folder, step), result)
        return "Killed"

    monkeypatch.setattr(gpu_suite, "error_of", error_of)
    assert not gpu_suite.run_steps(folder, "one")
    paths = [gpu_suite.result_path(folder, step) for step in ("machine", "attention", "tests")]
    errors = [gpu_suite.read_json(path).get("error") for path in paths]
    assert errors == [None, "it took longer than 1 s", "Killed"]
    page = gpu_suite.report(folder)
    assert "| kind |\n| --- |\n| plain |\n\nThe rest was not measured: it took longer than 1 s\n" in page
    assert "## tests\n\nNot measured: Killed\n" in page


def test_tests_are_rows_and_those_that_fail_are_named(monkeypatch):
    from benchmarks import gpu_steps

    lines = [
        "tests/training/test_on_gpu.py::test_a[True] PASSED   [ 33%]",
        "tests/training/test_on_gpu.py::test_b FAILED         [ 66%]",
        "tests/training/test_on_gpu.py::test_c SKIPPED (no CUDA device here) [100%]",
        "FAILED tests/training/test_on_gpu.py::test_b - RuntimeError: no kernel",
    ]

    def output_of(*lines, code):
        script = f"import sys; print({chr(10).join(lines)!r}); sys.exit({code})"
        monkeypatch.setattr(gpu_steps, "GPU_TESTS", [sys.executable, "-c", script])
        return gpu_steps.tests({}, Path(), "")

    rows = output_of(*lines, code=1)
    outcomes = [next(rows)["outcome"] for _ in range(3)]
    assert outcomes == ["passed", "failed", "skipped"]
    with pytest.raises(RuntimeError, match=r"^FAILED .*test_b - RuntimeError: no kernel$"):
        next(rows)
    assert list(output_of(lines[0], code=0)) == [{"test": "test_a[True]", "outcome": "passed"}]
    with pytest.raises(RuntimeError, match="no such file"):
        list(output_of("no such file", code=4))


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


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path):
    beats = tmp_path / "beats"
    beating = f"import time; f = open({str(beats)!r}, 'a')\nwhile True: f.write('.'); f.flush(); time.sleep(0.05)"
    starting = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {beating!r}])"
    assert gpu_suite.error_of([sys.executable, "-c", starting], os.environ, 3) == "it took longer than 3 s"
    time.sleep(0.5)
    size = beats.stat().st_size
    time.sleep(0.5)
    assert beats.stat().st_size == size > 0
    assert "ZeroDivisionError" in gpu_suite.error_of([sys.executable, "-c", "1 / 0"], os.environ, 60)
    assert gpu_suite.error_of([sys.executable, "-c", "raise SystemExit(3)"], os.environ, 60) == "it ended with 3"


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
