"""What the heads of Arrow's messages say, against what pyarrow wrote."""

import io
import random
import struct

import pyarrow as pa
import pytest

from simtool.corpora.arrow_messages import BATCH, DICTIONARY, footer_blocks, message_at, unpacked_bytes


def written(batches, new=pa.ipc.new_stream, **options) -> io.BytesIO:
    stream = io.BytesIO()
    with new(stream, batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    stream.seek(0)
    return stream


def messages_of(stream) -> list:
    messages, place = [], 0
    while (message := message_at(stream, place)) is not None:
        messages.append(message)
        place = message.end
    return messages


TEXTS = pa.record_batch([pa.array(["x" * 1000] * 50)], ["text"])


@pytest.mark.parametrize("compression", ["zstd", "lz4", None])
def test_sizes_are_those_of_the_buffers_unpacked(compression):
    stream = written([TEXTS], compression=compression)
    _, message = messages_of(stream)
    assert (message.kind, message.n_rows, message.nodes, message.codec) == (BATCH, 50, ((50, 0),), compression)
    assert unpacked_bytes(stream, message) == 51 * 4 + 50_000  # offsets, texts
    assert stream.tell() == 0


def test_a_buffer_that_lies_there_as_it_is_has_its_own_length():
    noise = pa.record_batch([pa.array([random.Random(1).randbytes(999)])], ["raw"])
    stream = written([noise], compression="zstd")
    _, message = messages_of(stream)
    assert unpacked_bytes(stream, message) in (8 + 999, 8 + 1000)  # two offsets, the bytes, and padding


def test_messages_of_all_ages_follow_one_another():
    words = pa.record_batch([pa.array(["a", "b"]).dictionary_encode()], ["word"])
    for legacy in (False, True):
        kinds = [message.kind for message in messages_of(written([words, words], use_legacy_format=legacy))]
        assert kinds == [1, DICTIONARY, BATCH, BATCH]


def test_the_footer_says_where_batches_begin():
    words = pa.record_batch([pa.array(["a", "b"]).dictionary_encode()], ["word"])
    stream = written([words] * 3, pa.ipc.new_file)
    dictionaries, batches = footer_blocks(stream)
    assert [message_at(stream, place).kind for place in dictionaries + batches] == [DICTIONARY] + [BATCH] * 3
    assert footer_blocks(io.BytesIO(b"ARROW1")) == ([], [])


def test_what_is_no_message_is_none():
    whole = written([TEXTS], compression="zstd").getvalue()
    for data in (b"", b"\xff" * 3, whole[:9], whole[:40], b"\xff" * 4 + struct.pack("<i", -5), b"\0" * 64):
        assert message_at(io.BytesIO(data), 0) is None
    rng = random.Random(2)
    for _ in range(2_000):  # no exception, and no way back, which would never end
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] = rng.randrange(256)
        message = message_at(io.BytesIO(damaged), 0)
        assert message is None or (message.end > 0 and all(start >= 0 <= size for start, size in message.buffers))
