"""Corpora that lie in memory: lists of texts or rows, iterators, frames, Arrow tables, datasets.

What knows how to hand itself over as Arrow is read without a copy, column by column; everything else is rows.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import xxhash

from simtool.corpora.corpus import Corpus
from simtool.corpora.formats import rows_of
from simtool.corpora.reading import Reading, Row, Source
from simtool.corpora.sources import SAMPLE_ROWS, with_layout
from simtool.errors import SimtoolError

LIST_ROWS = 2_000


@dataclass(frozen=True, eq=False)
class RowsInMemory(Source):
    """Rows as they are."""

    rows: tuple[Row, ...]

    def read(self, shard: int = 0, n_shards: int = 1, reading: Reading | None = None) -> Iterator[list[Row]]:
        for start in range(shard * LIST_ROWS, len(self.rows), n_shards * LIST_ROWS):
            yield list(self.rows[start : start + LIST_ROWS])

    def describe(self) -> str:
        return f"{len(self.rows):,} rows in memory"

    def identity(self) -> str:
        digest = xxhash.xxh3_128()
        for row in self.rows:
            digest.update(orjson.dumps(row, default=repr, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY))
        return f"memory:{digest.hexdigest()}"


@dataclass(frozen=True, eq=False)
class TableInMemory(Source):
    """An Arrow table; only the columns that are needed become Python objects."""

    table: Any

    def read(self, shard: int = 0, n_shards: int = 1, reading: Reading | None = None) -> Iterator[list[Row]]:
        reading = reading or Reading()
        needed = [name for name in reading.columns or () if name in self.table.column_names]
        table = self.table.select(needed) if needed else self.table
        for start in range(shard * LIST_ROWS, len(table), n_shards * LIST_ROWS):
            for batch in table.slice(start, LIST_ROWS).to_batches():
                yield rows_of(batch, reading)

    def describe(self) -> str:
        return f"{len(self.table):,} rows in memory"

    def identity(self) -> str:
        digest = hashlib.sha256(str(self.table.schema).encode())
        for batch in self.table.to_batches():
            digest.update(batch.serialize() if len(batch) else b"")
        return f"memory:{digest.hexdigest()[:32]}"


def corpus_in_memory(data: Any, name: str, fields: str | None = None) -> Corpus:
    """A corpus of what lies in memory.

    Parameters
    ----------
    data
        A list or iterator of texts or of rows (dicts), a polars or pandas frame, an Arrow table, a `datasets.Dataset`.
    name
        What the corpus is called.
    fields
        What holds the text, as in `layouts.find_layout`; None: read off the first rows.

    Raises
    ------
    SimtoolError
        Where it is nothing that holds rows, or no layout fits.
    """
    source = _source_of(data, name)
    corpus = Corpus(name, "In memory.", "specialised", "yours", None, {}, source)
    return with_layout(corpus, next(source.read(), [])[:SAMPLE_ROWS], fields)


def _source_of(data: Any, name: str) -> RowsInMemory | TableInMemory:
    table = _as_table(data, name)
    if table is not None:
        return TableInMemory(table)
    if isinstance(data, str | bytes) or not isinstance(data, Iterable):
        raise SimtoolError(
            f"{name} holds no rows ({type(data).__name__}).\n"
            "Give a path, or texts, rows (dicts), a frame, an Arrow table or a datasets.Dataset."
        )
    rows = tuple({"text": item} if isinstance(item, str) else item for item in data)
    if wrong := next((item for item in rows if not isinstance(item, Mapping)), None):
        raise SimtoolError(f"{name} holds {type(wrong).__name__} objects. Give texts, or rows as dicts.")
    return RowsInMemory(rows)


def _as_table(data: Any, name: str) -> Any:
    """An Arrow table of the same rows, where the data has one to give; None where it has none."""
    import pyarrow

    if isinstance(data, pyarrow.Table):
        return data
    if type(data).__module__.split(".")[0] == "datasets":
        if isinstance(data, Mapping):
            raise SimtoolError(f"{name} has the splits {', '.join(map(str, data))}. Give one of them.")
        return data.with_format("arrow")[:] if hasattr(data, "num_rows") else None  # a streamed one is rows
    if hasattr(data, "collect_schema") and hasattr(data, "collect"):  # a lazy frame of polars
        data = data.collect()
    return pyarrow.table(data) if hasattr(data, "__arrow_c_stream__") else None
