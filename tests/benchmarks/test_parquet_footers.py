"""Damaged footers are damaged in the footer only, and what reads and writes their Thrift loses nothing."""

import io
from random import Random

import pyarrow.parquet as pq
import pytest

from benchmarks.parquet_footers import ROWS, STRUCT, WRITERS, bytes_of, parquet_of, value_at, with_damaged_footer


@pytest.mark.parametrize("writer", WRITERS)
def test_footers_are_read_and_written_again_byte_by_byte(writer):
    data = parquet_of(writer)
    assert pq.read_table(io.BytesIO(data)).to_pylist() == ROWS
    size = int.from_bytes(data[-8:-4], "little")
    footer, end = value_at(data, len(data) - 8 - size, STRUCT)
    assert end == len(data) - 8
    assert bytes_of(STRUCT, footer) == data[-8 - size : -8]


def test_a_footer_is_damaged_and_nothing_else():
    data = parquet_of("pyarrow")
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    damaged = [with_damaged_footer(data, Random(n)) for n in range(50)]
    assert len(set(damaged) - {data}) > 40
    for changed in damaged:
        assert changed.startswith(data[:start]) and changed.endswith(b"PAR1")
        assert len(changed) - 8 - int.from_bytes(changed[-8:-4], "little") == start
