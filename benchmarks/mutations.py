"""Whether tests notice deliberate mistakes: python -m benchmarks.mutations --save results.json

`mutations.toml` lists the mistakes. Each is put by itself into a copy of the tree, in a temporary folder, and its
tests are run there:

caught     a test fails, or does not end
survived   all tests pass: nothing would notice the mistake
not run    the tests fail without the mistake, or are skipped: they say nothing here

With --save, what is done is not done again; --again repeats those that were not caught.
"""

import argparse
import hashlib
import importlib.util
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".toml")
OUTCOMES = ("caught", "survived", "not run")
SECONDS = 900  # of the tests of a mistake
LEFT_OUT = shutil.ignore_patterns(".git", "__pycache__", ".*cache", "*.egg-info")
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+::.*?)(?: - .*)?$", re.MULTILINE)
Results = dict[str, str]  # outcomes by `Mutation.key`


@dataclass(frozen=True)
class Mutation:
    """A mistake: `old` stands once in `file`, and becomes `new`.

    tests   modules, of which one must fail
    wrong   what would go wrong
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    wrong: str

    @property
    def key(self) -> str:
        """Changes with the mistake and where it is looked for."""
        return hashlib.sha256(repr((self.file, self.old, self.new, self.tests)).encode()).hexdigest()[:12]

    def applied(self, source: str) -> str:
        """The source with the mistake.

        Raises
        ------
        ValueError
            Where the text that it changes does not stand there once.
        """
        if (n := source.count(self.old)) != 1:
            raise ValueError(f"{self.name}: its text stands {n} times in {self.file}. Bring {LIST.name} up to date.")
        return source.replace(self.old, self.new)


def load_mutations(path: Path = LIST) -> list[Mutation]:
    """The mistakes of a list, in its order."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return [
        Mutation(name, **{**table, "tests": tuple(table.get("tests", [mirror_of(table["file"])]))})
        for name, table in tables.items()
    ]


def mirror_of(file: str) -> str:
    """The module of tests of a module: tests/mixing/test_solver.py of simtool/mixing/solver.py."""
    path = Path(file)
    return Path("tests", *path.parts[1:-1], f"test_{path.name}").as_posix()


# ---- the copy ----------------------------------------------------------------------------------------------


@contextmanager
def with_mistake(copy: Path, mutation: Mutation):
    """The copy of the tree with a mistake in it."""
    path = copy / mutation.file
    before = path.read_text(encoding="utf-8")
    try:
        _write(path, mutation.applied(before))
        yield
    finally:
        _write(path, before)


def _write(path: Path, source: str) -> None:
    path.write_text(source, encoding="utf-8")
    # Python goes by size and second: a mistake of the same length would be taken for the file as it was
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def run_tests(copy: Path, tests: Iterable[str], seconds: int = SECONDS) -> tuple[str, list[str]]:
    """ "passed", "failed" or "nothing" of tests in a copy of the tree, and the test that failed; those that do not end
    have failed together."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "COLUMNS": "500"}
    with tempfile.TemporaryFile("w+") as out:  # not a pipe: what a mistake leaves running would keep it open
        process = subprocess.Popen(
            command, cwd=copy, env=environment, stdout=out, stderr=out, start_new_session=True, preexec_fn=_heed_ctrl_c
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return "failed", list(tests)
        finally:
            _end_session(process)
        out.seek(0)
        text = out.read()
    if code == 1:
        return "failed", FAILED.findall(text) or list(tests)
    # 2: a module cannot be read; 5: there is no test
    return "passed" if code == 0 and " passed" in text else "nothing", []


def _heed_ctrl_c() -> None:
    """A shell's background jobs ignore it, and so would what tests press it in."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end_session(process: subprocess.Popen) -> None:
    """End what a mistake has left running."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def outcome_of(copy: Path, mutation: Mutation) -> str:
    """Which of OUTCOMES comes of a mistake."""
    with with_mistake(copy, mutation):
        result, failed = run_tests(copy, mutation.tests)
    if result == "passed":
        return "survived"
    if result == "nothing":
        return "not run"
    without, _ = run_tests(copy, failed)  # what fails with the mistake must pass without it
    if without == "nothing":  # a test whose name pytest cuts
        without, _ = run_tests(copy, mutation.tests)
    return "caught" if without == "passed" else "not run"


# ---- all of them -------------------------------------------------------------------------------------------


def run_all(
    mutations: Iterable[Mutation],
    results: Results,
    save: Callable[[Results], None] = lambda results: None,
    root: Path = ROOT,
) -> dict[str, str]:
    """{name: outcome} of mistakes, one after the other in one copy; `results` holds what is known, and is added to."""
    outcomes = {}
    with tempfile.TemporaryDirectory(prefix="simtool-mutations-") as top:
        copy = Path(top, "tree")
        shutil.copytree(root, copy, ignore=LEFT_OUT)
        for mutation in mutations:
            if mutation.key not in results:
                results[mutation.key] = outcome_of(copy, mutation)
                save(results)
            outcomes[mutation.name] = results[mutation.key]
            print(f"{outcomes[mutation.name]:9} {mutation.name} ({mutation.file}): {mutation.wrong}", flush=True)
    return outcomes


def wilson(n_caught: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Ends of the 95% interval of a share (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    share = n_caught / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(center - reach, 0.0), min(center + reach, 1.0)


def summary(outcomes: Mapping[str, str]) -> str:
    """How many of those that were run are caught, with the interval, and the names of the others."""
    counts = Counter(outcomes.values())
    n = counts["caught"] + counts["survived"]
    lines = [f"{name}: {', '.join(which)}" for name in OUTCOMES[1:] if (which := _with(outcomes, name))]
    if n:
        low, high = wilson(counts["caught"], n)
        lines.append(f"{counts['caught']} of {n} caught: {counts['caught'] / n:.1%} (95%: {low:.1%} to {high:.1%})")
    return "\n".join(lines)


def _with(outcomes: Mapping[str, str], outcome: str) -> list[str]:
    return [name for name, value in outcomes.items() if value == outcome]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", metavar="NAME", help="this mistake, or a part of some names")
    parser.add_argument("--save", type=Path, help="file of results: what is in it is not run again")
    parser.add_argument("--again", action="store_true", help="repeat those that were not caught")
    options = parser.parse_args()
    mutations = [m for m in load_mutations() if not options.only or any(part in m.name for part in options.only)]
    results: Results = json.loads(options.save.read_text()) if options.save and options.save.exists() else {}
    if options.again:
        results = {key: value for key, value in results.items() if value == "caught"}

    def save(results: Results) -> None:
        if options.save:
            options.save.write_text(json.dumps(results, indent=1) + "\n")

    print(summary(run_all(mutations, results, save)))


if __name__ == "__main__":
    main()
