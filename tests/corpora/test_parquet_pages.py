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


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_pages_say_how_many_values_they_hold_and_dictionaries_none(version):
    stream, _, start, stop = column_of(["a", "b", None] * 900, data_page_size=10, data_page_version=version)
    dictionary, *several = pages(stream, start, stop)
    assert dictionary.n_values == 0 and len(several) > 1
    assert sum(page.n_values for page in several) == 2_700


def test_fields_that_no_header_has_are_passed_over():
    sizes = b"\x15\x00\x15\x14\x15\x06"  # fields 1, 2 and 3: integers 0, 10 and 3
    others = {
        "a list of 2 integers": b"\x69\x25\x02\x04",
        "a list of 16 texts": b"\x69\xf8\x10" + b"\x01a" * 16,
        "a list of 3 of true and false": b"\x69\x31\x01\x02\x01",
        "a double": b"\x67" + bytes(8),
        "a struct of a byte and of true": b"\x6c\x13\x07\x11\x00",
        "field 300, a text": b"\x08\xd8\x04\x02ab",
    }
    for field in others.values():
        header = sizes + field + b"\x00"
        assert page_at(io.BytesIO(header + b"abc"), 0) == (len(header), 3, 10, 0)
    for endless in (b"\x69\xf1" + b"\xff" * 8 + b"\x01", b"\x69\xfc" + b"\xff" * 8 + b"\x01"):
        assert page_at(io.BytesIO(sizes + endless), 0) is None


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
