"""What a checkpoint is of: its position.json, written last and under a hash, with the hashes of the files beside it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simtool.errors import SimtoolError
from simtool.integrity import check_file, check_json, damage_as_message, read_json, with_hash

NAME = "position.json"
REMEDY = "Remove the checkpoint's folder to go on from the checkpoint before."
SAVED_AS = {"permanent": "kept"}  # names in position.json that are not the field's: files stay readable


@dataclass(frozen=True)
class Position:
    """What a checkpoint is of.

    fingerprint   of the recipe's beginning
    done          steps of each segment begun, the last perhaps unfinished
    tokens        read so far
    stores        {corpus: fingerprint} of what was read
    permanent     never removed to make room: the end of a phase, from which others may fork
    """

    fingerprint: str
    done: tuple[int, ...]
    tokens: int
    stores: Mapping[str, str]
    permanent: bool
    end_of_text: int | None = None


NAMES = frozenset({*(SAVED_AS.get(name, name) for name in Position.__dataclass_fields__), "recipe", "sha256"})


def write_position(folder: Path, position: Position, recipe: Mapping[str, Any], digests: Mapping[str, str]) -> None:
    """Write position.json. digests: {file: its SHA-256}."""
    saved = {SAVED_AS.get(name, name): value for name, value in asdict(position).items()}
    content = with_hash({**saved, "recipe": recipe, "sha256": digests})
    (Path(folder) / NAME).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_position(folder: Path) -> tuple[Position, dict[str, Any]]:
    """A checkpoint's position, and all that its file says.

    Raises
    ------
    SimtoolError
        When it cannot be read.
    """
    path = Path(folder) / NAME
    if not path.exists():
        raise SimtoolError(f"No checkpoint at {folder}.")
    with damage_as_message(path, REMEDY):
        header = read_json(path)
        check_json(header, NAMES)
        fields = {name: header[SAVED_AS.get(name, name)] for name in Position.__dataclass_fields__}
        return Position(**{**fields, "done": tuple(fields["done"])}), header


def check_checkpoint(folder: Path) -> None:
    """The files of a checkpoint are those that were written; a folder of another tool's has nothing to check.

    Raises
    ------
    SimtoolError
        Where one is missing or damaged.
    """
    if not (Path(folder) / NAME).exists():
        return
    digests = read_position(folder)[1]["sha256"]
    for name, digest in digests.items():
        check_file(Path(folder) / name, digest, REMEDY)
