"""Faults put into our own files, and hostile command lines, counted: python -m benchmarks.faults --lines 500

Each fault changes one file of a workspace (`own_files`), and the command that reads it is run. What may come of it:

traceback   an exception that is no message, or a command that does not end
message     one message and exit code 2
restored    the result is that of the undamaged file: the damage is harmless, or what was lost is made again
said        another result, and a message on the way
unnoticed   another result and no word: a wrong number

With --lines, command lines that nobody means (`command_lines`) are run too: each must end with 0, 2, or 130.
Commands run in this process, one after another, from a seed: the same seed gives the same faults.
"""

import argparse
import json
import resource
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.command_lines import LINES, TRAINING_LINES, hostile_line, prepare
from benchmarks.injection import DATED, Answer, Restored, run_here, with_fault
from benchmarks.own_files import KINDS, MAKERS, Kind, content_of, make_workspace

OUTCOMES = ("traceback", "message", "restored", "said", "unnoticed")
VARIES = ("seconds", "made", "hash")  # in files that a repeated command writes anew


def without_dates(text: str) -> str:
    """A result without what differs from run to run by itself."""
    for name in VARIES:
        text = "\n".join(part for part in text.replace(', "', ',\n"').split("\n") if not part.startswith(f'"{name}"'))
    return DATED.sub("", text)


def result_of(answer: Answer, folder: Path, kind: Kind) -> str:
    return answer.result + content_of(folder, kind.results, without_dates)


def outcome_of(answer: Answer, result: str, expected: str, quiet: str) -> str:
    """Which of OUTCOMES came of a fault. quiet: what the command says where nothing is damaged."""
    if answer.code is None or answer.code not in (0, 2):
        return "traceback"
    if answer.code == 2:
        return "message"
    if result == expected:
        return "restored"
    return "said" if DATED.sub("", answer.err) != DATED.sub("", quiet) else "unnoticed"


def faults_in(name: str, folder: Path, n: int, seed: int, show: Callable[[str], None]) -> Iterator[tuple[str, Answer]]:
    """The outcome of each fault in the files of a kind, with what the command said."""
    kind, state = KINDS[name], Restored(folder)
    undamaged = run_here(kind.command)
    expected = result_of(undamaged, folder, kind)
    rng = Random(f"{seed} {name}")
    for _ in range(n):
        state.restore()
        path = rng.choice([path for path in sorted(folder.glob(kind.pattern)) if path.is_file()])
        fault = with_fault(path, rng)
        answer = run_here(kind.command)
        outcome = outcome_of(answer, result_of(answer, folder, kind), expected, undamaged.err)
        if outcome in ("traceback", "unnoticed"):
            show(f"{outcome}: {name}: {path.relative_to(folder)} {fault}: {answer.place}")
        yield outcome, answer
    state.restore()


def usable_kinds(names: Sequence[str]) -> list[str]:
    """Those named (all by default) whose packages are installed."""
    return [name for name in names or KINDS if not KINDS[name].maker or find_spec("torch")]


def inject(folder: Path, names: Sequence[str], n: int, seed: int, show: Callable[[str], None]) -> dict[str, Counter]:
    """{kind: how often each outcome came} of n faults in all."""
    kinds = usable_kinds(names)
    make_workspace(folder, filter(None, (KINDS[name].maker for name in kinds)))
    counts: dict[str, Counter] = defaultdict(Counter)
    for name in kinds:
        for outcome, _ in faults_in(name, folder, -(-n // len(kinds)), seed, show):
            counts[name][outcome] += 1
    return counts


def run_lines(folder: Path, n: int, seed: int, with_training: bool, show: Callable[[str], None]) -> Counter:
    """How often each outcome came of n hostile command lines, in a workspace that is taken back after each."""
    words, state, rng = prepare(folder), Restored(folder), Random(f"{seed} lines")
    lines = LINES + TRAINING_LINES if with_training else LINES
    counts: Counter = Counter()
    for _ in range(n):
        line = hostile_line(rng, lines, words)
        answer = run_here(line)
        outcome = {0: "done", 2: "message", 130: "message"}.get(-1 if answer.code is None else answer.code, "traceback")
        if outcome == "traceback":
            show(f"traceback: {line}: {answer.place or answer.err[-200:]}")
        counts[outcome] += 1
        state.restore()
    return counts


def table_of(counts: dict[str, Counter]) -> str:
    """The counts as a table in Markdown."""
    rows = [["kind", "faults", *OUTCOMES]]
    rows += [[name, sum(row.values()), *(row[outcome] for outcome in OUTCOMES)] for name, row in counts.items()]
    total = sum(counts.values(), Counter())
    rows.append(["all", sum(total.values()), *(total[outcome] for outcome in OUTCOMES)])
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|---|" + "---:|" * (len(rows[0]) - 1), *lines[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--faults", type=int, default=2000, help="in our own files, over all kinds")
    parser.add_argument("--kind", action="append", default=[], choices=sorted(KINDS), help="only these")
    parser.add_argument("--lines", type=int, default=0, help="hostile command lines")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="counts as JSON")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    show = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    with_training = find_spec("torch") is not None
    if options.faults:
        with tempfile.TemporaryDirectory(prefix="simtool-faults-") as folder:
            results["own files"] = inject(Path(folder), options.kind, options.faults, options.seed, show)
        print(table_of(results["own files"]), flush=True)
    if options.lines:
        with tempfile.TemporaryDirectory(prefix="simtool-faults-") as folder:  # another: parts of counts differ
            make_workspace(Path(folder), MAKERS if with_training else ())
            results["lines"] = run_lines(Path(folder), options.lines, options.seed, with_training, show)
        print(f"\n{options.lines} command lines: {dict(results['lines'])}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"\nPeak memory of this process: {peak} MB")
    if options.save:
        options.save.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
