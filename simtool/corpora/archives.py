"""Zip and tar files, unpacked into a folder that is read like any other."""

import atexit
import shutil
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from simtool.addresses import without_home
from simtool.corpora.compression import BROKEN, COMPRESSIONS, WindowTooLarge, window_too_large
from simtool.errors import SimtoolError

UNPACKED_TIMES, UNPACKED_FREE = 100, 1 << 30  # an archive may be so many times its size, or so many bytes


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a tar, compressed or not, by its content; an office document is none."""
    name = path.name.lower()
    if name.endswith((".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")):
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    return False


@cache
def unpacked(location: str, size: int, stamp: str) -> Path:
    """An archive's files in a temporary folder that is gone when this process ends; links and odd paths are refused."""
    folder = Path(tempfile.mkdtemp(prefix="simtool-archive-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        if zipfile.is_zipfile(location):
            with zipfile.ZipFile(location) as archive:
                _check_unpacked(location, size, sum(member.file_size for member in archive.infolist()))
                archive.extractall(folder)
        else:
            with open(location, "rb") as raw, tarfile.open(fileobj=_within_limits(raw), mode="r|*") as archive:
                n_bytes = 0
                for member in archive:  # sizes are known as it is read
                    _check_unpacked(location, size, n_bytes := n_bytes + member.size)
                    archive.extract(member, folder, filter="data")
    except WindowTooLarge as error:
        raise window_too_large(without_home(location), error) from error
    except (OSError, tarfile.TarError, zipfile.BadZipFile, *BROKEN) as error:
        raise SimtoolError(f"Cannot unpack {without_home(location)}: {error}. It may be damaged.") from error
    return folder


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
