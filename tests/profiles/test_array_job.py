"""Tasks of an array job add up to the whole, whichever of them are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError
from simtool.profiles.array_job import merge_parts
from simtool.profiles.count import count_corpus
from simtool.profiles.parts import PartsFolder
from simtool.profiles.resolve import Options, find_profile
from simtool.tokens.tokenizer import load_tokenizer
from tests.conftest import sentences, write_jsonl
from tests.profiles.test_count import same_counts

FEW = ["token", "token2"]
DEFAULT = load_tokenizer("default")

ARRAY_TASK = """
import sys, time
from simtool.corpora import pieces
from simtool.profiles import count
from simtool.profiles.tally import CorpusTally
pieces.SMALLEST, count.BATCH_BYTES, count.SAVE_SECONDS = 60_000, 20_000, 0.05
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
