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
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from simtool.errors import SimtoolError
from simtool.tables import provenance
from simtool.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from simtool.corpora.corpus import Corpus, Document

FORMAT = 1  # raised when a store of an older layout would be read wrongly
SHARES = {"train": 0.9, "validation": 0.05, "test": 0.05}
SPLIT_SEED = 0x5EED  # another seed than that of the folds, so that a split is a fair sample of every fold
BATCH_CHARACTERS = 16 << 20  # tokenized at once
ARRAYS = {
    "ids": None,  # uint16 or uint32, as the vocabulary needs
    "offsets": np.int64,
    "n_bytes": np.int64,
    "n_prompt_tokens": np.int64,
    "n_prompt_bytes": np.int64,
    "hashes": np.uint64,
}


@dataclass(frozen=True)
class TokenStore:
    """The documents of one split of a corpus as ids. Arrays are read-only; offsets run 0 .. n_tokens.

    ids               uint16 or uint32 (n_tokens,)   every id < vocabulary_size
    offsets           int64 (n_documents + 1,)       document d is ids[offsets[d]:offsets[d + 1]]
    n_bytes           int64 (n_documents,)           UTF-8 length
    n_prompt_tokens   int64 (n_documents,)           leading tokens that lie wholly in the prompt; 0 in plain text
    n_prompt_bytes    int64 (n_documents,)           UTF-8 length of the prompt
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
    n_prompt_tokens: np.ndarray
    n_prompt_bytes: np.ndarray
    hashes: np.ndarray
    train_on: str = "text"
    fingerprint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        offsets = self.offsets
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(self.ids) or (np.diff(offsets) < 0).any():
            raise ValueError(f"Offsets of {self.corpus} must rise from 0 to {len(self.ids)}.")
        for name in ("n_bytes", "n_prompt_tokens", "n_prompt_bytes", "hashes"):
            if len(getattr(self, name)) != self.n_documents:
                raise ValueError(f"{name} of {self.corpus} must have {self.n_documents} entries.")
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

    def document(self, d: int) -> np.ndarray:
        return self.ids[self.offsets[d] : self.offsets[d + 1]]


# ---- reading ---------------------------------------------------------------------------------------------


def store_folder(root: Path, corpus: str, split: str, tokenizer_fingerprint: str) -> Path:
    """Where a split lies: ROOT/CORPUS-TOKENIZER/SPLIT. A name that is a path or an id gets a hash."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", corpus).strip("._-")[-60:]
    if plain != corpus:
        plain = f"{plain}-{hashlib.sha256(corpus.encode()).hexdigest()[:8]}"
    return Path(root) / f"{plain}-{tokenizer_fingerprint[:8]}" / split


def load_store(folder: Path, check: bool = False) -> TokenStore:
    """The store of a folder, memory-mapped. check: read all of it and compare its hashes.

    Raises SimtoolError when it is missing, cut short, of another format or, with check, damaged.
    """
    header = _read_header(folder)
    arrays = {
        name: _mapped(Path(folder) / f"{name}.bin", described, check) for name, described in header["arrays"].items()
    }
    if header["fingerprint"] != _fingerprint(header):
        raise SimtoolError(f"{folder} is damaged: its header does not match its hash. Tokenize it again.")
    named = ("corpus", "split", "tokenizer", "tokenizer_fingerprint", "vocabulary_size", "end_of_text", "train_on")
    return TokenStore(
        **{name: header[name] for name in named}, **arrays, fingerprint=header["fingerprint"], facts=header["facts"]
    )


def find_store(root: Path, corpus: str, split: str, tokenizer: Tokenizer) -> TokenStore:
    """The store of a corpus under a tokenizer. Raises SimtoolError that says how to make it."""
    folder = store_folder(root, corpus, split, tokenizer.fingerprint)
    if not (folder / "header.json").exists():
        beside = sorted(path.parent.name for path in folder.parent.glob("*/header.json"))
        if beside:
            raise SimtoolError(f"{corpus} has no split {split!r} in {root}. It has: {', '.join(beside)}.")
        named = "" if tokenizer.name == "default" else f" --tokenizer {tokenizer.name}"
        raise SimtoolError(
            f"{corpus} is not tokenized under {tokenizer.name!r} in {root}.\nMake it: simtool tokenize {corpus}{named}"
        )
    return load_store(folder)


def _read_header(folder: Path) -> dict[str, Any]:
    path = Path(folder) / "header.json"
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SimtoolError(f"No tokens at {folder}. Make them: simtool tokenize CORPUS.") from error
    except (OSError, ValueError) as error:
        raise SimtoolError(f"{path} cannot be read: {error}. Tokenize the corpus again.") from error
    if header.get("format") != FORMAT:
        raise SimtoolError(
            f"{folder} is of format {header.get('format')}; this simtool reads format {FORMAT}. Tokenize it again."
        )
    return header


def _mapped(path: Path, described: dict[str, Any], check: bool) -> np.ndarray:
    dtype = np.dtype(described["dtype"])
    size = path.stat().st_size if path.exists() else -1
    if size != described["n"] * dtype.itemsize:
        raise SimtoolError(
            f"{path} is damaged: it holds {max(size, 0):,} bytes, not {described['n'] * dtype.itemsize:,}."
            " Tokenize the corpus again."
        )
    if check and _sha256(path) != described["sha256"]:
        raise SimtoolError(f"{path} is damaged: its content does not match its hash. Tokenize the corpus again.")
    # an empty file cannot be mapped
    return np.memmap(path, dtype, "r", shape=(described["n"],)) if described["n"] else np.empty(0, dtype)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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

    shares   {split: share}; a document is in one split, whatever else is in the corpus, and so are its copies
    tokens   stop after the document that reaches so many
    report   is called with the number of tokens now and then

    What is there already, from the same text and settings, is not made again. Raises SimtoolError when another
    text is there, when the corpus is empty, or when it cannot be read or written.
    """
    assert corpus.source is not None
    settings = (corpus.source.identity(), tokenizer.fingerprint, dict(shares), tokens, skip_bad, repr(corpus.render))
    made_from = hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", repr(settings)).encode()).hexdigest()[:16]
    folders = {split: store_folder(root, corpus.name, split, tokenizer.fingerprint) for split in shares}
    existing = {split: folder for split, folder in folders.items() if (folder / "header.json").exists()}
    for folder in existing.values():
        if (header := _read_header(folder))["facts"]["made_from"] != made_from:
            raise SimtoolError(
                f"{folder} holds another text or division: {header['facts']['source']},"
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
    from simtool.corpora.corpus import Reading, document_hash

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
            raise SimtoolError(f"{corpus.name} holds no text: {corpus.source.describe() if corpus.source else ''}.")
        facts = provenance(
            source=corpus.source.describe() if corpus.source else corpus.name,
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


def _encoded(documents: "list[Document]", texts: list[bytes], tokenizer: Tokenizer) -> dict[str, np.ndarray]:
    """Columns of a batch of documents, one entry a document, but for ids and offsets."""
    from simtool.corpora.corpus import document_hash

    ids, offsets = tokenizer.encode([document.text for document in documents])
    prompts = [d for d, document in enumerate(documents) if document.prompt]
    n_prompt_tokens = np.zeros(len(documents), np.int64)
    if prompts:
        prompt_ids, prompt_offsets = tokenizer.encode([documents[d].prompt for d in prompts])
        for n, d in enumerate(prompts):
            prompt, text = prompt_ids[prompt_offsets[n] : prompt_offsets[n + 1]], ids[offsets[d] : offsets[d + 1]]
            # a token that straddles the border belongs to the response, so the text is cut once, as one text
            n_prompt_tokens[d] = _common(prompt, text)
    return {
        "ids": ids,
        "offsets": offsets,
        "lengths": np.diff(offsets),
        "n_bytes": np.array([len(text) for text in texts], np.int64),
        "n_prompt_tokens": n_prompt_tokens,
        "n_prompt_bytes": np.array([len(d.prompt.encode("utf-8", "replace")) for d in documents], np.int64),
        "hashes": np.array([document_hash(text) for text in texts], np.uint64),
    }


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
        self._append("offsets", np.zeros(1, np.int64))
        return self

    def __exit__(self, *error: object) -> None:
        for file in self.files.values():
            file.flush()
            os.fsync(file.fileno())
            file.close()

    def add(self, table: dict[str, np.ndarray], selected: np.ndarray) -> None:
        self._append("ids", table["ids"][np.repeat(selected, table["lengths"])])
        self._append("offsets", self.end + np.cumsum(table["lengths"][selected]))
        self.end = self.n["ids"]
        for name in ("n_bytes", "n_prompt_tokens", "n_prompt_bytes", "hashes"):
            self._append(name, table[name][selected])

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
                    "sha256": _sha256(self.folder / f"{name}.bin"),
                }
                for name in ARRAYS
            },
            "facts": facts,
        }
        header["fingerprint"] = _fingerprint(header)
        path = self.folder / "header.json"
        path.write_text(json.dumps(header, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


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
