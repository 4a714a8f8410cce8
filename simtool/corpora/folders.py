"""Which files of a folder are its text: a dataset's data files in one split, or every file of a source tree.

Links are followed, round trips are not. Passed over, and told: what is hidden, what Spark and the hub write beside
data (`_SUCCESS`, `dataset_infos.json`, READMEs), other splits, and a file that is there twice in another wrapping.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from simtool.corpora.compression import BY_SUFFIX, suffix_of
from simtool.corpora.files import File, local_file
from simtool.corpora.formats import BY_NAME, LONGEST_SOURCE_FILE, format_of, is_text, named_format
from simtool.corpora.walk import Walk
from simtool.errors import SimtoolError

SPLITS = {"train": "train|training", "validation": "validation|valid|val|dev", "test": "test|testing|eval|evaluation"}
SPLIT = {name: re.compile(rf"(?<![a-z])({words})(?![a-z])", re.IGNORECASE) for name, words in SPLITS.items()}
BESIDE_DATA = re.compile(  # what is written beside data and is none
    r"_(SUCCESS|metadata|common_metadata|committed_.*|started_.*)|dataset_infos?\.json|dataset_dict\.json|state\.json"
    r"|(README|LICEN[CS]E|CHANGELOG|CITATION|NOTICE)(\..*)?|.*\.(md|rst|crc|sha256|md5|yaml|yml|lock|log)",
    re.IGNORECASE,
)
WORK_FOLDERS = {"_temporary", "_delta_log", "__pycache__", "node_modules"}
DATA = {"jsonl", "parquet", "arrow", "csv", "warc"}


@dataclass(frozen=True)
class Contents:
    """What of a folder is read, and what is passed over.

    is_tree   a folder of source or text files: a file is a document
    passed    names that are not read, with the reason: ("README.md", "beside the data")
    """

    files: tuple[File, ...]
    is_tree: bool = False
    passed: tuple[tuple[str, str], ...] = ()


def contents_of(folder: Path, split: str = "train") -> Contents:
    """What a folder holds.

    Parameters
    ----------
    folder
        Read with all folders below it.
    split
        Of a dataset whose files or folders are named by splits, as the hub reads them.

    Raises
    ------
    SimtoolError
        Where it holds too many files, where data and other files are so mixed that either may be meant, or where the
        dataset has no such split.
    """
    paths = sorted(Walk(str(folder)).files_below(folder, WORK_FOLDERS))
    data, others = _data_and_others(folder, paths)
    sources = [path for path in others if not BESIDE_DATA.fullmatch(path.name) and is_source(path)]
    if not data or len(sources) > len(data):
        _refuse_both(folder, data, sources)
        return _as_tree(folder, paths)
    beside = [(_inside(folder, path), "beside the data") for path in others]
    data, doubles = _without_doubles(folder, data)
    data, elsewhere = _of_split(folder, data, split)
    # other splits first: of what is passed over, they are most likely meant
    return Contents(tuple(map(local_file, data)), False, (*sorted(elsewhere), *sorted([*beside, *doubles])))


def split_of(name: str) -> str | None:
    """The split that a file's name or, failing that, a folder on its way says: "data/train-00000-of-00002.parquet"."""
    for part in reversed(PurePosixPath(name).parts):
        for split, pattern in SPLIT.items():
            if pattern.search(part):
                return split
    return None


def _data_and_others(folder: Path, paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Files of records, and all else. What an ending that says nothing stands for, the first file with it shows."""
    kinds: dict[str, str | None] = {}
    data, others = [], []
    for path in paths:
        ending = suffix_of(path.name) if named_format(path.name) else _ending(path)
        if BESIDE_DATA.fullmatch(path.name):
            others.append(path)
            continue
        if ending not in kinds:
            named = BY_NAME.get(ending)
            kinds[ending] = named if named in DATA else format_of(local_file(path))
        is_data = kinds[ending] in DATA or (kinds[ending] == "json" and _holds_records(path))
        (data if is_data else others).append(path)
    return data, others


def _ending(path: Path) -> str:
    """The ending, or for part-00000 the name without its digits."""
    return suffix_of(path.name) or re.sub(r"\d+", "", path.name)


def _holds_records(path: Path) -> bool:
    """Whether a .json file is a list of objects, and not a program's settings."""
    head = local_file(path).open().read(64).lstrip()
    return head.startswith(b"[") or b'"data"' in head


def is_source(path: Path) -> bool:
    """Whether a file counts as one of a source tree: text, of a size that people write."""
    too_large = path.stat().st_size > LONGEST_SOURCE_FILE and named_format(path.name) != "text"
    if too_large or path.suffix.lower() in BY_SUFFIX:
        return False
    with path.open("rb") as stream:
        return is_text(stream.read(4096))


def _refuse_both(folder: Path, data: list[Path], sources: list[Path]) -> None:
    """Few files of records that hold most of the text, among many of source: either may be meant."""
    sizes = [sum(path.stat().st_size for path in paths) for paths in (data, sources)]
    if sizes[0] > max(sizes[1], LONGEST_SOURCE_FILE):
        raise SimtoolError(
            f"{folder} holds {len(data):,} data file(s) and {len(sources):,} other text files: which are meant?\n"
            f"Name the files: {data[0]}, or a glob in quotes: '{folder}/**/*{sources[0].suffix}'."
        )


def _as_tree(folder: Path, paths: list[Path]) -> Contents:
    read = [path for path in paths if is_source(path)]
    passed = [(_inside(folder, path), "no text, or too large") for path in paths if path not in set(read)]
    return Contents(tuple(map(local_file, read)), True, tuple(passed))


def _without_doubles(folder: Path, data: list[Path]) -> tuple[list[Path], list[tuple[str, str]]]:
    """One file of those that differ in their wrapping only: a.jsonl and a.jsonl.gz, a.jsonl and a.parquet."""
    read: dict[Path, Path] = {}
    doubles = []
    for path in sorted(data, key=lambda path: (len(path.suffixes), path)):
        stem = path.with_name(_stem(path.name))
        if stem in read:
            doubles.append((_inside(folder, path), f"again in {read[stem].name}"))
        else:
            read[stem] = path
    return sorted(read.values()), doubles


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    while path.suffix.lower() in (*BY_SUFFIX, *BY_NAME):
        path = path.with_suffix("")
    return path.name


def _of_split(folder: Path, data: list[Path], split: str) -> tuple[list[Path], list[tuple[str, str]]]:
    """The files of a split, where the names say so; what names none is training text, unless other files are."""
    splits = {path: split_of(_inside(folder, path)) for path in data}
    named = {name for name in splits.values() if name}
    if not named and split == "train":
        return data, []
    unnamed = None if split == "train" and "train" not in named else split
    read = [path for path in data if splits[path] in (split, unnamed)]
    if not read:
        splits_there = (
            f"It has: {', '.join(sorted(named))}." if named else "Its files name no splits: leave --split out."
        )
        raise SimtoolError(f"{folder} has no split {split!r}. {splits_there}")
    others = [path for path in data if path not in set(read)]
    return read, [(_inside(folder, path), f"split {splits[path]}" if splits[path] else "no split") for path in others]


def _inside(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
