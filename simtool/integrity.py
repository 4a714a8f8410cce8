"""Files that simtool wrote, as they are read back: hashes are checked once per process, and damage is one message.

A file whose JSON carries a hash carries it under `HASH`, of everything beside it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from simtool.errors import SimtoolError

HASH = "hash"


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: Path, digest: str, remedy: str) -> None:
    """A file has the content that it was written with. Each version of a file is read once per process.

    Parameters
    ----------
    remedy
        What to do about damage, as a sentence.

    Raises
    ------
    SimtoolError
        Where it is missing or has another content.
    """
    try:
        status = Path(path).stat()
    except OSError as error:
        raise SimtoolError(f"{path} is damaged: it is missing. {remedy}") from error
    if _hash_of_version(Path(path).absolute(), status.st_size, status.st_mtime_ns, status.st_ino) != digest:
        raise SimtoolError(f"{path} is damaged: its content does not match its hash. {remedy}")


@cache
def _hash_of_version(path: Path, size: int, modified: int, inode: int) -> str:
    return file_hash(path)


def json_hash(content: Mapping[str, Any]) -> str:
    """SHA-256 of what JSON says, whatever the order of keys and the white space; its own hash is left out."""
    rest = {name: value for name, value in content.items() if name != HASH}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def with_hash(content: Mapping[str, Any]) -> dict[str, Any]:
    """JSON with the hash of all the rest of it."""
    return {**content, HASH: json_hash(json.loads(json.dumps(content)))}


def check_json(content: Any, names: frozenset[str]) -> None:
    """What was read back is what `with_hash` wrote; without a hash, only names that files had before there was one.

    Raises
    ------
    ValueError
        Where it is not.
    """
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not an object")
    if HASH in content:
        if content[HASH] != json_hash(content):
            raise ValueError("its content does not match its hash")
    elif unknown := content.keys() - names:  # a changed letter in "hash" is no way round it
        raise ValueError(f"it has no hash, and a name that is not known: {min(unknown)!r}")


@contextmanager
def damage_as_message(path: Path | str, remedy: str) -> Iterator[None]:
    """Whatever goes wrong while a file of ours is read and understood, as one message with what to do about it."""
    try:
        yield
    except FileNotFoundError:
        raise
    except SimtoolError as error:
        if str(Path(path).parent) in str(error):
            raise
        raise SimtoolError(f"{path} is damaged: {_reason(error)}. {remedy}") from error
    except Exception as error:  # of every kind: a changed byte may turn any value into any other
        if getattr(error, "strerror", None):
            raise SimtoolError(f"{path} cannot be read: {error.strerror}.") from error
        raise SimtoolError(f"{path} is damaged: {_reason(error)}. {remedy}") from error


def _reason(error: Exception) -> str:
    """The first line of an error, with its kind where it says little by itself."""
    first = (str(error).splitlines() or [""])[0].rstrip(".")[:200]
    return (
        first if isinstance(error, ValueError | SimtoolError) and first else f"{type(error).__name__} {first}".strip()
    )


def read_json(path: Path) -> Any:
    """The JSON of a file of ours. What goes wrong is raised as it comes: read inside `damage_as_message`."""
    return parse_json(Path(path).read_text(encoding="utf-8"))


def parse_json(text: str | bytes) -> Any:
    """The value of JSON that others wrote.

    Raises
    ------
    ValueError
        Where it is none, or nested so deeply that Python cannot follow.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def checked(content: Any, names: Iterable[str]) -> dict[str, Any]:
    """What was read back, if it is what `with_hash` wrote (see `check_json`), without its hash."""
    check_json(content, frozenset(names))
    return {name: value for name, value in content.items() if name != HASH}
