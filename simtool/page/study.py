"""The tables of a study, read from its folder; each may be missing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simtool.errors import SimtoolError
from simtool.tables import load_table

TABLES = ("study_losses", "study_effects", "study_agreement", "study_timing")
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class StudyTables:
    """Rows of each table by its name, without those that are missing; and what the study says in words."""

    name: str
    tables: Mapping[str, Rows]
    facts: Mapping[str, Mapping[str, Any]]
    sentences: tuple[str, ...] = field(default=())

    def rows(self, name: str) -> Rows:
        return self.tables.get(name, [])


def load_study(folder: Path) -> StudyTables:
    """What `simtool train-eval --out FOLDER` wrote.

    Raises
    ------
    SimtoolError
        Where there is no table at all.
    """
    inside = Path(folder) / "tables"
    read = {name: load_table(inside / f"{name}.csv") for name in TABLES if (inside / f"{name}.csv").exists()}
    if not read:
        raise SimtoolError(
            f"No study in {folder}: {inside} holds none of {', '.join(f'{name}.csv' for name in TABLES)}.\n"
            "Name the folder that simtool train-eval --out wrote to."
        )
    conclusions = inside / "conclusions.json"
    return StudyTables(
        _name(Path(folder)),
        {name: table.to_dicts() for name, (table, _) in read.items()},
        {name: facts for name, (_, facts) in read.items()},
        _sentences(conclusions) if conclusions.exists() else (),
    )


def _name(folder: Path) -> str:
    plan = folder / "study.json"
    content = _json(plan) if plan.exists() else {}
    return str(content.get("name") or folder.resolve().name)


def _sentences(path: Path) -> tuple[str, ...]:
    content = _json(path)
    sentences = content.get("sentences") if isinstance(content, dict) else None
    if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
        raise SimtoolError(
            f"{path} holds no list of sentences. Run the study's command again: it writes the file anew."
        )
    return tuple(sentences)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SimtoolError(f"Cannot read {path}: {error}. Run the study's command again.") from error
