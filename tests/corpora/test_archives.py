"""Archives unpack to what they may."""

import io
import random
import shutil
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from simtool.corpora import archives
from simtool.corpora.archives import SteppedZip
from simtool.corpora.sources import find_files
from simtool.errors import SimtoolError


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch, kind):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_bytes(bytes(3 << 20))
    path = shutil.make_archive(str(tmp_path / "a"), kind, tmp_path / "texts")
    monkeypatch.setattr(archives, "UNPACKED_FREE", 1 << 20)
    with pytest.raises(SimtoolError, match=r"unpacks to more than .* MB, 100 times its size\.\nUnpack it yourself"):
        find_files(path)


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "link/outside.txt"])
def test_a_tar_writes_nothing_outside_of_its_folder(tmp_path, monkeypatch, name):
    inside, outside = tmp_path / "unpacked" / "here", tmp_path / "unpacked"
    inside.mkdir(parents=True)
    monkeypatch.setattr(archives.tempfile, "mkdtemp", lambda prefix: str(inside))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
        member = tarfile.TarInfo(name if name[0] != "/" else f"{outside}{name}")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"text"))
    with pytest.raises(SimtoolError, match=r"^Cannot unpack .*a\.tar: .*\. It may be damaged\.$"):
        find_files(str(tmp_path / "a.tar"))
    assert not (outside / "outside.txt").exists()


def test_a_tar_of_xz_gets_no_more_memory_than_any_file(tmp_path, monkeypatch):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("text\n")
    path = shutil.make_archive(str(tmp_path / "a"), "xztar", tmp_path / "texts")  # its dictionary has 8 MB
    monkeypatch.setenv("SIMTOOL_LARGEST_WINDOW", "7")
    with pytest.raises(SimtoolError) as error:
        find_files(path)
    assert str(error.value) == (
        f"{path} cannot be unpacked: its window of 8 MB is larger than the 7 MB that are allowed.\n"
        "Where there is memory for it: simtool --largest-window 8 ..."
    )
    monkeypatch.delenv("SIMTOOL_LARGEST_WINDOW")
    assert [file.location for file in find_files(path).files]


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_is_unpacked_in_steps_that_are_small_where_they_are_packed(tmp_path, monkeypatch, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a.txt", random.Random(1).randbytes(200) * 50_000)
    assert (tmp_path / "a.zip").stat().st_size < 20_000
    monkeypatch.setattr(archives, "PACKED_STEP", 64)
    monkeypatch.setattr(zipfile.ZipExtFile, "MIN_READ_SIZE", 64)
    with SteppedZip(tmp_path / "a.zip") as archive, archive.open("a.txt") as file:
        tracemalloc.start()
        try:
            n_bytes = sum(len(chunk) for chunk in iter(lambda: file.read(1 << 16), b""))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert n_bytes == 10_000_000 and peak < 16_000_000  # 24 and 33 MB in one step; the dictionary of LZMA has 8


def test_a_zip_of_lzma_gets_no_more_memory_than_any_file(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:  # its dictionaries have 8 MB
        archive.writestr(zipfile.ZipInfo("plain.txt"), "text\n")
        archive.writestr("a.txt", "text\n")
    monkeypatch.setenv("SIMTOOL_LARGEST_WINDOW", "7")
    with pytest.raises(SimtoolError, match=r"a\.zip cannot be unpacked: its window of 8 MB is larger than the 7 MB"):
        find_files(str(path))
    monkeypatch.delenv("SIMTOOL_LARGEST_WINDOW")
    assert [file.size for file in find_files(str(path)).files] == [5, 5]


@pytest.mark.parametrize("kind", ["gztar", "bztar", "xztar"])
def test_an_archive_that_stops_is_a_message(tmp_path, kind):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_bytes(random.Random(1).randbytes(3_000))
    path = Path(shutil.make_archive(str(tmp_path / "a"), kind, tmp_path / "texts"))
    whole = path.read_bytes()
    for size in (40, 400, len(whole) // 2, len(whole) * 9 // 10):
        path.write_bytes(whole[:size])
        with pytest.raises(SimtoolError):
            find_files(str(path))


def test_a_file_without_a_name_is_a_message(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("name.txt", "a b")
    path.write_bytes(path.read_bytes().replace(b"name.txt", b"\0ame.txt"))
    with pytest.raises(SimtoolError, match=r"^Cannot unpack .*a\.zip: a file in it has no name\. It may be damaged\.$"):
        find_files(str(path))
