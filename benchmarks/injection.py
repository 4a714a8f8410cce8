"""Faults put into files, and commands run in this process with whatever comes of them: what `faults.py` is made of.

To add a fault, write a function of the file's bytes and a seeded generator, and name it in FAULTS or JSON_FAULTS.
"""

import contextlib
import io
import json
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

SECONDS = 120  # in which a command on these small inputs ends
DATED = re.compile(r"\d{4}-\d\d-\d\dT[\d:+.]+|\d+(\.\d+)? s\b")
VALUES: tuple[Any, ...] = (None, "", "x", 0, -1, 1e308, True, [], {}, [1], {"a": 1})  # for any value of JSON


# ---- faults ----------------------------------------------------------------------------------------------


def flipped_bit(data: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def other_byte(data: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]


def truncated(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data))]


def emptied(data: bytes, rng: Random) -> bytes:
    return b""


def zeroed(data: bytes, rng: Random) -> bytes:
    """A block of zeros, as a lost page of a disk leaves."""
    place, size = rng.randrange(len(data)), rng.choice((16, 512, 4096))
    return data[:place] + bytes(len(data[place : place + size])) + data[place + size :]


def doubled_line(data: bytes, rng: Random) -> bytes:
    """A line of text, or a block of binary data, that is there twice."""
    lines = data.split(b"\n") if b"\0" not in data else [data[at : at + 64] for at in range(0, len(data), 64)]
    place = rng.randrange(len(lines))
    joint = b"\n" if b"\0" not in data else b""
    return joint.join([*lines[: place + 1], *lines[place:]])


def lost_line(data: bytes, rng: Random) -> bytes:
    lines = data.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def other_digit(data: bytes, rng: Random) -> bytes:
    """Another digit somewhere: still well formed."""
    places = [match.start() for match in re.finditer(rb"\d", data)] or [0]
    place = rng.choice(places)
    return data[:place] + b"%d" % rng.randrange(10) + data[place + 1 :]


FAULTS: tuple[Callable[[bytes, Random], bytes], ...] = (
    flipped_bit, other_byte, truncated, emptied, zeroed, doubled_line, lost_line, other_digit,
)  # fmt: skip


def other_value(data: bytes, rng: Random) -> bytes:
    """JSON, or one line of it, with a value of another kind or without a name."""
    lines = [data] if _is_json(data) else data.split(b"\n")
    n = rng.randrange(len(lines))
    try:
        content = json.loads(lines[n])
    except ValueError:
        return truncated(data, rng)
    places = list(_places(content))
    if not places:
        return truncated(data, rng)
    holder, key = rng.choice(places)
    if isinstance(holder, dict) and rng.random() < 0.3:
        del holder[key]
    else:
        holder[key] = rng.choice(VALUES)
    lines[n] = json.dumps(content).encode()
    return b"\n".join(lines)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every value inside, as what holds it and its key."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        yield content, key
        yield from _places(value)


def with_fault(path: Path, rng: Random) -> str:
    """Put a fault into a file, or remove it; the fault's name. A fault always changes the file."""
    if rng.random() < 0.08:
        path.unlink()
        return "deleted"
    data = path.read_bytes()
    is_json = path.suffix in (".json", ".jsonl")
    for _ in range(100):
        fault = rng.choice([*FAULTS, *[other_value] * 4] if is_json else FAULTS)
        changed = fault(data, rng) if data else b"x"
        if changed != data:
            path.write_bytes(changed)
            return fault.__name__
    raise AssertionError(f"no fault changes {path}")


# ---- commands --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What came of a command.

    code   its exit status; None: an exception that is no message
    place  of that exception: its kind, file, function and first line
    """

    code: int | None
    out: str
    err: str
    place: str = ""

    @property
    def result(self) -> str:
        """What it printed, without dates and durations."""
        return DATED.sub("", self.out)


class TooLong(BaseException):
    """A command did not end in time."""


def run_here(arguments: Sequence[str], seconds: int = SECONDS) -> Answer:
    """A command of simtool in this process: starting another costs more than most commands."""
    from simtool import cli

    def stop(*_: Any) -> None:
        raise TooLong

    out, err = _Text(), _Text()
    before, argv = signal.signal(signal.SIGALRM, stop), sys.argv
    sys.argv = ["simtool", *arguments]
    code, place = 0, ""
    signal.alarm(seconds)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cli.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except TooLong:
        code, place = None, f"more than {seconds} s"
    except BaseException as error:
        code, place = None, place_of(error)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        sys.argv = argv
    return Answer(code, out.getvalue(), err.getvalue(), place)


class _Text(io.TextIOWrapper):
    """Standard output that is kept, with the bytes below it that some commands write to."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)

    def getvalue(self) -> str:
        return self.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]


def place_of(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/simtool/" in frame.filename]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    first = (str(error).splitlines() or [""])[0][:120]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.name}: {first}"


# ---- folders ---------------------------------------------------------------------------------------------


class Restored:
    """A folder as it was: `restore` takes back whatever a fault and a command did to it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.contents = {path: path.read_bytes() for path in _files(folder)}
        self.stamps = {path: _stamp(path) for path in self.contents}

    def restore(self) -> None:
        for path in _files(self.folder):
            if path not in self.contents:
                path.unlink()
        for path, content in self.contents.items():
            if not path.exists() or _stamp(path) != self.stamps[path]:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                self.stamps[path] = _stamp(path)


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def tally(outcomes: Sequence[str]) -> Mapping[str, int]:
    """How often each came."""
    return {name: outcomes.count(name) for name in dict.fromkeys(outcomes)}
