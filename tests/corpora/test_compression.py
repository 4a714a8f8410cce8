"""Compressed bytes are read whatever they are called, and in bounded memory."""

import bz2
import gzip
import io
import lzma
from random import Random

import pytest
import zstandard

from simtool.corpora.compression import WindowTooLarge, XzReader, ZstdReader, largest_window, window_too_large
from simtool.corpora.files import compression_of, decompressed, head_of, local_file
from simtool.errors import SimtoolError
from tests.conftest import simtool

RANDOM = Random(0)
TEXT = b"one line\n" * 1000
lz4_frame = pytest.importorskip("lz4.frame")
PACKED = {
    "gz": gzip.compress(TEXT),
    "zst": zstandard.compress(TEXT),
    "zstd": zstandard.compress(TEXT),
    "bz2": bz2.compress(TEXT),
    "xz": lzma.compress(TEXT),
    "lz4": lz4_frame.compress(TEXT),
}


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("named", [True, False])
def test_compressed_bytes_are_read_whatever_they_are_called(tmp_path, ending, named):
    path = tmp_path / (f"a.{ending}" if named else "part-00000")
    path.write_bytes(PACKED[ending])
    file = local_file(path)
    with file.open() as raw, decompressed(file, raw) as stream:
        assert stream.read(1 << 20) == TEXT
    assert head_of(file, 20) == TEXT[:20]


def test_a_long_window_is_read(tmp_path):
    parameters = zstandard.ZstdCompressionParameters.from_level(
        3, window_log=28, enable_ldm=True, write_content_size=False
    )
    path = tmp_path / "long.zst"
    path.write_bytes(zstandard.ZstdCompressor(compression_params=parameters).compress(TEXT))
    assert head_of(local_file(path), len(TEXT)) == TEXT


def with_window(kind: str, log: int) -> bytes:
    """TEXT in a frame that asks for a window of 2**log bytes."""
    if kind == "zst":
        parameters = zstandard.ZstdCompressionParameters(window_log=log)
        stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()  # to which no size is known
        return stream.compress(TEXT) + stream.flush()
    filters = [{"id": lzma.FILTER_LZMA2 if kind == "xz" else lzma.FILTER_LZMA1, "preset": 0, "dict_size": 1 << log}]
    if kind == "xz":
        filters.insert(0, {"id": lzma.FILTER_DELTA, "dist": 1})
    return lzma.compress(TEXT, lzma.FORMAT_XZ if kind == "xz" else lzma.FORMAT_ALONE, filters=filters)


@pytest.mark.parametrize("kind", ["zst", "xz", "lzma"])
@pytest.mark.parametrize("logs", [[22], [16, 22]], ids=["first", "second"])
def test_a_window_that_takes_too_much_memory_is_one_message(tmp_path, monkeypatch, kind, logs):
    path = tmp_path / f"a.{'zst' if kind == 'zst' else 'xz'}"
    path.write_bytes(b"".join(with_window(kind, log) for log in logs))
    monkeypatch.setenv("SIMTOOL_LARGEST_WINDOW", "4")
    assert head_of(local_file(path), 1 << 20) == TEXT * len(logs)
    monkeypatch.setenv("SIMTOOL_LARGEST_WINDOW", "3")
    with pytest.raises(SimtoolError) as error:
        head_of(local_file(path), 1 << 20)
    assert str(error.value) == MESSAGE.format(path)


MESSAGE = (
    "{} cannot be unpacked: its window of 4 MB is larger than the 3 MB that are allowed.\n"
    "Where there is memory for it: simtool --largest-window 4 ..."
)


def test_the_command_line_allows_more(tmp_path):
    path = tmp_path / "a.txt.zst"
    path.write_bytes(with_window("zst", 22))
    refused = simtool("--largest-window", 3, "corpora", "show", path)
    assert (refused.returncode, refused.stderr) == (2, f"simtool: {MESSAGE.format(path)}\n")
    assert simtool("--largest-window", 4, "corpora", "show", path).returncode == 0


def test_the_window_of_a_block_with_sizes_and_of_one_that_nothing_reads_is_said():
    packed = bytearray(with_window("xz", 20))
    place = packed.index(b"\x21\x01", 12)
    reader = XzReader(io.BytesIO())
    # a block whose header says its sizes, each a number of several bytes: flags 0x40 and 0x80
    reader.head = bytes([*packed[:13], packed[13] | 0xC0, *b"\xff\x21\x81\x01", *packed[14 : place + 3]])
    assert reader._window() == 1 << 20
    assert "No window above 2,048 MB is read." in str(window_too_large("a", WindowTooLarge(1 << 32)))
    assert largest_window() == 256 << 20


@pytest.mark.parametrize("lost", [0, 1, 30])
def test_streams_of_xz_may_have_zeros_between_them_and_none_is_cut(lost):
    packed = lzma.compress(TEXT) + bytes(8192) + lzma.compress(TEXT) + (bytes(4) if not lost else b"")
    reader = XzReader(io.BytesIO(packed[: len(packed) - lost]))
    if lost:
        with pytest.raises(EOFError, match="it ends in the middle of an xz stream"):
            reader.read()
    else:
        assert reader.read() == TEXT * 2
    with pytest.raises(lzma.LZMAError):
        XzReader(io.BytesIO(lzma.compress(TEXT) + b"not xz")).read()


@pytest.mark.parametrize("name", ["dictionary", "texts.dict"])
def test_a_dictionary_is_found_by_its_number_or_said_to_be_needed(tmp_path, name):
    texts = [b"line %d of a text\n" % n * 9 for n in range(500)]
    dictionary, another = (zstandard.train_dictionary(1000, texts, dict_id=number) for number in (700, 701))
    (tmp_path / "another.dict").write_bytes(another.as_bytes())
    frames = zstandard.ZstdCompressor(dict_data=dictionary).compress(texts[3]) * 2
    for folder in (tmp_path, tmp_path / "with"):  # whether a file has one is looked up once
        folder.mkdir(exist_ok=True)
        (folder / "a.zst").write_bytes(frames)
    (tmp_path / "with" / name).write_bytes(dictionary.as_bytes())
    assert head_of(local_file(tmp_path / "with" / "a.zst")) == texts[3] * 2
    with pytest.raises(SimtoolError) as error:
        head_of(local_file(tmp_path / "a.zst"))
    assert str(error.value) == (
        f"{tmp_path / 'a.zst'} was compressed with a dictionary that is not beside it.\n"
        "Put it there as dictionary or NAME.dict, or decompress the file first: zstd -d -D DICTIONARY."
    )


def test_plain_bytes_are_not_compressed(tmp_path):
    (tmp_path / "a").write_bytes(TEXT)
    assert compression_of(local_file(tmp_path / "a")) is None


def zstd_of(chunks) -> bytes:
    compressor = zstandard.ZstdCompressor().compressobj()
    return b"".join([compressor.compress(chunk) for chunk in chunks]) + compressor.flush()


def test_no_step_of_zstd_makes_more_than_its_bound():
    reader = ZstdReader(io.BytesIO(zstd_of([bytes(1 << 20)] * 300)))
    steps = []
    while (unpacked := reader._step()) is not None:
        steps.append(len(unpacked))
    assert sum(steps) == 300 << 20
    assert max(steps) <= 128 << 20  # what 4 kB of zstd unpack to at most


@pytest.mark.parametrize("lost", [1, 5, 100])
def test_zstd_that_is_cut_is_an_error(lost):
    packed = zstd_of([bytes(range(256)) * 2_000, RANDOM.randbytes(1_000)])
    with pytest.raises(EOFError, match="it ends in the middle of a zstd frame"):
        ZstdReader(io.BytesIO(packed[:-lost])).read(-1)
    assert ZstdReader(io.BytesIO(b"")).read(-1) == b""


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20, -1])
def test_zstd_is_read_in_any_steps(size):
    text = bytes(range(256)) * 2_000
    reader = ZstdReader(io.BytesIO(zstandard.compress(text[:99]) + zstd_of([text]) + zstandard.compress(b"")))
    assert reader.read(300) == (text[:99] + text)[:300]
    rest = reader.read(-1) if size < 0 else b"".join(iter(lambda: reader.read(size), b""))
    assert rest == (text[:99] + text)[300:]
