"""Archives unpack to what they may."""

import io
import shutil
import tarfile

import pytest

from simtool.corpora import archives
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
