"""Zip and tar files, unpacked into a folder that is read like any other."""

import atexit
import io
import shutil
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from simtool.addresses import without_home
from simtool.corpora.compression import (
    BROKEN,
    COMPRESSIONS,
    PACKED_STEP,
    WindowTooLarge,
    largest_window,
    window_too_large,
)
from simtool.errors import SimtoolError

UNPACKED_TIMES, UNPACKED_FREE = 100, 1 << 30  # an archive may be so many times its size, or so many bytes


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a tar, compressed or not, by its content; an office document is none."""
    name = path.name.lower()
    if name.endswith((".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")):
        return zipfile.is_zipfile(path) or _is_tar(path)
    return False


def _is_tar(path: Path) -> bool:
    """Whether a file is a tar; one whose compression stops or breaks is taken for one, and refused when it is read."""
    try:
        return tarfile.is_tarfile(path)
    except BROKEN:
        return True


@cache
def unpacked(location: str, size: int, stamp: str) -> Path:
    """An archive's files in a temporary folder that is gone when this process ends; links and odd paths are refused."""
    folder = Path(tempfile.mkdtemp(prefix="simtool-archive-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        if zipfile.is_zipfile(location):
            with SteppedZip(location) as archive:
                members = archive.infolist()
                if not all(member.filename for member in members):  # zipfile ends in an IndexError there
                    raise zipfile.BadZipFile("a file in it has no name")
                _check_windows(location, members)
                _check_unpacked(location, size, sum(member.file_size for member in members))
                archive.extractall(folder)
        else:
            with open(location, "rb") as raw, tarfile.open(fileobj=_within_limits(raw), mode="r|*") as archive:
                n_bytes = 0
                for member in archive:  # sizes are known as it is read
                    _check_unpacked(location, size, n_bytes := n_bytes + member.size)
                    archive.extract(member, folder, filter="data")
    except WindowTooLarge as error:
        raise window_too_large(without_home(location), error) from error
    except (OSError, tarfile.TarError, zipfile.BadZipFile, struct.error, *BROKEN) as error:
        raise SimtoolError(f"Cannot unpack {without_home(location)}: {error}. It may be damaged.") from error
    return folder


class SteppedZip(zipfile.ZipFile):
    """A zip that is unpacked in steps that are small where they are packed: of LZMA and bzip2, zipfile unpacks all that
    a step holds, which was 0.5 GB of 64 kB."""

    def open(self, name: Any, mode: Any = "r", pwd: bytes | None = None, **options: Any) -> Any:
        file = super().open(name, mode, pwd, **options)
        member = name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)
        if mode == "r" and member.compress_type in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
            read = file.read
            file.read = lambda size=-1: read(PACKED_STEP if size is None or size < 0 else min(size, PACKED_STEP))
        return file


def _check_windows(location: str, members: Iterable[zipfile.ZipInfo]) -> None:
    """See that no file of a zip that is packed by LZMA asks for more memory than is allowed: its dictionary's size
    stands behind its head (APPNOTE 5.8.8)."""
    with open(location, "rb") as raw:
        for member in members:
            if member.compress_type == zipfile.ZIP_LZMA:
                raw.seek(member.header_offset)
                head = raw.read(30)
                raw.seek(sum(struct.unpack("<HH", head[26:30])), io.SEEK_CUR)  # its name, and more
                window = int.from_bytes(raw.read(9)[5:], "little")
                if window > largest_window():
                    raise WindowTooLarge(window)


def _within_limits(raw: BinaryIO) -> Any:
    """A tar of xz as a plain one: tarfile would give xz all the memory that it asks for."""
    xz = COMPRESSIONS["xz"]
    is_xz = raw.read(len(xz.magic)) == xz.magic
    raw.seek(0)
    return xz.open(raw) if is_xz else raw


def _check_unpacked(location: str, size: int, n_bytes: int) -> None:
    if n_bytes > max(UNPACKED_FREE, UNPACKED_TIMES * size):
        raise SimtoolError(
            f"{without_home(location)} unpacks to more than {n_bytes >> 20:,} MB, {UNPACKED_TIMES} times its size.\n"
            "Unpack it yourself, if that is as it should be, and name the folder."
        )
