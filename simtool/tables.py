"""Tidy tables on disk, each with its provenance beside it; every file is whole or not there at all."""

import html
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simtool.errors import SimtoolError
from simtool.version import __version__

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure


class Tabular:
    """What a result offers in a notebook: it shows itself as a table, becomes a data frame, and is drawn.

    A subclass has `to_polars`, and names its table: the figure of that name draws it.
    """

    table: ClassVar[str]
    rows_shown: ClassVar[int] = 40

    def to_polars(self) -> "pl.DataFrame":
        """The result as a tidy table."""
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """The table as a pandas data frame. Raises SimtoolError where pandas is not installed."""
        try:
            import pandas  # noqa: F401 (polars needs it)
        except ImportError as error:
            raise SimtoolError(
                "to_pandas() needs pandas. Install it (python -m pip install pandas), or use to_polars()."
            ) from error
        return self.to_polars().to_pandas()

    def plot(self) -> "Figure":
        """The figure of this result; in a notebook it shows itself, and `.savefig("x.pdf")` keeps it."""
        # the one arrow up: at call time, by one who asked for a picture; named in the import contract
        from simtool import plots

        return plots.figure_of(self.table, self.to_polars())

    def _repr_html_(self) -> str:
        frame = self.to_polars()
        shown = frame.head(self.rows_shown)
        left = frame.height - shown.height
        return html_table(frame.columns, shown.rows(), f"{left:,} rows more: to_polars()" if left else "")


def read_only(result: object) -> None:
    """The arrays of a result can be read, and no longer written to."""
    for array in vars(result).values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False


def html_table(header: Sequence[Any], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """An HTML table; every cell is text, whatever a corpus is called."""

    def cell(value: Any, tag: str = "td") -> str:
        text = f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
        side = "right" if isinstance(value, int | float) and not isinstance(value, bool) else "left"
        return f'<{tag} style="text-align: {side}">{html.escape(text)}</{tag}>'

    head = "".join(cell(name, "th") for name in header)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    told = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{told}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; moved into place on success, removed on failure.

    Raises SimtoolError when the folder cannot be written or the disk is full.
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
    with written_whole(path) as temporary:
        table.write_parquet(temporary) if path.suffix == ".parquet" else table.write_csv(temporary)
    with written_whole(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_table(path: Path) -> tuple["pl.DataFrame", dict[str, Any]]:
    """A table and its provenance. Raises SimtoolError where either is missing."""
    import polars as pl

    path = Path(path)
    beside = path.with_suffix(".json")
    for needed in (path, beside):
        if not needed.exists():
            raise SimtoolError(f"No file {needed}: a table and its provenance (.json) belong together.")
    table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    return table, json.loads(beside.read_text(encoding="utf-8"))
