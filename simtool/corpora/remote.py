"""Files at a distance: a request that fails is repeated, and an answer that is not what was asked for is an error.

The hub's client repeats requests itself, and its errors are told by `hub`.
"""

import io
import re
import time
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from simtool.errors import SimtoolError

WAITS = (0.3, 1.0, 3.0)  # seconds, before a request is repeated
# errors of aiohttp for a connection that ends; not of one that stalls, which took five minutes to be noticed
BROKEN_OFF = {"ClientOSError", "ClientPayloadError", "ServerDisconnectedError"}
PASSING = {408, 425, 429, 500, 502, 503, 504}  # statuses of HTTP that may be another the next time

Result = TypeVar("Result")


class RemoteFile(io.RawIOBase):
    """An open file of fsspec, of which each reading gets all that was asked for, or is an error.

    fsspec 2026.9 passes on what a server sends: fewer bytes end a file early, and nothing is asked for twice.

    opened       opens it; again after an error, since fsspec may hold what was wrong
    as_message   what is raised for an error of the library that reads
    """

    def __init__(self, opened: Callable[[], Any], as_message: Callable[[Exception], SimtoolError]):
        self.opened, self.as_message = opened, as_message
        self.file: Any = None  # what `close` finds where it cannot be opened
        self.file = repeated(opened)
        self.size: int | None = getattr(self.file, "size", None)
        self.has_failed = False

    def read(self, size: int | None = -1) -> bytes:
        place, size = self.file.tell(), -1 if size is None else size
        try:
            if (total := self.size) is None:  # a stream, which goes on where it is
                return self.file.read(size)
            return repeated(lambda: self._read_at(place, size, total))
        except Exception as error:
            raise self.as_message(error) from error

    def _read_at(self, place: int, size: int, total: int) -> bytes:
        if self.has_failed:
            self.file = self.opened()
        self.has_failed = True  # until it is known to be right
        self.file.seek(place)
        data = self.file.read(size)
        left = max(total - place, 0)
        if len(data) != (expected := left if size < 0 else min(size, left)):
            raise ConnectionError(f"the server sent {len(data):,} bytes in place of {expected:,}")
        self.has_failed = False
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self.file.seek(offset, whence)
        except ValueError as error:  # a stream
            raise self.as_message(error) from error

    def tell(self) -> int:
        return self.file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self.file.seekable()

    def close(self) -> None:
        if not self.closed and self.file is not None:
            self.file.close()
        super().close()


def repeated(request: Callable[[], Result]) -> Result:
    """What it returns; tried again where its error may pass. The last error is raised."""
    for seconds in WAITS:
        try:
            return request()
        except Exception as error:  # of any library that fsspec reads with
            if not may_pass(error):
                raise
        time.sleep(seconds)
    return request()


def may_pass(error: BaseException | None) -> bool:
    """Whether the same request may be answered the next time."""
    if error is None:
        return False
    if isinstance(error, FileNotFoundError):  # fsspec calls so what it could not ask for
        return may_pass(error.__cause__)
    if (status := status_of(error)) is not None:
        return status in PASSING
    return isinstance(error, ConnectionError) or type(error).__name__ in BROKEN_OFF


def status_of(error: BaseException) -> int | None:
    """The status of an HTTP answer that is this error."""
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


def file_system(location: str) -> tuple[Any, str]:
    """The file system of fsspec that a URL is read with, and what the file is called there."""
    import fsspec

    if not location.startswith(("http://", "https://")):
        return fsspec.core.url_to_fs(location)
    return fsspec.core.url_to_fs(location, client_kwargs={"response_class": _checked_response()})


@cache
def _checked_response() -> Any:
    import aiohttp

    class CheckedResponse(aiohttp.ClientResponse):
        """An answer that has the bytes that were asked for: fsspec does not look at which these are."""

        async def start(self, connection: Any) -> Any:
            response = await super().start(connection)
            requested = re.fullmatch(r"bytes=(\d+)-(\d+)", self.request_info.headers.get("Range", ""))
            if self.status == 206 and requested:
                self._check_range(*map(int, requested.groups()))
            return response

        def _check_range(self, first: int, last: int) -> None:
            answer = re.match(r"bytes (\d+)-(\d+)/(\d+|\*)", self.headers.get("Content-Range", ""))
            if answer is None:
                return
            start, stop = int(answer[1]), int(answer[2])
            end = last if answer[3] == "*" else min(last, int(answer[3]) - 1)
            length = self.headers.get("Content-Length", str(stop - start + 1))
            if (start, stop) != (first, end) or (length != str(stop - start + 1) and not self._is_packed()):
                raise aiohttp.ClientPayloadError(
                    f"the server sent bytes {start}-{stop} ({length} of them) in place of {first}-{end}"
                )

        def _is_packed(self) -> bool:
            return self.headers.get("Content-Encoding", "identity") not in ("", "identity")

    return CheckedResponse
