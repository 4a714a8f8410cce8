"""Tidy tables on disk, each with its provenance beside it; every file is whole or not there at all."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simtool.errors import SimtoolError
from simtool.version import __version__

if TYPE_CHECKING:
    import polars as pl


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


def provenance(**facts: Any) -> dict[str, Any]:
    """What every table says of itself, beside the facts given."""
    return {"simtool": __version__, "made": datetime.now(UTC).isoformat(timespec="seconds"), **facts}


def save_table(table: "pl.DataFrame", path: Path, facts: dict[str, Any]) -> None:
    """`path` (csv or parquet by its suffix) and, beside it, its provenance as `path` with suffix .json."""
    path = Path(path)
    with atomic_write(path) as temporary:
        table.write_parquet(temporary) if path.suffix == ".parquet" else table.write_csv(temporary)
    with atomic_write(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


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
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SimtoolError(f"Cannot read {path} as a table (csv, parquet): {str(error).splitlines()[0]}.") from error


def load_table(path: Path) -> tuple["pl.DataFrame", dict[str, Any]]:
    """A table and its provenance.

    Raises
    ------
    SimtoolError
        Where either is missing.
    """
    import polars as pl

    path = Path(path)
    beside = path.with_suffix(".json")
    for needed in (path, beside):
        if not needed.exists():
            raise SimtoolError(f"No file {needed}: a table and its provenance (.json) belong together.")
    table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
    return table, json.loads(beside.read_text(encoding="utf-8"))
