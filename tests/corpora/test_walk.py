"""Walks of folders and globs end, and say what they lead through."""

import os
import signal
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from simtool.cli import main
from simtool.corpora import walk
from simtool.corpora.sources import announce, file_corpus, find_files
from simtool.corpora.walk import Walk, kinds_text
from simtool.errors import SimtoolError

PATTERNS = (
    "*",
    "*.py",
    "**/*.py",
    "**",
    "a/**/*.txt",
    "?/b/*",
    "[ab]/*",
    "a/../a/*.py",
    "**/b/**/*",
    "*/x.txt",
    "none/*",
)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in (
        "a/1.py",
        "a/x.txt",
        "a/b/2.py",
        "a/b/x.txt",
        "a/b/.c/3.py",
        "b/4.txt",
        "5.py",
        ".hidden/6.py",
        "a/.7.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
    (tmp_path / "b" / "link").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_glob_matches_what_pathlib_matches(tree, pattern):
    as_pathlib_has_it = f"{pattern}/*" if pattern.endswith("**") else pattern  # there, ** matched folders until 3.12
    expected = sorted(path for path in Path().glob(as_pathlib_has_it) if path.is_file())
    assert sorted(Walk(pattern).matching(Path(pattern))) == expected
    absolute = sorted(path for path in tree.glob(as_pathlib_has_it) if path.is_file())
    assert sorted(Walk(pattern).matching(tree / pattern)) == absolute and (expected or pattern == "none/*")


def test_files_below_a_folder_are_those_that_are_not_hidden(tree):
    (tree / "a" / "node_modules").mkdir()
    (tree / "a" / "node_modules" / "7.py").touch()
    names = [path.relative_to(tree).as_posix() for path in Walk("").files_below(tree, {"node_modules"})]
    assert sorted(names) == ["5.py", "a/1.py", "a/b/2.py", "a/b/x.txt", "a/x.txt", "b/4.txt"]  # b/link is a again


@pytest.mark.parametrize("spec", [".", "**/*.txt", "*/*"])
def test_a_walk_ends_and_says_what_it_leads_through(tree, monkeypatch, spec):
    monkeypatch.setenv("SIMTOOL_MOST_FILES", "4")
    with pytest.raises(SimtoolError) as error:
        find_files(spec)
    first, second = str(error.value).splitlines()
    assert first.startswith(f"{spec} leads through more than 4 files and folders. The first of them: ")
    assert second == (
        "Name a folder further down, or a glob of the files that are meant. Where it is as it should be: simtool"
        " --most-files N ..."
    )
    monkeypatch.setenv("SIMTOOL_MOST_FILES", "30")
    assert find_files(spec).files


class Endless:
    """A folder of which each name is a folder of the same kind, as a file system may have by mistake."""

    def __init__(self, folder, then=lambda n: None):
        self.folder, self.then = Path(folder), then

    def __enter__(self):
        return self.entries()

    def __exit__(self, *error):
        pass

    def entries(self):
        for n in count():
            self.then(n)
            yield Entry(self.folder / str(n))


class Entry:
    def __init__(self, path):
        self.name, self.path = path.name, str(path)

    def __fspath__(self):
        return self.path

    def is_dir(self, follow_symlinks=True):
        return True


@pytest.mark.parametrize("spec", ["{}", "{}/**/*.jsonl", "{}/*/x.jsonl"])
def test_a_folder_without_an_end_is_left(tmp_path, monkeypatch, spec):
    monkeypatch.setattr(walk.os, "scandir", Endless)
    with pytest.raises(SimtoolError, match=r"more than 200,000 files and folders. The first of them: folders only"):
        find_files(spec.format(tmp_path))


def test_ctrl_c_ends_a_walk(tmp_path, monkeypatch, capsys):
    def press(n):
        if n == 100:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(walk.os, "scandir", lambda folder: Endless(folder, press))
    monkeypatch.setattr("sys.argv", ["simtool", "matrix", str(tmp_path), "gsm8k"])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == 130 and "simtool: interrupted." in capsys.readouterr().err


def test_what_a_system_shows_of_itself_is_no_text(tmp_path, monkeypatch):
    for name in ("proc", "home"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kmsg.txt").write_text("a read of it may never end")
    monkeypatch.setattr(walk, "SYSTEM", {str(tmp_path.resolve() / "proc")})
    below = [*Walk("").files_below(tmp_path, set())], [*Walk("").matching(tmp_path / "**" / "*.txt")]
    assert below == ([tmp_path / "home" / "kmsg.txt"],) * 2
    assert [*Walk("").files_below(tmp_path / "proc", set())], "who names it means it"


def test_many_files_are_announced_before_they_are_read(tmp_path):
    for n in range(1000):
        (tmp_path / f"{n}.py").write_text("x = 1\n")
    (tmp_path / "notes").write_text("text\n")
    messages = []
    announce(file_corpus(str(tmp_path)), messages.append)
    assert messages == [f"1001 files of {tmp_path}: 1,000 .py, 1 without an ending; 0 MB on disk"]
    (tmp_path / "0.py").unlink()
    (tmp_path / "1.py").unlink()
    announce(file_corpus(str(tmp_path)), messages.append)
    assert len(messages) == 1, "999 are not many"


def test_kinds_are_listed_by_their_number():
    kinds = Counter({f".{letter}": n for n, letter in enumerate("abcdefg", 1)} | {".py": 61_003})
    assert kinds_text(kinds) == "61,003 .py, 7 .g, 6 .f, 5 .e, 4 .d and 6 of 3 other kinds"
