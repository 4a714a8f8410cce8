"""Headers of pages, against what pyarrow wrote."""

import io
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simtool.corpora.parquet_pages import page_at, pages


def column_of(texts, **options):
    """A file of one column, its metadata, and where it begins and ends."""
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": texts}), stream, **options)
    chunk = pq.ParquetFile(stream).metadata.row_group(0).column(0)
    start = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
    return stream, chunk, start, start + chunk.total_compressed_size


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["zstd", "snappy", "none"])
@pytest.mark.parametrize("with_dictionary", [True, False])
@pytest.mark.parametrize("statistics", [True, False])
def test_pages_lie_end_to_end_and_add_up(version, compression, with_dictionary, statistics):
    texts = [f"{n} " + "ab " * n for n in range(900)]
    stream, chunk, start, stop = column_of(
        texts, compression=compression, use_dictionary=with_dictionary, data_page_size=10_000, write_batch_size=20,
        data_page_version=version, write_statistics=statistics, write_page_checksum=True,
    )  # fmt: skip
    several = [*pages(stream, start, stop)]
    assert len(several) > 3 or with_dictionary
    assert sum(page.header + page.packed for page in several) == chunk.total_compressed_size
    assert sum(page.header + page.unpacked for page in several) == chunk.total_uncompressed_size


def test_a_header_with_long_texts_is_read():
    stream, _, start, stop = column_of(["x" * 3_000, "y" * 3_000], write_statistics=True, use_dictionary=False)
    page = page_at(stream, start)
    assert page.unpacked in range(6_008, 6_020) and page.header + page.packed == stop - start


def test_what_is_no_header_is_none_and_ends():
    for data in (b"", b"\x15", b"\xff" * 99, b"\x1c" * 5_000, b"\x16" + b"\x80" * 5_000):
        assert page_at(io.BytesIO(data), 0) is None
        assert [*pages(io.BytesIO(data), 0, 100)] == []
    stream, _, start, stop = column_of(["a b c"] * 99)
    rng = random.Random(3)
    for _ in range(2_000):
        damaged = bytearray(stream.getvalue())
        damaged[rng.randrange(start, stop)] = rng.randrange(256)
        assert len([*pages(io.BytesIO(damaged), start, stop)]) <= stop - start
