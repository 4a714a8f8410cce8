"""Tidy tables on disk, each with its provenance beside it; every file is whole or not there at all."""

import glob
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simtool.errors import SimtoolError
from simtool.integrity import HASH, checked, damage_as_message, file_hash, read_json, with_hash
from simtool.version import __version__

if TYPE_CHECKING:
    import polars as pl

TABLE_HASH = "table_sha256"  # in the provenance of a table
LEFTOVER_SECONDS = 3600  # no file of ours takes so long to be written
REMEDY = "Repeat the command that made it."


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; moved into place on success, removed on failure.

    Raises
    ------
    SimtoolError
        When the folder cannot be written or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise SimtoolError(f"Cannot write {path}: {error.strerror or error}. Choose another folder.") from error
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; a result is as readable as the user's other files
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise SimtoolError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove what killed processes left half written under this name; what is young may be another's at work."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.????????{glob.escape(path.suffix)}"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                leftover.unlink()


def provenance(**facts: Any) -> dict[str, Any]:
    """What every table says of itself, beside the facts given."""
    return {"simtool": __version__, "made": datetime.now(UTC).isoformat(timespec="seconds"), **facts}


def save_json(content: Mapping[str, Any], path: Path) -> None:
    """A file of ours that is read again: JSON with its hash."""
    with atomic_write(path) as temporary:
        text = json.dumps(with_hash(content), indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def save_table(table: "pl.DataFrame", path: Path, facts: dict[str, Any]) -> None:
    """`path` (csv or parquet by its suffix) and, beside it, its provenance as `path` with suffix .json.

    The provenance holds the table's hash: those of two runs do not pass for one.
    """
    path = Path(path)
    with atomic_write(path) as temporary:
        table.write_parquet(temporary) if path.suffix == ".parquet" else table.write_csv(temporary)
        digest = file_hash(temporary)
    save_json({**facts, TABLE_HASH: digest}, path.with_suffix(".json"))


def read_table(path: Path) -> "pl.DataFrame":
    """A table of the user's own, csv or parquet by its suffix.

    Raises
    ------
    SimtoolError
        Where it is missing, empty or cannot be read.
    """
    import polars as pl

    try:
        return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
    except FileNotFoundError as error:
        raise SimtoolError(f"No file {path}. Check the path.") from error
    except (Exception, pl.exceptions.PanicException) as error:  # of every kind
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise SimtoolError(f"Cannot read {path} as a table (csv, parquet): {first.rstrip('.')}.") from error


def load_table(path: Path) -> tuple["pl.DataFrame", dict[str, Any]]:
    """A table and its provenance, as they were written together.

    Raises
    ------
    SimtoolError
        Where either is missing, damaged or of another run.
    """
    path = Path(path)
    beside = path.with_suffix(".json")
    for needed in (path, beside):
        if not needed.exists():
            raise SimtoolError(f"No file {needed}: a table and its provenance (.json) belong together.")
    with damage_as_message(beside, REMEDY):
        facts = read_json(beside)
        if TABLE_HASH in facts or HASH in facts:  # tables that were written before 2026-11-26 have neither
            facts = checked(facts, ())
            _check_table(path, facts.pop(TABLE_HASH))
    return read_table(path), facts


def _check_table(path: Path, digest: str) -> None:
    if file_hash(path) != digest:
        raise SimtoolError(
            f"{path} is not the table that {path.with_suffix('.json').name} beside it is of: it was edited or damaged,"
            f" or the two are of different runs. {REMEDY}"
        )
