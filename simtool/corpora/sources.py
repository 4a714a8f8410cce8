"""Text from files, folders, globs, pipes and URLs: which files are meant, and their records as shards.

Shard k of n takes every n-th of their `pieces`, so that the shards together hold every record exactly once, whatever n
is. What a file holds: `formats`; what of a folder is read: `folders`.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from simtool.addresses import opening, public_name, without_home, without_secrets
from simtool.corpora.archives import is_archive, unpacked
from simtool.corpora.compression import COMPRESSIONS
from simtool.corpora.corpus import Corpus
from simtool.corpora.delimited import ONE_COLUMN, Dialect, csv_blocks, dialect_of
from simtool.corpora.files import File, is_pipe, local_file, remote_file, spooled, unreadable
from simtool.corpora.folders import contents_of, split_of
from simtool.corpora.formats import BY_NAME, FORMATS, column_names, document_blocks, format_of, named_format
from simtool.corpora.layouts import fields_looked_at, find_layout
from simtool.corpora.pieces import in_groups, piece_bytes, spans_of
from simtool.corpora.reading import Block, Columns, Piece, Reading, Row, Source
from simtool.corpora.walk import SIGNS, Walk, kinds_of, kinds_text, most_files, too_many
from simtool.errors import SimtoolError

SAMPLE_ROWS = 100  # that tell a layout
BEGINNING = 1 << 18  # bytes of a remote file that are enough for them
EXAMPLE_CHARACTERS, EXAMPLE_ITEMS = 1_000, 4  # of each text and list in the row that shows what a corpus's rows are
REQUESTS = 8  # at a time
MANY_FILES = 1_000  # from which on it is said, before they are read, of which kinds they are


@dataclass(frozen=True)
class Files(Source):
    """Documents of one or more files, in the order of their names.

    label     what the user asked for
    is_tree   a folder of source or text files: a file is a document
    passed    what of a folder is not read, with the reason
    dialect   of tables of text; None: detected from each
    """

    files: tuple[File, ...]
    label: str
    is_tree: bool = False
    passed: tuple[tuple[str, str], ...] = ()
    dialect: Dialect | None = None

    def read(self, shard: int = 0, n_shards: int = 1, reading: Reading | None = None) -> Iterator[list[Row]]:
        parts = [self] if n_shards == 1 else [piece.source for piece in self.pieces()[shard::n_shards]]
        reading = reading or Reading()
        n_bytes = [part.n_bytes for part in parts]
        total = None if None in n_bytes else sum(filter(None, n_bytes))
        before = 0
        for file in (file for part in parts for file in part.files):
            for block in self._blocks(file, reading):
                if total:
                    reading.fraction = min((before + block.position) / total, 1.0)
                rows = block.parse(reading)
                del block  # its bytes are not needed beside the rows
                if not file.is_remote:
                    file.check_unchanged()
                yield rows
            if file.is_remote:  # each look costs a request
                file.check_unchanged()
            before += file.n_bytes or 0

    def pieces(self, size: int | None = None, divided: Collection[File] | None = None) -> list[Piece]:
        """Parts of these files that are read by themselves.

        Parameters
        ----------
        size
            About how large they are on disk.
        divided
            The files that are looked into; the others are not divided. None: all.
        """
        size = size or piece_bytes(self.n_bytes)
        number = {file.location: n for n, file in enumerate(self.files)}
        looked_into = self.files if divided is None else divided
        in_spans = dict(zip(looked_into, self._all_spans(looked_into, size), strict=True))
        spans = (span for file in self.files for span in in_spans.get(file, [file]))
        return [
            Piece(
                ", ".join(
                    [_numbers([number[file.location] for file in group]), *(str(f.span) for f in group if f.span)]
                ),
                replace(self, files=tuple(group)),
                sum(file.n_bytes or 0 for file in group),
            )
            for group in in_groups(spans, size)
        ]

    def _all_spans(self, files: Collection[File], size: int) -> list[list[File]]:
        """The spans of each; of remote files many are looked into at a time, since each takes a request or two."""
        if not any(file.is_remote for file in files):
            return [self._spans(file, size) for file in files]
        with ThreadPoolExecutor(REQUESTS) as pool:
            return [*pool.map(partial(self._spans, size=size), files)]

    def _spans(self, file: File, size: int) -> list[File]:
        if self.is_tree or (file.size is not None and file.size <= size):
            return [file]
        return spans_of(file, known_format(file), size)

    def _blocks(self, file: File, reading: Reading) -> Iterator[Block]:
        if self.is_tree:
            return document_blocks(file, None)
        name = known_format(file)
        if name == "csv":
            return csv_blocks(file, reading.columns, self.dialect)
        return FORMATS[name](file, reading.columns)

    def absolute(self) -> "Files":
        """The same files, called what they are called, by paths that hold in any working folder."""
        files = (
            file if file.is_remote else replace(file, location=os.path.abspath(file.location), label=file.name)
            for file in self.files
        )
        return replace(self, files=tuple(files))

    def sparing(self) -> "Files":
        return replace(self, files=tuple(replace(file, is_sparing=True) for file in self.files))

    def sample(self, columns: Columns = None) -> list[Row]:
        """The first rows: what a layout is read off.

        Parameters
        ----------
        columns
            The fields that are looked at, where others cost something (remote parquet): those are null. None: all.
        """
        for file in self.sparing().files:
            for part in dict.fromkeys((self._beginning(file), file)):
                needed = columns if file.is_remote and known_format(file) == "parquet" else None
                reading = Reading(skip_bad=True, columns=needed)
                for block in self._blocks(part, reading):
                    if rows := block.parse(reading)[:SAMPLE_ROWS]:
                        nulls = dict.fromkeys(column_names(part) if needed else ())
                        return [nulls | row for row in rows]
        return []

    def _beginning(self, file: File) -> File:
        """The first part of a file, where it is remote and can be divided: there every MB takes its time."""
        return next(iter(self._spans(file, BEGINNING)), file) if file.is_remote else file

    def describe(self) -> str:
        if len(self.files) == 1 and not self.passed:
            return f"file {self.files[0].name}{self._shown_dialect()}"
        files = "1 file" if len(self.files) == 1 else f"{len(self.files)} files"
        return f"{files} of {without_home(self.label)}{self._shown_kinds()}{self._passed_over()}"

    def _shown_kinds(self) -> str:
        """Of how many kinds they are, where they are many: perhaps another folder was meant."""
        if len(self.files) < MANY_FILES:
            return ""
        return f": {kinds_text(kinds_of(file.location for file in self.files))}"

    def _shown_dialect(self) -> str:
        """How a table is written, where it is not as tables mostly are."""
        file = self.files[0]
        if self.is_tree or file.is_remote or named_format(file.name) != "csv" or format_of(file) != "csv":
            return ""
        dialect = self.dialect or dialect_of(file)
        return "" if dialect.delimiter in (",", ONE_COLUMN) and dialect.quote else f" ({dialect})"

    def _passed_over(self) -> str:
        if not self.passed:
            return ""
        shown = "; ".join(f"{name}: {reason}" for name, reason in self.passed[:3])
        more = f"; {len(self.passed) - 3} more" if len(self.passed) > 3 else ""
        return f" (passed over {shown}{more})"

    def identity(self) -> str:
        versions = "\n".join(
            [*(file.identity() for file in self.files), *([repr(self.dialect)] if self.dialect else [])]
        )
        return hashlib.sha256(versions.encode()).hexdigest()[:16]

    def version(self) -> str:
        """By names, sizes and stamps, without reading."""
        versions = "\n".join(f"{file.location} {file.size} {file.stamp}" for file in self.files)
        return hashlib.sha256(versions.encode()).hexdigest()[:16]

    def content(self) -> str:
        return hashlib.sha256("\n".join(file.content() for file in self.files).encode()).hexdigest()[:16]

    @property
    def n_bytes(self) -> int | None:
        sizes = [file.n_bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def is_remote(self) -> bool:
        return any(file.is_remote for file in self.files)


def _numbers(numbers: list[int]) -> str:
    first, last = numbers[0], numbers[-1]
    return f"file {first}" if first == last else f"files {first}-{last}"


def known_format(file: File) -> str:
    """The format of a file.

    Raises
    ------
    SimtoolError
        Where it is none that is known.
    """
    name = format_of(file)
    if name is None:
        raise SimtoolError(
            f"Cannot tell what {file.name} holds.\n"
            f"Known: {', '.join(name for name in FORMATS if name != 'document')} (endings such as"
            f" {', '.join(BY_NAME)}); compressed: {', '.join(COMPRESSIONS)}.\n"
            'Text in another encoding than UTF-8 is declared in the corpora file: encoding = "latin-1".'
        )
    return name


def find_files(spec: str, split: str = "train", encoding: str = "") -> Files:
    """The files of a path, folder, glob, pipe or URL.

    Parameters
    ----------
    spec
        As it is typed; "-" is standard input.
    split
        Of a folder whose files are named by splits.
    encoding
        Of their text, where it is not UTF-8.

    Raises
    ------
    SimtoolError
        Where there are none that can be read, or a split is asked of files that name none.
    """
    spec = public_name(spec)
    if is_pipe(spec):
        return Files(_declared((spooled(spec),), encoding), spec)
    if "://" in spec:
        files = tuple(_remote_files(spec))
    elif (path := _local_path(spec)).is_dir():
        contents = contents_of(path, split)
        if not contents.files:
            raise SimtoolError(f"The folder {spec} holds no file that can be read. Name one that does.")
        return Files(_declared(contents.files, encoding), spec, contents.is_tree, contents.passed)
    elif path.is_file() and is_archive(path):
        archive = local_file(path)
        folder = unpacked(str(path.absolute()), archive.size or 0, archive.stamp)
        contents = contents_of(folder, split)
        # known by their names in the archive, wherever it was unpacked
        files = tuple(
            replace(file, label=f"{spec}/{Path(file.location).relative_to(folder).as_posix()}")
            for file in contents.files
        )
        if files:
            return Files(_declared(files, encoding), spec, contents.is_tree, contents.passed)
    else:
        files = tuple(map(local_file, _local_paths(spec)))
    if not files:
        raise SimtoolError(
            f"No files match {without_secrets(spec)!r}. Give a file, a folder, a glob in quotes, or a URL."
        )
    if split != "train" and {split_of(Path(file.location).name) for file in files} != {split}:
        raise SimtoolError(f"--split {split} is for folders and the hub; {spec} names files. Leave it out.")
    files = _declared(files, encoding)
    if len(files) == 1:
        known_format(files[0])
    return Files(files, spec)


def _declared(files: tuple[File, ...], encoding: str) -> tuple[File, ...]:
    """Files in the encoding that is declared, if any is."""
    return tuple(replace(file, encoding=encoding) for file in files) if encoding else files


def file_corpus(
    spec: str,
    fields: str | None = None,
    split: str = "train",
    name: str | None = None,
    dialect: Dialect | None = None,
    encoding: str = "",
) -> Corpus:
    """A corpus of the user's own files.

    Parameters
    ----------
    spec
        A path, folder, glob, pipe or URL.
    fields
        What holds the text: "question,answer"; None: read off the first rows. See `layouts.find_layout`.
    split
        Of a folder whose files are named by splits.
    name
        What the corpus is called; the spec by default.
    dialect
        How tables of text are written; None: detected from each.
    encoding
        Of the text, where it is not UTF-8.
    """
    source: Files = replace(find_files(spec, split, encoding), dialect=dialect)
    corpus = Corpus(
        name=name or spec, about="Your own files.", role="specialised", licence="yours", render=None, example={},
        source=source,
    )  # fmt: skip
    return with_layout_of(corpus, source, fields)


def announce(corpus: Corpus, report: Callable[[str], None]) -> None:
    """Say what a corpus of many files is, before it is read."""
    source = corpus.source
    if isinstance(source, Files) and len(source.files) >= MANY_FILES:
        report(f"{source.describe()}; {(source.n_bytes or 0) >> 20:,} MB on disk")


def with_layout_of(corpus: Corpus, source: Files, fields: str | None) -> Corpus:
    """The corpus, read as the first rows of its files say. Fields that no layout knows are fetched for an error only,
    which may name them."""
    try:
        return with_layout(corpus, source.sample(fields_looked_at(fields)), fields)
    except SimtoolError:
        return with_layout(corpus, source.sample(), fields)


def with_layout(corpus: Corpus, rows: list[Row], fields: str | None) -> Corpus:
    """The corpus, read as its first rows (or the named fields) say."""
    assert corpus.source is not None
    layout = find_layout(rows, fields, corpus.source.describe())
    return replace(
        corpus,
        render=layout,
        example=shortened(rows[0]) if rows else {},
        train_on="response" if layout.has_prompt else "text",
        layout=layout.describe(rows),
    )


def shortened(value: Any) -> Any:
    """A row, or a value in it, with the beginning of each text and list: a corpus holds it as long as it lives, and one
    text may have 240 MB."""
    if isinstance(value, str):
        return value[:EXAMPLE_CHARACTERS]
    if isinstance(value, list):
        return [shortened(item) for item in value[:EXAMPLE_ITEMS]]
    if isinstance(value, dict):
        return {name: shortened(item) for name, item in value.items()}
    return value


def _local_path(spec: str) -> Path:
    """The path that is typed, there or not.

    Raises
    ------
    SimtoolError
        Where it cannot be one: longer than a name may be, or of no user.
    """
    try:
        path = Path(spec).expanduser()
        path.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise unreadable(spec, error) from error
    return path


def _local_paths(spec: str) -> list[Path]:
    path = _local_path(spec)
    if path.exists():
        return [path]
    if any(sign in spec for sign in SIGNS):
        return sorted(Walk(spec).matching(path))
    raise SimtoolError(f"No file {spec}. Check the path.")


def _remote_files(spec: str) -> list[File]:
    import fsspec

    spec = opening(spec)
    try:
        system, path = fsspec.core.url_to_fs(spec)
        if any(sign in path for sign in "*["):
            paths = sorted(system.glob(path))
        elif not spec.startswith("http") and system.isdir(path):
            paths = sorted(system.find(path))
        else:
            return [remote_file(spec)]
        if len(paths) > most_files():
            raise too_many(spec, kinds_of(paths[: most_files()]))
        return [remote_file(system.unstrip_protocol(path)) for path in paths]
    except ImportError as error:
        raise SimtoolError(f"Cannot open {without_secrets(spec)}: {error}.") from error
    except (OSError, ValueError) as error:
        raise unreadable(spec, error) from error
