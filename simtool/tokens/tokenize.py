"""A corpus becomes stores: tokenized once, divided by content hash into splits, with what SFT masks."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from simtool.errors import SimtoolError
from simtool.integrity import file_hash, with_hash
from simtool.tables import provenance
from simtool.tokens.store import (
    ARRAYS,
    FORMAT,
    PER_DOCUMENT,
    Runs,
    TokenStore,
    fingerprint_of,
    load_store,
    mask_arrays,
    read_header,
    store_folder,
    text_identity,
)  # fmt: skip
from simtool.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from simtool.corpora.corpus import Corpus, Document

UNFINISHED = ".tokenizing."  # a folder's name begins so until it is whole
SHARES = {"train": 0.9, "validation": 0.05, "test": 0.05}
SPLIT_SEED = 0x5EED  # another seed than that of the folds, so that a split is a fair sample of every fold
BATCH_CHARACTERS = 16 << 20  # tokenized at once


def tokenize_corpus(
    corpus: "Corpus",
    tokenizer: Tokenizer,
    root: Path,
    shares: Mapping[str, float] = SHARES,
    tokens: int | None = None,
    skip_bad: bool = False,
    report: Callable[[Any], None] = lambda message: None,
) -> dict[str, TokenStore]:
    """Tokenize a corpus once, divided by content hash into splits; every split is whole or not there at all.

    What is there already, from the same text and settings, is not made again.

    Parameters
    ----------
    shares
        {split: share}; a document is in one split, whatever else is in the corpus, and so are its copies.
    tokens
        Stop after the document that reaches so many.
    report
        Is called with the number of tokens now and then.

    Raises
    ------
    SimtoolError
        When the text is there in another division, when the corpus is empty, or when it cannot be read or written.
    """
    text = text_identity(corpus)
    settings = (text, tokenizer.fingerprint, dict(shares), tokens, skip_bad)
    made_from = hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
    folders = {split: store_folder(root, corpus.name, split, tokenizer.fingerprint, text) for split in shares}
    if not _are_there(folders, made_from):
        with _only_writer(next(iter(folders.values())).parent, corpus.name, report):
            if not _are_there(folders, made_from):  # another may have written them meanwhile
                _write_splits(corpus, tokenizer, folders, dict(shares), tokens, skip_bad, made_from, report)
    return {split: load_store(folder) for split, folder in folders.items()}


@contextmanager
def _only_writer(parent: Path, name: str, report: Callable[[Any], None]) -> Iterator[None]:
    """No other process tokenizes this text meanwhile; what killed ones left half written is removed."""
    from filelock import FileLock, Timeout

    try:
        parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(parent / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report(f"{name} is being tokenized by another simtool; waiting for it.")
            lock.acquire()
        for leftover in parent.glob(f"{UNFINISHED}*"):
            shutil.rmtree(leftover, ignore_errors=True)
    except OSError as error:
        raise _unwritable(parent, error) from error
    with lock:
        yield


def _unwritable(parent: Path, error: OSError) -> SimtoolError:
    return SimtoolError(f"Cannot write to {parent}: {error.strerror or error}. Name another: --stores.")


def _are_there(folders: Mapping[str, Path], made_from: str) -> bool:
    """Whether all splits are there, of this text and division.

    Raises
    ------
    SimtoolError
        Where one is of another division.
    """
    existing = {split: folder for split, folder in folders.items() if (folder / "header.json").exists()}
    for folder in existing.values():
        if (header := read_header(folder))["facts"]["made_from"] != made_from:
            raise SimtoolError(
                f"{folder} holds another division of the text: {header['facts']['source']},"
                f" {header['facts']['shares']}.\nRemove it, or name another folder with --stores."
            )
    return len(existing) == len(folders)


def _write_splits(
    corpus: "Corpus",
    tokenizer: Tokenizer,
    folders: dict[str, Path],
    shares: dict[str, float],
    tokens: int | None,
    skip_bad: bool,
    made_from: str,
    report: Callable[[Any], None],
) -> None:
    from simtool.corpora.corpus import document_hash, why_empty
    from simtool.corpora.reading import Reading

    edges = np.cumsum(list(shares.values())) / sum(shares.values()) * 2.0**64
    reading = Reading(skip_bad)
    parent = next(iter(folders.values())).parent
    temporary = None
    n_tokens = 0
    try:
        temporary = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=parent))
        with ExitStack() as stack:
            writers = [stack.enter_context(_Writer(temporary / split, tokenizer)) for split in shares]
            # so few tokens may be asked for that a whole batch of text would be read for nothing
            characters = BATCH_CHARACTERS if tokens is None else min(BATCH_CHARACTERS, 4 * tokens)
            for documents in _batches(corpus, reading, characters):
                texts = [document.text.encode("utf-8", "replace") for document in documents]
                keys = np.array([document_hash(text, SPLIT_SEED) for text in texts], np.uint64)
                split_of = np.minimum(np.searchsorted(edges, keys.astype(np.float64), "right"), len(edges) - 1)
                table = _encoded(documents, texts, tokenizer)
                if tokens is not None:
                    before = n_tokens + np.cumsum(table["lengths"]) - table["lengths"]
                    split_of[before >= tokens] = -1
                for s, writer in enumerate(writers):
                    writer.add(table, split_of == s)
                n_tokens += int(table["lengths"].sum())
                report(n_tokens)
                if tokens is not None and n_tokens >= tokens:
                    break
        if not n_tokens:
            why = why_empty(reading.n_skipped, reading.reasons, reading.n_empty)
            raise SimtoolError(f"{corpus.name} holds no text: {corpus.describe()}.{why}")
        facts = provenance(
            source=corpus.describe(),
            content=corpus.source.content() if corpus.source else None,
            template=corpus.template.identity() if corpus.template else None,
            stand_in=corpus.stand_in,
            licence=corpus.licence,
            shares=shares,
            made_from=made_from,
            skipped=reading.n_skipped,
        )
        for split, writer in zip(shares, writers, strict=True):
            writer.write_header(corpus.name, split, corpus.train_on, tokenizer, facts)
            if not (folders[split] / "header.json").exists():
                (temporary / split).replace(folders[split])
    except OSError as error:
        raise _unwritable(parent, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _batches(corpus: "Corpus", reading: Any, characters: int) -> "Iterator[list[Document]]":
    gathered: list[Document] = []
    size = 0
    for documents in corpus.batches(reading=reading):
        gathered += documents
        size += sum(len(document.text) for document in documents)
        if size >= characters:
            yield gathered
            gathered, size = [], 0
    if gathered:
        yield gathered


def _encoded(documents: "list[Document]", texts: list[bytes], tokenizer: Tokenizer) -> dict[str, Any]:
    """Columns of a batch of documents, one entry a document, but for ids and offsets."""
    from simtool.corpora.corpus import document_hash

    ids, offsets = tokenizer.encode([document.text for document in documents])
    masked_bytes = [sum(len(s.text.encode("utf-8", "replace")) for s in d.segments if not s.counted) for d in documents]
    return {
        "ids": ids,
        "offsets": offsets,
        "lengths": np.diff(offsets),
        "n_bytes": np.array([len(text) for text in texts], np.int64),
        "masked_runs": _masked_runs(documents, ids, offsets, tokenizer),
        "n_masked_bytes": np.array(masked_bytes, np.int64),
        "hashes": np.array([document_hash(text) for text in texts], np.uint64),
    }


def _masked_runs(documents: "list[Document]", ids: np.ndarray, offsets: np.ndarray, tokenizer: Tokenizer) -> list[Runs]:
    """The runs of tokens of each document that lie in segments which are not counted.

    A token that straddles a border belongs to what is counted, so a text is cut once, as one text.
    """
    borders = {d: cuts for d, document in enumerate(documents) if (cuts := _borders(document))}
    prefixes = [_until(documents[d].text, at) for d, of_document in borders.items() for at, _ in of_document]
    runs: list[Runs] = [[] for _ in documents]
    if not prefixes:
        return runs
    prefix_ids, prefix_offsets = tokenizer.encode(prefixes)
    n = 0
    for d, of_document in borders.items():
        text, start = ids[offsets[d] : offsets[d + 1]], 0
        for _, begins_counted in of_document:
            prefix = prefix_ids[prefix_offsets[n] : prefix_offsets[n + 1]]
            whole = _common(prefix, text)
            n += 1
            if begins_counted:
                runs[d].append((start, whole))
            else:
                start = whole + (whole < min(len(prefix), len(text)))
        if not documents[d].segments[-1].counted:
            runs[d].append((start, len(text)))
        runs[d] = [(first, last) for first, last in runs[d] if first < last]
    return runs


def _until(text: str, end: int) -> str:
    """The first characters of a text, in which special tokens are read where they are in the whole."""
    return text.until(end) if hasattr(text, "until") else text[:end]


def _borders(document: "Document") -> list[tuple[int, bool]]:
    """Where, in characters, what is counted begins (True) or ends (False), behind the first character."""
    if all(segment.counted for segment in document.segments):
        return []
    borders, at, counted = [], 0, document.segments[0].counted
    for segment in document.segments:
        if segment.counted != counted:
            borders.append((at, segment.counted))
            counted = segment.counted
        at += len(segment.text)
    return borders


def _common(a: np.ndarray, b: np.ndarray) -> int:
    """How many leading entries are equal."""
    n = min(len(a), len(b))
    differ = np.flatnonzero(a[:n] != b[:n])
    return int(differ[0]) if len(differ) else n


class _Writer:
    """The arrays of one split, appended to as the text is read."""

    def __init__(self, folder: Path, tokenizer: Tokenizer):
        self.folder, self.dtypes = folder, {**ARRAYS, "ids": tokenizer.dtype}
        self.files: dict[str, BinaryIO] = {}
        self.n = dict.fromkeys(ARRAYS, 0)
        self.end = 0

    def __enter__(self) -> "_Writer":
        self.folder.mkdir()
        self.files = {name: (self.folder / f"{name}.bin").open("wb") for name in ARRAYS}
        for name in ("offsets", "mask_offsets"):
            self._append(name, np.zeros(1, np.int64))
        return self

    def __exit__(self, *error: object) -> None:
        for file in self.files.values():
            file.flush()
            os.fsync(file.fileno())
            file.close()

    def add(self, table: dict[str, Any], selected: np.ndarray) -> None:
        self._append("ids", table["ids"][np.repeat(selected, table["lengths"])])
        self._append("offsets", self.end + np.cumsum(table["lengths"][selected]))
        self.end = self.n["ids"]
        for name in PER_DOCUMENT:
            self._append(name, table[name][selected])
        masks = mask_arrays([table["masked_runs"][d] for d in np.flatnonzero(selected)])
        self._append("mask_offsets", self.n["mask_starts"] + masks["mask_offsets"][1:])
        self._append("mask_starts", masks["mask_starts"])
        self._append("mask_stops", masks["mask_stops"])

    def _append(self, name: str, array: np.ndarray) -> None:
        self.files[name].write(array.astype(np.dtype(self.dtypes[name]).newbyteorder("<"), copy=False).tobytes())
        self.n[name] += len(array)

    def write_header(self, corpus: str, split: str, train_on: str, tokenizer: Tokenizer, facts: dict) -> None:
        header = {
            "format": FORMAT,
            "corpus": corpus,
            "split": split,
            "tokenizer": tokenizer.name,
            "tokenizer_fingerprint": tokenizer.fingerprint,
            "vocabulary_size": tokenizer.vocabulary_size,
            "end_of_text": tokenizer.end_of_text,
            "train_on": train_on,
            "n_documents": self.n["hashes"],
            "n_tokens": self.n["ids"],
            "arrays": {
                name: {
                    "dtype": np.dtype(self.dtypes[name]).newbyteorder("<").str,
                    "n": self.n[name],
                    "sha256": file_hash(self.folder / f"{name}.bin"),
                }
                for name in ARRAYS
            },
            "facts": facts,
        }
        header["fingerprint"] = fingerprint_of(header)
        path = self.folder / "header.json"
        path.write_text(json.dumps(with_hash(header), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
