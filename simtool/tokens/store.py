"""Text as ids on disk: tokenized once, memory-mapped, with document boundaries; what training and evaluation read.

A store is a folder a split: raw little-endian arrays, one file each, and `header.json` with their sizes, hashes and
where the text came from. Ids hold the documents' text alone: end-of-text tokens are set between documents when
batches are made, so the counting wing and the training wing see the same ids.

Reading needs numpy only, so that stores can be carried to a bare GPU machine. Writing needs the corpora.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from simtool.errors import SimtoolError
from simtool.integrity import check_file, check_json, damage_as_message, file_hash, read_json, with_hash
from simtool.tables import provenance
from simtool.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from simtool.corpora.corpus import Corpus, Document

FORMAT = 2  # raised when a store of an older layout would be read wrongly
PER_DOCUMENT = ("n_bytes", "n_masked_bytes", "hashes")
SHARES = {"train": 0.9, "validation": 0.05, "test": 0.05}
SPLIT_SEED = 0x5EED  # another seed than that of the folds, so that a split is a fair sample of every fold
REMEDY = "Remove its folder and tokenize the corpus again: nothing but time is lost."
IDENTITY = (
    "corpus", "split", "tokenizer", "tokenizer_fingerprint", "vocabulary_size", "end_of_text", "train_on",
)  # fmt: skip
HEADER = frozenset({*IDENTITY, "format", "n_documents", "n_tokens", "arrays", "facts", "fingerprint"})
BATCH_CHARACTERS = 16 << 20  # tokenized at once
ARRAYS = {
    "ids": None,  # uint16 or uint32, as the vocabulary needs
    "offsets": np.int64,
    "n_bytes": np.int64,
    "mask_offsets": np.int64,
    "mask_starts": np.int64,
    "mask_stops": np.int64,
    "n_masked_bytes": np.int64,
    "hashes": np.uint64,
}


@dataclass(frozen=True)
class TokenStore:
    """The documents of one split of a corpus as ids. Arrays are read-only; offsets run 0 .. n_tokens.

    ids               uint16 or uint32 (n_tokens,)   every id < vocabulary_size
    offsets           int64 (n_documents + 1,)       document d is ids[offsets[d]:offsets[d + 1]]
    n_bytes           int64 (n_documents,)           UTF-8 length
    mask_offsets      int64 (n_documents + 1,)       document d's masked runs are mask_offsets[d]:mask_offsets[d + 1]
    mask_starts       int64 (n_runs,)                first token of a run that SFT on responses does not learn ...
    mask_stops        int64 (n_runs,)                ... and the token behind it, counted from the document's first
    n_masked_bytes    int64 (n_documents,)           UTF-8 length of what is masked
    hashes            uint64 (n_documents,)          content hash: which document it is, whatever the order
    train_on          what fine-tuning counts in its loss: "response" or "text"
    facts             where the text came from: source, licence, stand_in, versions
    """

    corpus: str
    split: str
    tokenizer: str
    tokenizer_fingerprint: str
    vocabulary_size: int
    end_of_text: int | None
    ids: np.ndarray
    offsets: np.ndarray
    n_bytes: np.ndarray
    mask_offsets: np.ndarray
    mask_starts: np.ndarray
    mask_stops: np.ndarray
    n_masked_bytes: np.ndarray
    hashes: np.ndarray
    train_on: str = "text"
    fingerprint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        offsets = self.offsets
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(self.ids) or (np.diff(offsets) < 0).any():
            raise ValueError(f"Offsets of {self.corpus} must rise from 0 to {len(self.ids)}.")
        for name in PER_DOCUMENT:
            if len(getattr(self, name)) != self.n_documents:
                raise ValueError(f"{name} of {self.corpus} must have {self.n_documents} entries.")
        if len(self.mask_offsets) != len(offsets) or self.mask_offsets[-1] != len(self.mask_starts):
            raise ValueError(f"mask_offsets of {self.corpus} must rise from 0 to {len(self.mask_starts)}.")
        for name in ARRAYS:
            getattr(self, name).flags.writeable = False
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", _fingerprint(_header(self)))

    @property
    def n_documents(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_tokens(self) -> int:
        return len(self.ids)

    @property
    def has_masks(self) -> bool:
        """Whether SFT on responses learns only a part of some document."""
        return len(self.mask_starts) > 0

    @property
    def n_masked_tokens(self) -> np.ndarray:
        """int64 (n_documents,): how many tokens of each document are masked."""
        total = np.concatenate([[0], np.cumsum(self.mask_stops - self.mask_starts)])
        return np.diff(total[self.mask_offsets])

    @property
    def n_leading_masked(self) -> np.ndarray:
        """int64 (n_documents,): how many tokens before the first that SFT on responses learns."""
        first = self.mask_offsets[:-1]
        has_run = first < self.mask_offsets[1:]
        leading = np.zeros(self.n_documents, np.int64)
        at_start = first[has_run][self.mask_starts[first[has_run]] == 0]
        leading[np.flatnonzero(has_run)[self.mask_starts[first[has_run]] == 0]] = self.mask_stops[at_start]
        return leading

    def document(self, d: int) -> np.ndarray:
        return self.ids[self.offsets[d] : self.offsets[d + 1]]

    def is_masked(self, d: int) -> np.ndarray:
        """bool (n_tokens of document d,): which of its tokens SFT on responses does not learn."""
        masked = np.zeros(int(self.offsets[d + 1] - self.offsets[d]), bool)
        for run in range(int(self.mask_offsets[d]), int(self.mask_offsets[d + 1])):
            masked[self.mask_starts[run] : self.mask_stops[run]] = True
        return masked


Runs = list[tuple[int, int]]  # masked runs of a document: first token, and the one behind the last


def mask_arrays(runs: Sequence[Runs]) -> dict[str, np.ndarray]:
    """The masks of a store from those of its documents."""
    spans = np.array([run for document in runs for run in document], np.int64).reshape(-1, 2)
    offsets = np.concatenate([[0], np.cumsum([len(document) for document in runs], dtype=np.int64)])
    return {"mask_offsets": offsets, "mask_starts": spans[:, 0].copy(), "mask_stops": spans[:, 1].copy()}


# ---- reading ---------------------------------------------------------------------------------------------


def store_folder(root: Path, corpus: str, split: str, tokenizer_fingerprint: str, text: str) -> Path:
    """Where a split lies: ROOT/CORPUS-TOKENIZER-TEXT/SPLIT. A name that is a path or an id gets a hash.

    Parameters
    ----------
    text
        Which text the name stood for, and how it was read: `text_identity`.
    """
    return Path(root) / f"{_plain_name(corpus)}-{tokenizer_fingerprint[:8]}-{text}" / split


def _plain_name(corpus: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", corpus).strip("._-")[-60:]
    return plain if plain == corpus else f"{plain}-{hashlib.sha256(corpus.encode()).hexdigest()[:8]}"


def text_identity(corpus: "Corpus") -> str:
    """8 hex digits of which text a corpus is and how it is read: another file of the same name has others."""
    assert corpus.source is not None
    read = re.sub(r" at 0x[0-9a-f]+", "", corpus.reading_identity())
    return hashlib.sha256(f"{corpus.source.identity()} {read}".encode()).hexdigest()[:8]


def stores_by_name(root: Path, corpus: str, tokenizer_fingerprint: str) -> dict[str, Path]:
    """{split: folder} of what was tokenized under a name, whatever text that was; for where the text is not at hand.

    Raises
    ------
    SimtoolError
        Where several texts were tokenized under it.
    """
    pattern = f"{_plain_name(corpus)}-{tokenizer_fingerprint[:8]}-*"
    folders = [folder for folder in sorted(Path(root).glob(pattern)) if any(folder.glob("*/header.json"))]
    if len(folders) > 1:
        sources = [_read_header(next(folder.glob("*/header.json")).parent)["facts"]["source"] for folder in folders]
        raise SimtoolError(
            f"{len(folders)} texts were tokenized as {corpus} in {root}: {'; '.join(sources)}.\n"
            "Give the text, so that it is clear which is meant, or remove the others."
        )
    return {path.parent.name: path.parent for folder in folders for path in sorted(folder.glob("*/header.json"))}


def load_store(folder: Path) -> TokenStore:
    """The store of a folder, memory-mapped. Each file is read and compared with its hash once per process.

    Raises
    ------
    SimtoolError
        When it is missing, damaged or of another format.
    """
    folder, header = Path(folder), _read_header(folder)
    with damage_as_message(folder / "header.json", REMEDY):
        if header["fingerprint"] != _fingerprint(header):
            raise ValueError("it does not match its fingerprint")
        arrays = {name: _mapped(folder / f"{name}.bin", header["arrays"][name]) for name in ARRAYS}
        identity = {name: header[name] for name in IDENTITY}
        return TokenStore(**identity, **arrays, fingerprint=header["fingerprint"], facts=header["facts"], folder=folder)


def find_store(root: Path, corpus: str, split: str, tokenizer: Tokenizer, text: str | None = None) -> TokenStore:
    """The store of a corpus under a tokenizer.

    Parameters
    ----------
    text
        Which text, where it is at hand: `text_identity`. None: the only one that was tokenized under the name.

    Raises
    ------
    SimtoolError
        Where there is none (it says how to make it), or several under the name.
    """
    if text is None:
        folders = stores_by_name(root, corpus, tokenizer.fingerprint)
    else:
        folder = store_folder(root, corpus, split, tokenizer.fingerprint, text)
        folders = {path.parent.name: path.parent for path in sorted(folder.parent.glob("*/header.json"))}
    if split not in folders:
        if folders:
            raise SimtoolError(f"{corpus} has no split {split!r} in {root}. It has: {', '.join(folders)}.")
        named = "" if tokenizer.name == "default" else f" --tokenizer {tokenizer.name}"
        raise SimtoolError(
            f"{corpus} is not tokenized under {tokenizer.name!r} in {root}.\nMake it: simtool tokenize {corpus}{named}"
        )
    return load_store(folders[split])


def _read_header(folder: Path) -> dict[str, Any]:
    path = Path(folder) / "header.json"
    if not path.exists():
        raise SimtoolError(f"No tokens at {folder}. Make them: simtool tokenize CORPUS.")
    with damage_as_message(path, REMEDY):
        header = read_json(path)
        if header["format"] != FORMAT:
            raise SimtoolError(
                f"{folder} is of format {header['format']}; this simtool reads format {FORMAT}. Tokenize it again."
            )
        check_json(header, HEADER)
        return header


def _mapped(path: Path, described: dict[str, Any]) -> np.ndarray:
    dtype = np.dtype(described["dtype"])
    size = path.stat().st_size if path.exists() else -1
    if size != described["n"] * dtype.itemsize:
        raise SimtoolError(
            f"{path} is damaged: it holds {max(size, 0):,} bytes, not {described['n'] * dtype.itemsize:,}. {REMEDY}"
        )
    check_file(path, described["sha256"], REMEDY)
    # an empty file cannot be mapped
    return np.memmap(path, dtype, "r", shape=(described["n"],)) if described["n"] else np.empty(0, dtype)


def _fingerprint(header: Mapping[str, Any]) -> str:
    """16 hex digits of what was tokenized: which ids, under which tokenizer. Source and date do not count."""
    identity = {name: header[name] for name in ("corpus", "split", "tokenizer_fingerprint", "train_on")}
    identity["arrays"] = {name: header["arrays"][name]["sha256"] for name in ARRAYS}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _header(store: TokenStore) -> dict[str, Any]:
    """The header of a store that lies in memory."""
    arrays = {name: np.ascontiguousarray(getattr(store, name)) for name in ARRAYS}
    return {
        "corpus": store.corpus,
        "split": store.split,
        "tokenizer_fingerprint": store.tokenizer_fingerprint,
        "train_on": store.train_on,
        "arrays": {name: {"sha256": hashlib.sha256(array.tobytes()).hexdigest()} for name, array in arrays.items()},
    }


# ---- writing ---------------------------------------------------------------------------------------------


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
    existing = {split: folder for split, folder in folders.items() if (folder / "header.json").exists()}
    for folder in existing.values():
        if (header := _read_header(folder))["facts"]["made_from"] != made_from:
            raise SimtoolError(
                f"{folder} holds another division of the text: {header['facts']['source']},"
                f" {header['facts']['shares']}.\nRemove it, or name another folder with --stores."
            )
    if len(existing) < len(folders):
        _write_splits(corpus, tokenizer, folders, dict(shares), tokens, skip_bad, made_from, report)
    return {split: load_store(folder) for split, folder in folders.items()}


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
    from simtool.corpora.corpus import Reading, document_hash, why_empty

    edges = np.cumsum(list(shares.values())) / sum(shares.values()) * 2.0**64
    reading = Reading(skip_bad)
    parent = next(iter(folders.values())).parent
    temporary = None
    n_tokens = 0
    try:
        parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".tokenizing.", dir=parent))
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
            content=corpus.source.content() if hasattr(corpus.source, "content") else None,
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
        raise SimtoolError(f"Cannot write to {parent}: {error.strerror or error}. Name another: --stores.") from error
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
        header["fingerprint"] = _fingerprint(header)
        path = self.folder / "header.json"
        path.write_text(json.dumps(with_hash(header), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


# ---- near-duplicates -------------------------------------------------------------------------------------

NGRAM = 13  # tokens, as in GPT-3's contamination check (arXiv:2005.14165, appendix C)
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying loses nothing
KEPT_HASHES = 8_000_000  # of the larger store: beyond, a fixed part of all hashes is compared


@dataclass(frozen=True)
class Overlap:
    """How much of one store's documents is in another: the shares of each document's 13-grams found there."""

    n_documents: int
    shares: np.ndarray  # float64 (n_documents,); a shorter document counts as a whole, found or not

    @property
    def n_near_duplicates(self) -> int:
        """Documents of which at least half is there."""
        return int((self.shares >= 0.5).sum())

    def __str__(self) -> str:
        share = self.n_near_duplicates / max(self.n_documents, 1)
        return f"{self.n_near_duplicates:,} of {self.n_documents:,} documents ({share:.1%}) are at least half there"


def overlap(store: TokenStore, other: TokenStore) -> Overlap:
    """How much of the documents of `store` (say, validation) also stands in `other` (say, train)."""
    step = max(1, -(-other.n_tokens // KEPT_HASHES))
    known = np.unique(_ngram_hashes(other, step)[0])
    hashes, document_of = _ngram_hashes(store, step)
    is_shared = known[np.minimum(np.searchsorted(known, hashes), max(len(known) - 1, 0))] == hashes if len(known) else 0
    n = np.bincount(document_of, minlength=store.n_documents)
    n_found = np.bincount(document_of, np.broadcast_to(is_shared, hashes.shape), minlength=store.n_documents)
    return Overlap(store.n_documents, n_found / np.maximum(n, 1))


def _ngram_hashes(store: TokenStore, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the 13-grams inside documents, and the document of each; one hash in `every` of them, by value."""
    lengths = np.diff(store.offsets)
    with np.errstate(over="ignore"):
        mixed = (store.ids.astype(np.uint64) + np.uint64(1)) * MULTIPLIER
        n = max(len(mixed) - NGRAM + 1, 0)
        rolled = np.zeros(n, np.uint64)
        for k in range(NGRAM):
            rolled = (rolled ^ (rolled >> np.uint64(29))) * MULTIPLIER + mixed[k : k + n]
    document_of = np.repeat(np.arange(store.n_documents), lengths)[:n]
    inside = np.arange(n) + NGRAM <= store.offsets[document_of + 1]
    selected = inside & (rolled % np.uint64(step) == 0)
    short = np.flatnonzero((lengths > 0) & (lengths < NGRAM))
    return np.concatenate([rolled[selected], store.hashes[short]]), np.concatenate([document_of[selected], short])
