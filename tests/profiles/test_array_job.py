"""Tasks of an array job add up to the whole, whichever of them are killed."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError
from simtool.profiles.array_job import merge_parts
from simtool.profiles.count import count_corpus, manifest_of, parts_of
from simtool.profiles.parts import PartsFolder
from simtool.profiles.resolve import Options, find_profile
from simtool.profiles.worker import count_part
from simtool.tokens.tokenizer import load_tokenizer
from tests.conftest import sentences, write_jsonl
from tests.profiles.test_count import same_counts

FEW = ["token", "token2"]
DEFAULT = load_tokenizer("default")

ARRAY_TASK = """
import sys, time
from simtool.corpora import pieces
from simtool.profiles import count, worker
from simtool.profiles.tally import CorpusTally
pieces.SMALLEST, count.BATCH_BYTES, worker.SAVE_SECONDS = 60_000, 20_000, 0.05
add = CorpusTally.add
CorpusTally.add = lambda *given, **named: time.sleep(0.04) or add(*given, **named)
from simtool.cli import main
main()
"""


def array_task(path: Path, cache: Path, index: int, of: int) -> subprocess.Popen:
    """What a Slurm array runs: one process a task."""
    options = ["--feature", "token", "--feature", "token2", "--part", f"{index}/{of}", "--parts", str(cache / "parts")]
    return subprocess.Popen(
        [sys.executable, "-c", ARRAY_TASK, "profile", str(path), *options],
        env={**os.environ, "SIMTOOL_CACHE": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_an_array_job_of_which_tasks_are_killed_ends_with_the_same_counts_under_another_number(tmp_path):
    path, cache = write_jsonl(tmp_path / "text.jsonl", sentences(4_000)), tmp_path / "cache"
    tasks = [array_task(path, cache, index, 3) for index in range(3)]
    deadline = time.monotonic() + 240
    for index in (0, 2):  # killed once something of theirs is kept
        while not list(cache.glob(f"parts/*/{index}-of-3.parquet")):
            assert tasks[index].poll() is None and time.monotonic() < deadline, tasks[index].communicate()
            time.sleep(0.01)
        tasks[index].send_signal(signal.SIGKILL)
    assert [task.wait(timeout=240) for task in tasks] == [-signal.SIGKILL, 0, -signal.SIGKILL]
    for task in tasks:
        task.communicate()
    folder = PartsFolder(str(next(cache.glob("parts/*"))))
    kept = sum(folder.load(name, FEW).size["tokens"] for name in folder.names())
    with pytest.raises(SimtoolError, match="are not counted yet"):
        merge_parts(str(cache / "parts"), Options(cache=cache))

    again = [array_task(path, cache, index, 2) for index in range(2)]
    errors = [task.communicate(timeout=240)[1] for task in again]
    assert [task.returncode for task in again] == [0, 0], errors
    (merged,) = merge_parts(str(cache / "parts"), Options(cache=cache))
    whole = count_corpus(file_corpus(str(path)), DEFAULT, FEW)
    assert same_counts(merged.profile, whole)
    new = sum(folder.load(f"{index}-of-2.parquet", FEW).size["tokens"] for index in range(2))
    assert 0 < new == whole.size["tokens"] - kept  # nothing that was kept is counted again
    assert not [path for path in cache.rglob(".*")]  # nor is anything left lying about
    assert find_profile(str(path), FEW, Options(cache=cache)).how == "cached"


def test_many_parts_are_added_up_by_many_workers(tmp_path):
    cache = tmp_path / "cache"
    (tmp_path / "more").mkdir()
    for n in range(17):
        write_jsonl(tmp_path / "more" / f"{n}.jsonl", sentences(20, seed=n))
    corpus = file_corpus(str(tmp_path / "more"))
    folder = PartsFolder(str(tmp_path / "parts" / "more"))
    pieces = [replace(piece, name=f"files {n}") for n, piece in enumerate(corpus.source.pieces(1))]
    manifest, _ = manifest_of(corpus, DEFAULT, tuple(FEW), False, "whole.parquet", pieces)
    folder.save_manifest(manifest)
    for part in parts_of(corpus, manifest, pieces, 17, None, folder):
        count_part(replace(part, returned=False), lambda message: None)
    assert len(folder.names()) == 17
    (merged,) = merge_parts(str(tmp_path / "parts"), Options(cache=cache, workers=4))
    assert same_counts(merged.profile, count_corpus(corpus, DEFAULT, FEW))


@pytest.mark.parametrize("killed", range(3))
@pytest.mark.slow
def test_the_array_job_of_the_guide_is_the_whole_after_any_of_its_tasks_was_killed(tmp_path, killed):
    """The script of docs/scale.md, as Slurm runs it: a process with its number, that runs again when it was killed."""
    for n in range(2):
        write_jsonl(tmp_path / f"{n}.jsonl", sentences(1_500, seed=n))
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", Path("docs/scale.md").read_text(), re.DOTALL)
    cache, pattern = tmp_path / "cache", str(tmp_path / "*.jsonl")
    for shown, here in {
        "/data/corpus/*.jsonl.zst": pattern,
        "/shared/parts": str(cache / "parts"),
        "/64": "/3",
    }.items():
        assert shown in script
        script = script.replace(shown, here)
    command = tmp_path / "bin" / "simtool"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\n{ARRAY_TASK.replace('0.05', '1')}")
    command.chmod(0o755)
    (tmp_path / "count.sh").write_text(
        script.replace("--parts", " ".join(f"--feature {name}" for name in FEW) + " --parts")
    )

    def submit(index: int) -> subprocess.Popen:
        own = {"SIMTOOL_CACHE": str(cache), "SLURM_ARRAY_TASK_ID": str(index)}
        path = {"PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen(
            ["bash", tmp_path / "count.sh"], env=os.environ | own | path, start_new_session=True, stderr=subprocess.PIPE
        )

    tasks = [submit(index) for index in range(3)]
    wait_for(lambda: list(cache.glob(f"parts/*/{killed}-of-3.parquet")) or tasks[killed].poll() is not None)
    os.killpg(tasks[killed].pid, signal.SIGKILL)
    tasks[killed].communicate()
    tasks[killed] = submit(killed)
    errors = [task.communicate(timeout=240)[1] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0, 0], errors
    (merged,) = merge_parts(str(cache / "parts"), Options(cache=cache))
    assert same_counts(merged.profile, count_corpus(file_corpus(pattern), DEFAULT, FEW))


def wait_for(look, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)
