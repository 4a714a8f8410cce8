"""Damaged footers are one message; pyarrow ends the process where it is asked for such a column."""

import gc
import io
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from random import Random

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.parquet_footers import (
    META_DATA,
    UNPACKED,
    WRITERS,
    parquet_of,
    with_columns_changed,
    with_damaged_footer,
)
from simtool.corpora.parquet_footer import Empty, open_parquet
from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError

SIZES, DEFINITION_LEVELS = 16, 3  # fields of parquet.thrift


def longer_histogram(columns):
    """Counts of definition levels, of which there are more than the schema's."""
    description = columns[0][META_DATA][1]
    if SIZES not in description:
        pytest.skip("pyarrow 16 writes no histograms")
    description[SIZES][1][DEFINITION_LEVELS][1][1].append(0)


def column_too_many(columns):
    columns.append(columns[0])


def column_too_few(columns):
    columns.pop()


FAULTS = {
    longer_histogram: "Definition level histogram size mismatch, size: 3, expected: 2",
    column_too_many: "row group 0 has 7 columns, its schema 6",
    column_too_few: "row group 0 has 5 columns, its schema 6",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_column_raises(fault):
    with pytest.raises((pa.ArrowException, OSError), match=f"^{FAULTS[fault]}"):
        open_parquet(io.BytesIO(with_columns_changed(parquet_of("pyarrow"), fault)))


def test_a_damaged_column_is_one_message(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(with_columns_changed(parquet_of("pyarrow"), longer_histogram))
    command = [sys.executable, "-m", "simtool.cli", "matrix", str(path), "gsm8k"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 2
    message = f"Cannot read {path} as parquet: {FAULTS[longer_histogram]}."
    assert message.replace(" ", "") in "".join(ended.stderr.split())


def test_a_damaged_column_of_a_remote_file_is_one_message():
    fsspec.filesystem("memory").pipe("/footer/a.parquet", with_columns_changed(parquet_of("pyarrow"), longer_histogram))
    with pytest.raises(SimtoolError, match=r"^Cannot read memory:///footer/a\.parquet as parquet: Definition level"):
        list(file_corpus("memory://footer/a.parquet", "text").batches())


def damaged_in_each_writer(seed):
    """What comes of opening files with damaged footers, and of describing each column."""
    outcomes = []
    for writer in WRITERS:
        file = io.BytesIO(with_damaged_footer(parquet_of(writer), Random(f"{writer} {seed}")))
        try:
            metadata = open_parquet(file).metadata
            for n in range(metadata.num_row_groups):
                group = metadata.row_group(n)
                assert all(group.column(i).path_in_schema for i in range(group.num_columns))
            outcomes.append("open")
        except (pa.ArrowException, OSError, UnicodeDecodeError, AssertionError):
            outcomes.append("message")
    return outcomes


def test_no_damaged_footer_ends_the_process():
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        outcomes = [outcome for some in pool.map(damaged_in_each_writer, range(300), chunksize=50) for outcome in some]
    assert set(outcomes) == {"open", "message"}


@pytest.mark.parametrize("table", [pa.table({"text": pa.array([], "str")}), pa.table({"text": ["a"]}).select([])])
def test_without_rows_or_columns_nothing_is_to_be_checked(table):
    stream = io.BytesIO()
    pq.write_table(table, stream)
    assert open_parquet(stream).metadata.num_columns == table.num_columns


def test_nothing_of_a_check_is_left():
    open_parquet(io.BytesIO(parquet_of("pyarrow")))
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Empty]


def test_a_size_below_nothing_is_read_over(tmp_path):
    def below_nothing(columns):
        columns[0][META_DATA][1][UNPACKED][1] = 1  # zigzag: total_uncompressed_size is -1

    (tmp_path / "a.parquet").write_bytes(with_columns_changed(parquet_of("pyarrow"), below_nothing))
    assert sum(len(batch) for batch in file_corpus(str(tmp_path / "a.parquet"), "text").batches()) == 60
