"""Archives unpack to what they may."""

import shutil

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
