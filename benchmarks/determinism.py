"""The same tables, byte by byte, however they are computed: python -m benchmarks.determinism --python PATH

Each way counts the same texts and then makes the tables of COMMANDS, in fresh processes: with one thread or with eight
(ours, BLAS's and those of polars), by one process or four, in parts that are merged, on a Ray cluster of this machine,
and by other interpreters that have simtool installed. Compared is every file, but for the fields of VARIES.

To add a way, name it in `ways`; to add a table, name its command in COMMANDS.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from benchmarks.own_files import write_texts

SECONDS = 900  # that a way may take on a busy machine
VARIES = re.compile(rb'\n *"(made|hash)": "[^"]*",?')  # when it was computed, and a hash of the file, in which that is
LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS")
Command = tuple[str, ...]

TEXTS = ("a.jsonl", "b.jsonl", "c.jsonl")
FEATURES = ("token", "token2", "skeleton3", "char4")
COUNT: Command = ("profile", *TEXTS, *(word for name in FEATURES for word in ("--feature", name)))
MIDS, TARGETS = ("--mid", "b.jsonl:0.3", "--mid", "c.jsonl:0.5"), ("--target", "c.jsonl", "--target", "b.jsonl")
COMMANDS: dict[str, Command] = {
    "matrix": ("matrix", *TEXTS, "--resamples", "40"),
    "matrix-js": ("matrix", *TEXTS, "--resamples", "40", "--metric", "js", "--feature", "token2"),
    "advantage": ("advantage", "--pretrain", "a.jsonl", *MIDS, *TARGETS, "--resamples", "200"),
    "advantage-kl": ("advantage", "--pretrain", "a.jsonl", *MIDS, *TARGETS, "--resamples", "200", "--metric", "kl"),
    "mix": ("mix", "--pretrain", "a.jsonl", "b.jsonl", "--target", "c.jsonl", "--resamples", "20"),
}
SHIPPED: dict[str, Command] = {  # of the profiles that ship
    "matrix-shipped": ("matrix", "c4", "pycode", "gsm8k"),
    "matrix-hellinger": ("matrix", "c4", "pycode", "gsm8k", "flan", "--metric", "hellinger", "--feature", "char4"),
    "advantage-shipped": ("advantage", "--paper"),
    "mix-shipped": ("mix", "starcoder", "math", "flan", "--target", "pycode", "--min-share", "c4=0.5"),
}  # fmt: skip

# one process runs all commands of a way: starting each costs more than most of them. Pieces are small, and corpora of
# their size worth workers of their own, so that there is something to divide
RUN = """
import json, os, sys
threads, commands = int(sys.argv[1]), json.loads(sys.argv[2])
os.cpu_count = lambda: threads
from simtool import cli
from simtool.corpora import pieces
from simtool.profiles import many, resolve
pieces.SMALLEST = many.WORTH_WORKERS = resolve.WORTH_WORKERS = 50_000
for command in commands:
    sys.argv = ["simtool", *command]
    try:
        cli.main()
    except SystemExit as ended:
        if ended.code:
            raise
"""


@dataclass(frozen=True)
class Way:
    """How texts are counted and tables computed.

    counting   commands of a process each, which leave profiles in the cache
    """

    name: str
    counting: Sequence[Command]
    threads: int = 1
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)


def ways(pythons: Sequence[str] = (), with_ray: bool = True) -> list[Way]:
    """All ways; the others are compared with the first."""
    by_itself = [(*COUNT, "--workers", "1")]
    features = COUNT[1 + len(TEXTS) :]
    in_parts = [("profile", *TEXTS, *features, "--part", f"{i}/3", "--parts", "parts") for i in range(3)]
    compared = [
        Way("one process, one thread", by_itself),
        Way("eight threads", by_itself, 8),
        Way("four processes", [(*COUNT, "--workers", "4")], 4),
        Way("three parts, merged", [*in_parts, ("profile", "--merge", "parts")]),
    ]
    if with_ray and find_spec("ray"):
        compared.append(Way("Ray", [(*COUNT, "--engine", "ray")], 2, environment={"RAY_ADDRESS": "local"}))
    return compared + [Way(f"one process, {python}", by_itself, python=python) for python in pythons]


def run(way: Way, commands: Sequence[Command], folder: Path) -> None:
    """Run commands of simtool in one fresh process, in this folder.

    Raises
    ------
    RuntimeError
        Where one fails; with what it says.
    """
    environment = os.environ | dict.fromkeys(LIBRARIES, str(way.threads)) | way.environment
    environment |= {"SIMTOOL_CACHE": str(folder / f"cache {way.name}"), "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [way.python, "-c", RUN, str(way.threads), json.dumps(commands)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{way.name}: {done.stderr[-2000:]}")


def tables_of(way: Way, commands: Mapping[str, Command], folder: Path) -> dict[str, bytes]:
    """{file: its bytes without VARIES} of all tables, made in this way."""
    for command in way.counting:
        run(way, [command], folder)
    shutil.rmtree(folder / "parts", ignore_errors=True)
    out = folder / "tables"
    run(way, [(*command, "--save", f"tables/{name}") for name, command in commands.items()], folder)
    tables = {
        str(path.relative_to(out)): VARIES.sub(b"", path.read_bytes())
        for path in sorted(out.rglob("*"))
        if path.suffix in (".csv", ".json")
    }
    shutil.rmtree(out)
    return tables


def differing(tables: Mapping[str, bytes], expected: Mapping[str, bytes]) -> list[str]:
    """The files that are not the same, or in one of both only."""
    names = sorted({*tables, *expected})
    return [name for name in names if tables.get(name) != expected.get(name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", action="append", default=[], help="another interpreter that has simtool")
    parser.add_argument("--documents", type=int, default=2000, help="of each text")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simtool-determinism-") as top:
        folder = Path(top)
        write_texts(folder, options.documents)
        expected: dict[str, bytes] = {}
        print("| way | files | differ |\n|---|---:|---|")
        for way in ways(options.python):
            tables = tables_of(way, COMMANDS | SHIPPED, folder)
            expected = expected or tables
            print(f"| {way.name} | {len(tables)} | {', '.join(differing(tables, expected)) or 'none'} |", flush=True)


if __name__ == "__main__":
    main()
