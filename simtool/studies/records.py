"""A study's records: one row per measurement, appended to records.jsonl as runs end, each once."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from simtool.errors import SimtoolError
from simtool.integrity import HASH, check_json, parse_json, with_hash
from simtool.progress import NodeFinished
from simtool.studies.plan import Node, Plan, Study, text_tokens
from simtool.tables import atomic_write

RENAMED = {"counted": "loss_on", "asked": "document_limit"}  # columns of records that were written before 2026-11-26
COLUMNS = frozenset({
    "study", "size", "arm", "kind", "design", "mix", "weight", "start", "target", "seed", "phase", "step", "tokens",
    "learning_rate", "corpus", "split", "loss_on", "nats_per_token", "bits_per_byte", "n_documents", "n_tokens",
    "n_bytes", "store", "role", "document_limit", "seconds", "node", "device", "torch", "simtool", "commit", "made",
    "achieved", *RENAMED,
})  # fmt: skip  # of rows that were written before rows carried a hash


class Recorder:
    """Appends the rows of each node once, however often the study is taken up again, and reports how far it is."""

    def __init__(self, path: Path, plan: Plan, report: Callable[[Any], None]):
        self.path, self.plan, self.report = Path(path), plan, report
        self.recorded = set()
        if self.path.exists():
            rows = _keep_sound_lines(self.path, report)
            self.recorded = {identity_of(row) for row in rows}
        self.n_done = self.tokens = 0
        self.tokens_left = sum(node.tokens for node in plan.nodes.values())
        self.began = time.monotonic()

    def add(self, key: str, result: Mapping[str, Any]) -> None:
        """The result of a node: {"rows": its measurements, "tokens": trained for it now}."""
        node = self.plan.nodes[key]
        rows = rows_of(self.plan.study, node, result["rows"])
        self._append([row for row in rows if identity_of(row) not in self.recorded])
        self.n_done += 1
        self.tokens += result["tokens"]
        self.tokens_left -= node.tokens
        speed = self.tokens / (time.monotonic() - self.began)
        last = result["rows"][-1]
        left = self.tokens_left / speed if speed else None
        self.report(
            NodeFinished(node.label, self.n_done, len(self.plan.nodes), last["nats_per_token"], last["corpus"], left)
        )

    def _append(self, rows: list[dict[str, Any]]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(with_hash(row)) + "\n" for row in rows))
            file.flush()
            os.fsync(file.fileno())


def rows_of(study: Study, node: Node, measured: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a node by its measurements: one for each, arm whose end it is and seed."""
    # where seeds differ in SFT only, what comes before it is each seed's
    seeds = study.seeds if study.seeds_from == "sft" and not node.target else (node.seed,)
    return [
        {**_columns(study, node, arm), **row, "seed": seed, "node": node.key}
        for arm, seed in product(node.ends or ("",), seeds)
        for row in measured
    ]


def read_records(path: Path) -> list[dict[str, Any]]:
    """The rows of records.jsonl; a last line without an end is left out: a kill cut it, or it is being written.

    Raises
    ------
    SimtoolError
        Where a line is damaged.
    """
    rows = []
    for n, line in enumerate(_whole_lines(path), 1):
        row = _read_line(line)
        if isinstance(row, ValueError):
            raise SimtoolError(
                f"Line {n} of {path} is damaged: {row}.\n"
                "Repeat the command that made it: the line is written anew from its run, which is not trained again."
            )
        rows.append(row)
    return rows


def n_without_hash(path: Path) -> int:
    """How many rows were written before rows carried a hash, so that a changed number in them goes unnoticed."""
    return sum(f'"{HASH}": "'.encode() not in line for line in _whole_lines(path))


def _whole_lines(path: Path) -> list[bytes]:
    whole, _, _ = Path(path).read_bytes().rpartition(b"\n")
    return whole.split(b"\n") if whole else []


def _read_line(line: bytes) -> dict[str, Any] | ValueError:
    """A row, or what is wrong with its line."""
    try:
        row = parse_json(line)
        check_json(row, COLUMNS)
    except ValueError as error:
        return error
    return current_names({name: value for name, value in row.items() if name != HASH})


def current_names(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the names that columns have today."""
    return {RENAMED.get(name, name): value for name, value in row.items()}


def _keep_sound_lines(path: Path, report: Callable[[Any], None]) -> list[dict[str, Any]]:
    """The rows of records that are to be added to. What is cut, damaged or there twice is taken out of the file: the
    runs hold their rows too, and are recorded anew."""
    lines = _whole_lines(path)
    rows = {line: row for line in lines if not isinstance(row := _read_line(line), ValueError)}
    sound = b"".join(line + b"\n" for line in rows)
    if sound != path.read_bytes():
        with atomic_write(path) as temporary:
            temporary.write_bytes(sound)
    if n_lost := len(lines) - len(rows):
        report(f"{n_lost} lines of {path} were damaged or there twice; what they said is taken from the runs again.")
    if n := n_without_hash(path):
        report(f"{n} rows of {path} are of an earlier simtool and carry no hash: a change in them goes unnoticed.")
    return list(rows.values())


def identity_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Which measurement a row is of: no two rows of records share it."""
    return tuple(row[name] for name in ("node", "arm", "seed", "corpus", "split", "loss_on", "document_limit"))


def _columns(study: Study, node: Node, name: str) -> dict[str, Any]:
    """What a row says of the run that it measures."""
    arm = study.arm(name) if name else None
    last = node.recipe.phases[-1]
    return {
        "study": study.name,
        "size": node.model,
        "arm": name,
        "kind": arm.kind if arm else "trunk",
        "design": arm.design if arm else None,
        "mix": (arm.special or "+".join(study.pretrain.weights)) if arm else None,
        "weight": arm.weight if arm else None,
        "start": arm.start if arm else None,
        "target": node.target or None,
        "seed": node.seed,
        "phase": node.phase,
        "step": None if last.is_sft else node.recipe.n_steps(last),
        "tokens": text_tokens(node.recipe),
        "learning_rate": last.learning_rate,
    }
