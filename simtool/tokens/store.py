"""Text as ids on disk: tokenized once, memory-mapped, with document boundaries; what training and evaluation read.

A store is a folder a split: raw little-endian arrays, one file each, and `header.json` with their sizes, hashes and
where the text came from. Ids hold the documents' text alone: end-of-text tokens are set between documents when
batches are made, so the counting wing and the training wing see the same ids.

Reading needs numpy only, so that stores can be carried to a bare GPU machine. What writes them: `tokenize`.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simtool.errors import SimtoolError
from simtool.integrity import check_file, check_json, damage_as_message, read_json
from simtool.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from simtool.corpora.corpus import Corpus

FORMAT = 2  # raised when a store of an older layout would be read wrongly
PER_DOCUMENT = ("n_bytes", "n_masked_bytes", "hashes")
REMEDY = "Remove its folder and tokenize the corpus again: nothing but time is lost."
IDENTITY = (
    "corpus", "split", "tokenizer", "tokenizer_fingerprint", "vocabulary_size", "end_of_text", "train_on",
)  # fmt: skip
HEADER = frozenset({*IDENTITY, "format", "n_documents", "n_tokens", "arrays", "facts", "fingerprint"})
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
            object.__setattr__(self, "fingerprint", fingerprint_of(_header(self)))

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
    return Path(root) / f"{plain_name(corpus)}-{tokenizer_fingerprint[:8]}-{text}" / split


def plain_name(corpus: str) -> str:
    """A name as that of a file: any other name than letters, digits, _ . and - gets a hash."""
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
    pattern = f"{plain_name(corpus)}-{tokenizer_fingerprint[:8]}-*"
    folders = [folder for folder in sorted(Path(root).glob(pattern)) if any(folder.glob("*/header.json"))]
    if len(folders) > 1:
        sources = [read_header(next(folder.glob("*/header.json")).parent)["facts"]["source"] for folder in folders]
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
    folder, header = Path(folder), read_header(folder)
    with damage_as_message(folder / "header.json", REMEDY):
        if header["fingerprint"] != fingerprint_of(header):
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


def read_header(folder: Path) -> dict[str, Any]:
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


def fingerprint_of(header: Mapping[str, Any]) -> str:
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
