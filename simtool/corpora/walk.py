"""What lies below a folder, and what a glob matches: walks that end, whatever they are sent through.

A wrong word on a command line must not walk a whole disk. So no walk looks at more than `most_files()` names, and none
goes from above into what a system shows of itself as files, in which a read may never end.
"""

import fnmatch
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from simtool.addresses import without_home, without_secrets
from simtool.corpora.compression import suffix_of
from simtool.errors import SimtoolError

MOST_FILES = 200_000  # names that a walk looks at: 2 s of processor time, and more than the source of Linux has
SHOWN_KINDS = 5
SYSTEM = {"/proc", "/sys", "/dev", "/run"}
SIGNS = "*?["


def most_files() -> int:
    """Names of files and folders that a walk looks at: --most-files."""
    return int(os.environ.get("SIMTOOL_MOST_FILES") or MOST_FILES)


class Walk:
    """One walk, that counts what it sees: `files_below` a folder, or the paths that are `matching` a pattern."""

    def __init__(self, name: str):
        self.name, self.left = name, most_files()
        self.kinds: Counter[str] = Counter()
        self.counted: set[str] = set()  # folders, of which a glob looks at some twice

    def files_below(self, folder: Path, skipped: set[str]) -> Iterator[Path]:
        """Files that are not hidden; links are followed, and a folder that a link leads to is entered once.

        Parameters
        ----------
        skipped
            Names of folders that are not entered.
        """
        entered: set[str] = set()
        waiting = [folder]
        while waiting:
            root = waiting.pop()
            if (real := os.path.realpath(root)) in entered or (root != folder and real in SYSTEM):
                continue
            entered.add(real)
            folders = []
            for entry in self._entries(root):
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    folders += [Path(entry)] if entry.name not in skipped else []
                elif _is_file(entry):
                    yield Path(entry)
            waiting += sorted(folders, reverse=True)

    def matching(self, pattern: Path) -> Iterator[Path]:
        """Files that a glob matches: * ? [] within a name, ** for any folders, of which links are not followed."""
        root = Path(pattern.anchor)
        parts = pattern.relative_to(pattern.anchor).parts
        parts += ("*",) * (parts[-1:] == ("**",))
        matched: set[Path] = set()
        for path in self._below(root, parts):
            if path not in matched and path.is_file():
                matched.add(path)
                yield path

    def _below(self, root: Path, parts: tuple[str, ...]) -> Iterator[Path]:
        """What the parts of a pattern match below a folder."""
        if not parts:
            yield root
            return
        part, rest = parts[0], parts[1:]
        if part == "**":
            waiting = [root]
            while waiting:
                folder = waiting.pop()
                yield from self._below(folder, rest)
                inside = (entry for entry in self._entries(folder) if _is_folder(entry, follow=False))
                waiting += [Path(entry) for entry in inside if os.path.abspath(entry) not in SYSTEM]
        elif any(sign in part for sign in SIGNS):
            for entry in self._entries(root):
                if fnmatch.fnmatch(entry.name, part) and (not rest or _is_folder(entry)):
                    yield from self._below(Path(entry), rest)
        elif os.path.exists(root / part):  # also where a name is too long
            yield from self._below(root / part, rest)

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        """What lies in a folder; nothing where nobody may look.

        Raises
        ------
        SimtoolError
            Where the walk has seen too much.
        """
        is_new = str(folder) not in self.counted
        self.counted.add(str(folder))
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if is_new:
                    self._count(entry)
                yield entry

    def _count(self, entry: os.DirEntry[str]) -> None:
        if not self.left:
            raise too_many(self.name, self.kinds)
        self.left -= 1
        if not _is_folder(entry, follow=False):
            self.kinds[_kind(entry.name)] += 1


def too_many(name: str, kinds: Counter[str]) -> SimtoolError:
    """The error for a folder or glob that leads through more than is looked at; kinds: of the first files."""
    return SimtoolError(
        f"{without_home(without_secrets(name))} leads through more than {most_files():,} files and folders. The first"
        f" of them: {kinds_text(kinds) or 'folders only'}.\nName a folder further down, or a glob of the files that"
        " are meant. Where it is as it should be: simtool --most-files N ..."
    )


def kinds_of(names: Iterable[str]) -> Counter[str]:
    """How many names have which ending."""
    return Counter(map(_kind, names))


def _kind(name: str) -> str:
    return suffix_of(name) or "without an ending"


def kinds_text(kinds: Counter[str]) -> str:
    """How many files of which endings: "61,003 .py, 20 .md and 12 of 3 other kinds"."""
    shown = kinds.most_common(SHOWN_KINDS)
    rest = kinds.total() - sum(n for _, n in shown)
    text = ", ".join(f"{n:,} {kind}" for kind, n in shown)
    return f"{text} and {rest:,} of {len(kinds) - len(shown)} other kinds" if rest else text


def _is_folder(entry: os.DirEntry[str], follow: bool = True) -> bool:
    """Whether it is a folder; what nobody may look at is none."""
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
