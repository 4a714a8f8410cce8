"""Sets of the hub as files: what `datasets` would read of them, at the commit that their revision means now.

So they go the way of all files: they are divided, counted by many workers, sampled in blocks, and go on after an
interruption (`pieces`). Where rows are not what stands in the files (text and CSV, of which `datasets` makes rows of
its own, archives, what a card sets beside its files), a set stays a stream.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from pathlib import PurePosixPath
from typing import Any

from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.corpus import Corpus
from simtool.corpora.files import File, listed_file
from simtool.corpora.formats import named_format
from simtool.corpora.hub import Hub, Hubs, builder_of, check_split, commit_of, errors_as_messages
from simtool.corpora.reading import Block, Columns, Piece, Reading, Row
from simtool.corpora.sources import SAMPLE_ROWS, Files, with_layout, with_layout_of
from simtool.errors import SimtoolError

READ_ALIKE = {"parquet": ("parquet",), "json": ("jsonl", "json")}  # a builder of `datasets`, and formats of `formats`
CHANGES_NO_ROW = {"name", "version", "data_dir", "data_files", "description", "columns", "batch_size", "chunksize"}


class Undivided(SimtoolError):
    """A set of the hub is not read as files; the message is the reason, as the end of a sentence."""


@dataclass(frozen=True)
class HubFiles(Files):
    """The files of one set of the hub or several, each at its commit.

    sets   each with its commit as its revision
    """

    sets: tuple[Hub, ...] = ()

    @property
    def commits(self) -> tuple[str, ...]:
        return tuple(hub.revision or "" for hub in self.sets)

    def describe(self) -> str:
        return " + ".join(hub.describe() for hub in self.sets)

    def read(self, shard: int = 0, n_shards: int = 1, reading: Reading | None = None) -> Iterator[list[Row]]:
        with errors_as_messages(self._set_of(self.files[0])):
            yield from super().read(shard, n_shards, reading)

    def sample(self, columns: Columns = None) -> list[Row]:
        with errors_as_messages(self.sets[0]):
            return super().sample(columns)

    def pieces(self, size: int | None = None, divided: Collection[File] | None = None) -> list[Piece]:
        with errors_as_messages(self.sets[0]):
            return super().pieces(size, divided)

    def _set_of(self, file: File) -> Hub:
        return next(hub for hub in self.sets if file.location.startswith(_root(hub)))

    def _blocks(self, file: File, reading: Reading) -> Iterator[Block]:
        columns = reading.columns or self._set_of(file).columns or None
        blocks = super()._blocks(file, Reading(columns=columns))
        if columns is None or named_format(file.location) not in READ_ALIKE["json"]:
            return blocks
        return (Block(partial(_with_nulls, block, columns), block.position) for block in blocks)


def _with_nulls(block: Block, columns: tuple[str, ...], reading: Reading) -> list[Row]:
    """Rows as `datasets` gives them: a needed field that a line leaves out and others have is null."""
    rows = block.parse(reading)
    if all(row.keys() >= set(columns) for row in rows):
        return rows
    nulls = dict.fromkeys(set(columns) & set().union(*rows))
    return [nulls | row for row in rows]


def as_files(corpus: Corpus, commits: Sequence[str] = ()) -> Corpus:
    """The corpus, read from the files of its sets of the hub; any other corpus as it is.

    Parameters
    ----------
    commits
        Of its sets, where they were looked up before.

    Raises
    ------
    Undivided
        Where its rows are not what stands in files.
    SimtoolError
        Where the hub refuses, or has no such set.
    """
    if not isinstance(corpus.source, Hub | Hubs):
        return corpus
    sets = corpus.source.parts if isinstance(corpus.source, Hubs) else (corpus.source,)
    commits = commits if len(commits) == len(sets) else [""] * len(sets)
    pinned = tuple(_pinned(hub, commit) for hub, commit in zip(sets, commits, strict=True))
    files = tuple(file for hub in pinned for file in _files_of(hub))
    return replace(corpus, source=HubFiles(files, corpus.source.describe(), sets=pinned))


def in_order_of_files(source: Any) -> bool:
    """Whether the stream of a set of the hub is its files, one after the other."""
    return isinstance(source, Hub) and source.spread == 1


def _pinned(hub: Hub, commit: str) -> Hub:
    with errors_as_messages(hub):
        return replace(hub, revision=commit or commit_of(hub))


def _root(hub: Hub) -> str:
    return f"hf://datasets/{hub.repo}@{hub.revision}/"


@cache
def _files_of(hub: Hub) -> tuple[File, ...]:
    """The files of a set at its commit, which is its revision: they stay the same."""
    with errors_as_messages(hub):
        builder = builder_of(hub)
        splits = builder.config.data_files
        if not splits:
            raise Undivided(f"{hub.repo} names no files")
        check_split(hub, splits)
        locations = [*map(str, splits[hub.split])]
        _check_read_alike(hub, builder, locations)
        return _listed(hub, locations)


def _check_read_alike(hub: Hub, builder: Any, locations: Sequence[str]) -> None:
    """The rows of a set are what stands in its files.

    Raises
    ------
    Undivided
        Where they are not.
    """
    if builder.name not in READ_ALIKE:
        raise Undivided(f"{hub.repo} is read by the builder {builder.name!r}")
    if settings := _settings(builder.config):
        raise Undivided(f"{hub.repo} sets {', '.join(settings)} for its files")
    for location, n in Counter(locations).items():
        if not location.startswith(_root(hub)) or named_format(location) not in READ_ALIKE[builder.name]:
            raise Undivided(f"{hub.repo} has {PurePosixPath(location).name}")
        if n > 1:
            raise Undivided(f"{hub.repo} reads {PurePosixPath(location).name} {n} times")


def _settings(config: Any) -> list[str]:
    """What a card says of how files are read."""
    plain = type(config)()
    names = [field.name for field in fields(config) if field.name not in CHANGES_NO_ROW]
    return [name for name in names if repr(getattr(config, name)) != repr(getattr(plain, name))]


def _listed(hub: Hub, locations: Sequence[str]) -> tuple[File, ...]:
    """Files with their sizes and hashes, in one request for 1,000 of a folder."""
    from huggingface_hub import HfFileSystem

    system = HfFileSystem()
    folders = dict.fromkeys(str(PurePosixPath(location.removeprefix("hf://")).parent) for location in locations)
    entries = {entry["name"]: entry for folder in folders for entry in system.ls(folder)}
    return tuple(listed_file(system, entries[location.removeprefix("hf://")]) for location in locations)


def hub_corpus(hub: Hub, fields: str | None) -> Corpus:
    """The corpus of a set that is named by its id: as its entry in the catalogue reads it, or as its first rows say."""
    for corpus in CATALOGUE.values():
        is_known = isinstance(corpus.source, Hub) and corpus.source.repo == hub.repo and corpus.row_filter is None
        if is_known and fields is None:
            return replace(corpus, source=hub)
    corpus = Corpus(hub.repo, f"{hub.repo} on the hub.", "specialised", "see the hub", None, {}, hub)
    try:
        source = as_files(corpus).source
    except Undivided:  # a stream, of which 5 MB and more are fetched
        rows = next(iter(hub.read(0, 1, Reading())), [])
        return with_layout(corpus, rows[:SAMPLE_ROWS], fields)
    assert isinstance(source, HubFiles)
    return with_layout_of(corpus, source, fields)
