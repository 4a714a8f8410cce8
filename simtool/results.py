"""What tables and notebooks need of a result: a tidy table, an HTML table, a drawing; arrays that are only read."""

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simtool.errors import SimtoolError
from simtool.tables import save_table

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure


class Tabular:
    """What a result offers: it shows itself in short, in a notebook as a table, becomes a data frame, and is drawn.

    A subclass has `to_polars`, and names its table: the figure of that name draws it. It is a dataclass without a
    `repr` of its own, which would write out all of its arrays.
    """

    table: ClassVar[str]
    columns_printed: ClassVar[tuple[str, ...]] = ()  # of the table, where it has too many for a line
    rows_shown: ClassVar[int] = 40  # in a notebook
    rows_printed: ClassVar[int] = 8

    def to_polars(self) -> "pl.DataFrame":
        """The result as a tidy table."""
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """The table as a pandas data frame.

        Raises
        ------
        SimtoolError
            Where pandas is not installed.
        """
        try:
            import pandas  # noqa: F401 (polars needs it)
        except ImportError as error:
            raise SimtoolError(
                "to_pandas() needs pandas. Install it (python -m pip install pandas), or use to_polars()."
            ) from error
        return self.to_polars().to_pandas()

    def plot(self) -> "Figure":
        """The figure of this result; in a notebook it shows itself, and `.savefig("x.pdf")` keeps it."""
        # imported when it is called, so that nothing loads matplotlib before it is asked to draw
        from simtool.plots import COMMAND_FIGURES

        if self.table not in COMMAND_FIGURES.names():
            raise SimtoolError(f"There is no drawing of a {type(self).__name__}. Use to_polars() or to_pandas().")
        return COMMAND_FIGURES.figure(self.table, self.to_polars())

    def save(self, folder: Path) -> list[Path]:
        """The table (csv), its provenance (json) and its drawing (png, svg, pdf) in a folder; returns their paths."""
        return save_tables({self.table: self.to_polars()}, getattr(self, "facts", {}), folder)

    def __str__(self) -> str:
        """What it is, and its first rows, in the columns that are read first."""
        frame = self.to_polars()
        shown = frame.select(self.columns_printed or frame.columns).head(self.rows_printed)
        more = (
            "" if shown.shape == frame.shape else f"\nAll {frame.width} columns and {frame.height:,} rows: to_polars()"
        )
        return f"{type(self).__name__}, {frame.height:,} rows\n{text_table(shown.columns, shown.rows())}{more}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython shows in a terminal: as short as `print`."""
        printer.text(str(self))

    def _repr_html_(self) -> str:
        frame = self.to_polars()
        shown = frame.head(self.rows_shown)
        left = frame.height - shown.height
        return html_table(frame.columns, shown.rows(), f"{left:,} rows more: to_polars()" if left else "")


def save_tables(tables: "Mapping[str, pl.DataFrame]", facts: Mapping[str, Any], folder: Path) -> list[Path]:
    """Tables (csv, each with its provenance) and, where there is a drawing of them, pictures, in a folder."""
    from simtool.plots import COMMAND_FIGURES

    paths = []
    for name, table in tables.items():
        stem = Path(folder) / name
        save_table(table, stem.with_suffix(".csv"), dict(facts))
        paths += [stem.with_suffix(".csv"), stem.with_suffix(".json")]
        if name in COMMAND_FIGURES.names():
            paths += COMMAND_FIGURES.draw(name, {name: table}, Path(folder))
    return paths


def read_only(result: object) -> None:
    """The arrays of a result can be read, and no longer written to."""
    for array in vars(result).values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False


def cell_text(value: Any) -> str:
    """A value as short as it can be read."""
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def text_table(header: Sequence[str], rows: Sequence[Sequence[Any]], n_words: int | None = None) -> str:
    """A table of plain text: words from the left, numbers to the right; n_words: columns from there on are numbers."""
    columns = []
    for j, name in enumerate(header):
        values = [row[j] for row in rows]
        texts = [name, *map(cell_text, values)]
        width = max(map(len, texts))
        is_right = any(map(is_number, values)) or (n_words is not None and j >= n_words)
        columns.append([text.rjust(width) if is_right else text.ljust(width) for text in texts])
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def html_table(header: Sequence[Any], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """An HTML table; every cell is text, whatever a corpus is called."""

    def cell(value: Any, tag: str = "td") -> str:
        side = "right" if is_number(value) else "left"
        return f'<{tag} style="text-align: {side}">{html.escape(cell_text(value))}</{tag}>'

    head = "".join(cell(name, "th") for name in header)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
