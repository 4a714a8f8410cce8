"""Long commands killed at random moments, then repeated: python -m benchmarks.kills --kills 10

A command is run to its end once. Then, from the same beginning, it is killed (SIGKILL, with all its processes) at a
random moment so many times, and repeated to its end. Counted is what differs from the run that nobody killed, what half
written files are left, and which processes live on.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.faults import without_dates
from benchmarks.own_files import RUN, STUDY, WORDS, make_workspace

HALF_WRITTEN = (".tokenizing.*", ".saving.*", ".exporting.*")
YOUNG = ".*.????????.*"  # of `tables.atomic_write`, whose next writing removes those of an hour ago
SECONDS = 900  # in which a command ends on a busy machine


@dataclass(frozen=True)
class Killed:
    """A command that is killed. patterns: globs of its results, which are compared without dates."""

    command: tuple[str, ...]
    patterns: tuple[str, ...]


WEIGHTS = "checkpoints/*/model.safetensors"
# the study of defaults (`train-eval --pretrain`), cut small, its arms trained by two processes
SMALL_STUDY = (*STUDY[: STUDY.index("--workers")], "--workers", "2", "--device", "cpu", "--out", "killed-study")
COMMANDS = {
    "profile": Killed(("profile", "a.jsonl", "--feature", "token2"), ("cache/profiles/*.parquet",)),
    "profile, two workers": Killed(
        ("profile", "large.jsonl", "--feature", "token2", "--workers", "2"), ("cache/profiles/*.parquet",)
    ),
    "tokenize": Killed(("tokenize", "a.jsonl", "--stores", "killed-stores"), ("killed-stores/*/*/*.bin",)),
    "matrix --save": Killed(
        ("matrix", "a.jsonl", "b.jsonl", "--resamples", "20", "--save", "killed"), ("killed/*.csv",)
    ),
    "train": Killed((*RUN, "killed-run", "--save-seconds", "0.2"), (f"killed-run/{WEIGHTS}",)),
    "export": Killed(("export", "run", "exported"), ("exported/*",)),
    "train-eval": Killed(
        SMALL_STUDY,
        ("killed-study/records.jsonl", "killed-study/tables/study_[le]*.csv", f"killed-study/runs/*/{WEIGHTS}"),
    ),
}


LARGE_BYTES = 24 << 20  # of text: three pieces, so that two workers have something to do


def write_large_text(path: Path) -> None:
    rng = Random(0)
    with path.open("w") as file:
        while file.tell() < LARGE_BYTES:
            file.write(json.dumps({"text": " ".join(rng.choices(WORDS, k=rng.randint(100, 1000)))}) + "\n")


def content_hash(folder: Path, patterns: Iterable[str]) -> Mapping[str, str]:
    """{file: a hash of it}; of a profile, of its counts, as its file says when it was made; lines of JSON in any order,
    as they come when runs end."""
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern)) if not path.name.startswith(".")]
    return {str(path.relative_to(folder)): _hash(path) for path in paths}


def _hash(path: Path) -> str:
    if path.suffix == ".parquet":
        from simtool.profiles.profile import profile_facts

        facts = profile_facts(path)
        content = json.dumps([facts["features"], facts["n_documents"], facts["n_bytes"]]).encode()
    elif path.suffix in (".json", ".jsonl"):
        content = "\n".join(sorted(map(without_dates, path.read_text().split("\n")))).encode()
    else:
        content = path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def start(folder: Path, command: tuple[str, ...]) -> subprocess.Popen:
    """The command in a session of its own, so that all its processes can be killed."""
    environment = os.environ | {"SIMTOOL_CACHE": str(folder / "cache")}
    return subprocess.Popen(
        [sys.executable, "-m", "simtool.cli", *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def finish(folder: Path, command: tuple[str, ...]) -> tuple[int, float, str]:
    """Exit status, seconds and what it said of a command that nobody kills."""
    began = time.monotonic()
    process = start(folder, command)
    err = process.communicate(timeout=SECONDS)[1]
    return process.returncode, time.monotonic() - began, err


def kill_at(folder: Path, command: tuple[str, ...], seconds: float, rng: Random) -> tuple[str, int]:
    """Kill a command after so many seconds: all its processes, or the first alone; what was killed, and its session."""
    process = start(folder, command)
    try:
        process.wait(seconds)
        what = "ended before"
    except subprocess.TimeoutExpired:
        what = rng.choice(("group", "first process"))
        (os.killpg if what == "group" else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
    process.stderr.close()  # type: ignore[union-attr]
    return what, process.pid


def living(session: int) -> int:
    """Processes of a session that live on."""
    n = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of_session, *_ = path.read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError, ValueError):
            continue
        n += of_session == str(session) and state != "Z"
    return n


def trial(clean: Path, folder: Path, name: str, seconds: float, expected: Mapping[str, str], rng: Random) -> Counter:
    """One kill and one repetition, from a copy of the clean folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(clean, folder)
    command, patterns = COMMANDS[name].command, COMMANDS[name].patterns
    what, session = kill_at(folder, command, seconds, rng)
    counts = Counter({f"killed: {what}": 1})
    code, _, err = finish(folder, command)
    counts["living on"] += living(session)
    if code != 0:
        counts["repetition failed"] += 1
        print(f"{name} after a kill at {seconds:.1f} s: {err[-300:]}", file=sys.stderr)
    elif content_hash(folder, patterns) != expected:
        counts["other result"] += 1
        print(f"{name} after a kill at {seconds:.1f} s has another result", file=sys.stderr)
    counts["left for an hour"] += len(list(folder.rglob(YOUNG)))
    counts["left half written"] += sum(len(list(folder.rglob(glob))) for glob in HALF_WRITTEN)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=10, help="of each command")
    parser.add_argument("--only", action="append", choices=sorted(COMMANDS), help="this command")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="simtool-kills-") as top:
        clean, folder = Path(top, "clean"), Path(top, "work")
        make_workspace(clean, ["run"])
        shutil.rmtree(clean / "cache" / "profiles")
        write_large_text(clean / "large.jsonl")
        for name in options.only or COMMANDS:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(clean, folder)
            code, seconds, err = finish(folder, COMMANDS[name].command)
            assert code == 0, err
            expected = content_hash(folder, COMMANDS[name].patterns)
            assert expected, f"{name} has no results"
            total: Counter = Counter()
            for _ in range(options.kills):
                total += trial(clean, folder, name, rng.uniform(0.2, 1) * seconds, expected, rng)
            print(f"{name}: {options.kills} kills within {seconds:.0f} s: {dict(total)}", flush=True)


if __name__ == "__main__":
    main()
