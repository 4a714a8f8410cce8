"""Large batches of Arrow, unpacked in steps, are the batches that pyarrow unpacks whole."""

import io
import random
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simtool.corpora import formats, limits, record_batches
from simtool.corpora.files import local_file
from simtool.corpora.reading import Reading
from simtool.corpora.record_batches import ArrowFile
from simtool.errors import SimtoolError

CHAT = pa.list_(pa.struct([("role", pa.string()), ("content", pa.large_string())]))
KINDS = {
    "text": (pa.string(), ["a", "", None, "\U0001f600 long" * 9]),
    "large": (pa.large_string(), ["b" * 99, "\u4e2d", None]),
    "raw": (pa.binary(), [b"\0\xff", None]),
    "n": (pa.int64(), [7, None, -(2**60)]),
    "half": (pa.float32(), [0.5, None]),
    "is_good": (pa.bool_(), [True, False, None]),
    "day": (pa.date32(), [19_000, None]),
    "price": (pa.decimal128(9, 2), [None]),
    "hash": (pa.binary(5), [b"12345", None]),
    "nothing": (pa.null(), [None]),
    "vector": (pa.list_(pa.float64(), 2), [[1.0, 2.0], None]),
    "tags": (pa.map_(pa.string(), pa.int32()), [[("a", 1), ("b", None)], [], None]),
    "many": (pa.large_list(pa.list_(pa.string())), [[["x"], [], None, ["y", "z"]], [], None]),
    "messages": (CHAT, [[{"role": "user", "content": "q"}, {"role": None, "content": None}], [None], None]),
}


def batch_of(n: int, seed: int, names=tuple(KINDS)) -> pa.RecordBatch:
    rng = random.Random(seed)
    arrays = [pa.array([rng.choice(KINDS[name][1]) for _ in range(n)], KINDS[name][0]) for name in names]
    return pa.RecordBatch.from_arrays(arrays, list(names))


def written(batches, how, compression) -> io.BytesIO:
    stream = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with {"file": pa.ipc.new_file, "stream": pa.ipc.new_stream}[how](
        stream, batches[0].schema, options=options
    ) as writer:
        for batch in batches:
            writer.write_batch(batch)
    stream.seek(0)
    return stream


def read_in_steps(stream, n_rows, needed=None) -> list:
    return [*ArrowFile("a.arrow", stream, lambda names: needed, lambda n, n_bytes: n_rows).batches()]


@pytest.fixture(autouse=True)
def _every_batch_is_large(monkeypatch):
    monkeypatch.setattr(record_batches, "WHOLE_BATCH", 0)


@pytest.mark.parametrize("compression", ["zstd", "lz4", None])
@pytest.mark.parametrize("how", ["file", "stream"])
@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=3), n_rows=st.integers(1, 50), seed=st.integers(0, 999))
def test_values_of_all_types_are_those_of_pyarrow(compression, how, sizes, n_rows, seed):
    batches = [batch_of(n, seed + i) for i, n in enumerate(sizes)]
    parts = read_in_steps(written(batches, how, compression), n_rows)
    for part in parts:
        part.validate(full=True)
        assert 0 < len(part) <= n_rows
    assert [row for part in parts for row in part.to_pylist()] == [row for b in batches for row in b.to_pylist()]


def test_only_needed_columns_are_unpacked():
    stream = written([batch_of(30, 1)], "file", "zstd")
    rows = [row for part in read_in_steps(stream, 7, ["messages", "text"]) for row in part.to_pylist()]
    assert rows == batch_of(30, 1).select(["messages", "text"]).to_pylist()


def test_a_slice_begins_where_its_values_do():
    batch = batch_of(40, 3).slice(13, 20)
    parts = read_in_steps(written([batch], "file", "lz4"), 6)
    assert [row for part in parts for row in part.to_pylist()] == batch.to_pylist()


@pytest.mark.parametrize("how", ["file", "stream"])
def test_a_column_with_a_dictionary_is_unpacked_whole_where_it_may_be(monkeypatch, how):
    batch = pa.record_batch([pa.array(["a", "b"] * 3_000).dictionary_encode(), pa.array(range(6_000))], ["text", "n"])
    stream = written([batch, batch], how, "zstd")
    assert sum(map(len, read_in_steps(stream, 1_000))) == 12_000
    monkeypatch.setattr(limits, "largest_whole", lambda: 10_000)
    stream.seek(0)
    message = r"^a\.arrow unpacks to 1 MB in a single batch; 0 MB are allowed\.\nWrite it in smaller parts"
    with pytest.raises(SimtoolError, match=message):
        read_in_steps(stream, 1_000)


@pytest.mark.parametrize("how", ["file", "stream"])
def test_a_dictionary_is_looked_at_before_it_is_unpacked(monkeypatch, how):
    values = pa.array([f"{n}" + "x" * 10_000 for n in range(300)])
    batch = pa.record_batch([pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), values)], ["text"])
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "1")  # 4 MB as a whole
    stream = written([batch], how, "zstd")
    assert len(read_in_steps(stream, 9)[0]) == 2
    monkeypatch.setattr(limits, "LARGEST_WHOLE", 2)
    stream.seek(0)
    allowed = r"unpacks to 3 MB in a single batch; 2 MB are allowed.*\n.* simtool --longest-document 2 \.\.\."
    with pytest.raises(SimtoolError, match=allowed):
        read_in_steps(stream, 9)


def test_a_row_that_is_too_long_is_a_message(monkeypatch):
    monkeypatch.setenv("SIMTOOL_LONGEST_DOCUMENT", "1")
    stream = written([pa.record_batch([pa.array(["x" * (5 << 20), "y"])], ["text"])], "file", "zstd")
    with pytest.raises(SimtoolError, match=r"^A row of a\.arrow is longer than the 1 MB that one document may have"):
        read_in_steps(stream, 1)


@pytest.mark.parametrize("large", [0, 1 << 40], ids=["in steps", "whole"])
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_a_batch_that_points_beyond_its_end_is_a_message(tmp_path, monkeypatch, large, compression):
    monkeypatch.setattr(record_batches, "WHOLE_BATCH", large)
    offsets = pa.py_buffer(np.array([0, 2, 1 << 30, 6], "<i4"))  # of the second text of three
    texts = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"abcdef")])
    path = tmp_path / "a.arrow"
    path.write_bytes(written([pa.record_batch([texts], ["text"])], "file", compression).getvalue())
    with pytest.raises(SimtoolError, match=r"^Cannot read .*a\.arrow as Arrow: "):
        [block.parse(Reading()) for block in formats.FORMATS["arrow"](local_file(path), ("text",))]


@pytest.mark.parametrize("large", [0, 1 << 40], ids=["in steps", "whole"])
def test_text_that_is_not_utf8_is_a_message(tmp_path, monkeypatch, large):
    monkeypatch.setattr(record_batches, "WHOLE_BATCH", large)
    latin1 = pa.array(["caf\u00e9".encode("latin-1")]).view(pa.string())
    path = tmp_path / "a.arrow"
    path.write_bytes(written([pa.record_batch([latin1], ["text"])], "file", None).getvalue())
    with pytest.raises(SimtoolError, match=r"^Cannot read .*a\.arrow as Arrow: .*UTF8"):
        [block.parse(Reading()) for block in formats.FORMATS["arrow"](local_file(path), ("text",))]


@pytest.mark.parametrize("how", ["file", "stream"])
def test_damage_is_a_message(tmp_path, how):
    whole = written([batch_of(60, 5)], how, "zstd").getvalue()
    rng, path = random.Random(1), tmp_path / "a.arrow"
    outcomes = {"message": 0, "rows": 0}
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(damaged[: rng.choice([len(whole), rng.randrange(len(whole))])]))
        try:
            for block in formats.FORMATS["arrow"](local_file(path), None):
                block.parse(Reading())
            outcomes["rows"] += 1
        except SimtoolError as error:
            assert "a.arrow" in str(error)
            outcomes["message"] += 1
    assert outcomes["message"] > 200, outcomes


@pytest.mark.parametrize("whole_batch", [0, 1 << 30])
def test_a_stream_that_ends_before_its_file_is_a_message(tmp_path, monkeypatch, whole_batch):
    monkeypatch.setattr(record_batches, "WHOLE_BATCH", whole_batch)
    batches, path = [batch_of(20, seed) for seed in range(3)], tmp_path / "a.arrow"
    whole, two = (written(some, "stream", None).getvalue() for some in (batches, batches[:2]))
    third = len(two) - 8  # the mark of the end has 8 bytes
    assert whole[third : third + 4] == b"\xff" * 4 and two[third:] == b"\xff" * 4 + bytes(4)
    path.write_bytes(whole[: third + 4] + bytes(4) + whole[third + 8 :])
    with pytest.raises(SimtoolError, match="ends before the file does"):
        [block.parse(Reading()) for block in formats.FORMATS["arrow"](local_file(path), None)]
    path.write_bytes(whole + bytes(56))
    assert sum(len(block.parse(Reading())) for block in formats.FORMATS["arrow"](local_file(path), None)) == 60


def test_a_batch_takes_the_memory_of_a_step(tmp_path, monkeypatch):
    monkeypatch.setattr(record_batches, "WHOLE_BATCH", 1 << 20)
    monkeypatch.setattr(formats, "STEP_BYTES", 1 << 20)
    path = tmp_path / "a.arrow"
    feather.write_feather(pa.table({"text": ["ab " * 30_000] * 600}), path, compression="zstd", chunksize=600)
    assert path.stat().st_size < 200_000  # of 54 MB
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        blocks = formats.FORMATS["arrow"](local_file(path), ("text",))
        peaks = [pa.total_allocated_bytes() - before for block in blocks if block.parse(Reading())]
        python = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(peaks) > 50 and max(peaks) < 4 << 20 and python < 8 << 20
