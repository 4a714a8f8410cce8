"""Loss on held-out documents: nats per token and bits per byte, sums first and divided once, document by document.

A document is read behind an end-of-text token, in windows of the model's length that do not overlap, so that every
token is predicted once and the first tokens of a later window have little before them. End-of-text tokens are not
counted, so a document's nats are about its text alone, and bits per byte can be compared across tokenizers.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist

from simtool.errors import SimtoolError
from simtool.integrity import checked, damage_as_message, parse_json, with_hash
from simtool.tables import atomic_write
from simtool.tokens.batches import IGNORED
from simtool.tokens.store import TokenStore
from simtool.training.losses import token_losses
from simtool.training.model import load_model
from simtool.training.prefetch import MULTIPLE

LossOn = Literal["text", "response"]
WINDOW_TOKENS = 8192  # of a forward pass
BY_DOCUMENT = ("nats", "n_tokens", "n_bytes", "hashes")
ARRAYS_HASH = "arrays_sha256"
FACTS = ("corpus", "split", "loss_on", "store", "facts")  # in files of losses before they carried a hash
REMEDY = "Remove it and repeat the command that made it: it is measured again."


@dataclass(frozen=True)
class DocumentLosses:
    """The loss of every document, in the store's order; arrays are read-only.

    nats       float64 (n_documents,)   summed over its tokens
    n_tokens   int64 (n_documents,)     tokens that the loss is taken on
    n_bytes    int64 (n_documents,)     UTF-8 bytes of the same
    hashes     uint64 (n_documents,)    which document it is: losses of two models are paired by it
    """

    corpus: str
    split: str
    loss_on: LossOn
    store: str  # the store's fingerprint
    nats: np.ndarray
    n_tokens: np.ndarray
    n_bytes: np.ndarray
    hashes: np.ndarray

    def __post_init__(self) -> None:
        for array in (self.nats, self.n_tokens, self.n_bytes, self.hashes):
            array.flags.writeable = False

    @property
    def nats_per_token(self) -> float:
        """Mean loss of a token, in nats.

        Raises
        ------
        SimtoolError
            When there is nothing to measure.
        """
        return math.fsum(self.nats) / self._some(int(self.n_tokens.sum()), "tokens")

    @property
    def bits_per_byte(self) -> float:
        """Comparable across tokenizers (The Pile, arXiv:2101.00027).

        In responses, a token that straddles the border to the prompt counts as theirs.

        Raises
        ------
        SimtoolError
            When there is nothing to measure.
        """
        return math.fsum(self.nats) / math.log(2) / self._some(int(self.n_bytes.sum()), "bytes")

    def _some(self, n: int, what: str) -> int:
        if not n:
            raise SimtoolError(f"The {self.loss_on} of {self.corpus} ({self.split}) holds no {what} to measure.")
        return n

    def row(self) -> dict[str, Any]:
        """One row of a table of losses."""
        return {
            "corpus": self.corpus,
            "split": self.split,
            "loss_on": self.loss_on,
            "nats_per_token": self.nats_per_token,
            "bits_per_byte": self.bits_per_byte,
            "n_documents": len(self.nats),
            "n_tokens": int(self.n_tokens.sum()),
            "n_bytes": int(self.n_bytes.sum()),
            "store": self.store,
        }


def evaluate(
    model: Path | torch.nn.Module,
    store: TokenStore,
    sequence_length: int | None = None,
    device: str | torch.device = "cpu",
    loss_on: LossOn = "text",
    precision: str = "fp32",
    documents: int | None = None,
    report: Callable[[float], None] = lambda fraction: None,
) -> DocumentLosses:
    """The loss of a model on the documents of a store, in their order.

    Under torchrun every process measures its part of the documents, and all get the whole.

    Parameters
    ----------
    model : Path or torch.nn.Module
        A checkpoint, an export, any folder of transformers, or a model with `hidden` and `head`.
    sequence_length : int, optional
        Tokens of a window; for a folder, what its config allows by default.
    loss_on : {"text", "response"}
        Every token, or those behind the prompt, for SFT sets.
    documents : int, optional
        Only the first so many.
    report : callable
        Is called with the fraction that is done.

    Raises
    ------
    SimtoolError
        When the model's vocabulary is smaller than the tokenizer's, or the store is empty.
    """
    if isinstance(model, str | Path):
        sequence_length = sequence_length or window_length(Path(model))
        model = load_model(Path(model)).to(device)
    sequence_length = sequence_length or 2048
    n = store.n_documents if documents is None else min(documents, store.n_documents)
    if not n:
        raise SimtoolError(f"{store.corpus} ({store.split}) holds no documents to measure.")
    if store.vocabulary_size > model.vocabulary_size:
        raise SimtoolError(
            f"{store.corpus} is tokenized under {store.tokenizer!r} with {store.vocabulary_size:,} entries, but the"
            f" model knows {model.vocabulary_size:,}. Tokenize it under the model's tokenizer."
        )
    rank, size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    nats = np.zeros(n)
    training = model.training
    model.eval()
    device = torch.device(device)
    total = max(int(store.offsets[n]), 1)
    read = 0
    with torch.inference_mode():
        # lengths differ by document: alike ones go together, so that little is padding
        for batch in batched_windows(store, range(rank, n, size), sequence_length):
            losses = _losses(model, store, batch, device, precision, loss_on)
            np.add.at(nats, [window.document for window in batch], losses)
            read += sum(window.stop - window.start for window in batch)
            report(min(read * size / total, 1.0))
    model.train(training)
    if size > 1:
        summed = torch.from_numpy(nats).to(device)
        dist.all_reduce(summed)
        nats = summed.cpu().numpy()
    if not np.isfinite(nats).all():
        worst = int(np.flatnonzero(~np.isfinite(nats))[0])
        raise SimtoolError(f"The loss on document {worst} of {store.corpus} ({store.split}) is {nats[worst]}.")
    tokens, n_bytes = np.diff(store.offsets[: n + 1]), np.array(store.n_bytes[:n])
    if loss_on == "response":
        tokens, n_bytes = tokens - store.n_masked_tokens[:n], n_bytes - store.n_masked_bytes[:n]
    hashes = np.array(store.hashes[:n])
    return DocumentLosses(
        store.corpus, store.split, loss_on, store.fingerprint, nats, np.array(tokens), n_bytes, hashes
    )


@dataclass(frozen=True)
class Window:
    """Tokens start .. stop of a document, predicted from the token before start on."""

    document: int
    start: int
    stop: int


def batched_windows(
    store: TokenStore, documents: Iterable[int], length: int, first_only: bool = False
) -> Iterator[list[Window]]:
    """The documents in windows of at most `length` tokens, alike ones together; only the first of each if asked."""
    lengths = np.diff(store.offsets)
    windows = [
        Window(d, start, min(start + length, int(lengths[d])))
        for d in documents
        for start in range(0, min(int(lengths[d]), length) if first_only else int(lengths[d]), length)
    ]
    windows.sort(key=lambda window: (window.start - window.stop, window.document, window.start))
    batch: list[Window] = []
    for window in windows:
        longest = batch[0].stop - batch[0].start if batch else 0
        if batch and longest * (len(batch) + 1) > WINDOW_TOKENS:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def read_windows(
    store: TokenStore, batch: list[Window], loss_on: LossOn, multiple: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """What is read and what is to be predicted: ids and targets, int64 (windows, longest, rounded up)."""
    longest = max(window.stop - window.start for window in batch)
    width = -(-longest // multiple) * multiple
    ids, targets = np.zeros((len(batch), width), np.int64), np.full((len(batch), width), IGNORED, np.int64)
    for row, window in enumerate(batch):
        document = store.document(window.document).astype(np.int64)
        n = window.stop - window.start
        targets[row, :n] = document[window.start : window.stop]
        before = document[window.start - 1] if window.start else first_token(store)
        ids[row, 0], ids[row, 1:n] = before, document[window.start : window.stop - 1]
        if loss_on == "response":
            masked = store.is_masked(window.document)[window.start : window.stop]
            targets[row, :n][masked] = IGNORED
    return ids, targets


def _losses(
    model: Any, store: TokenStore, batch: list[Window], device: torch.device, precision: str, loss_on: LossOn
) -> np.ndarray:
    """Summed nats of each window."""
    # a GPU's libraries plan anew for every width
    ids, targets = read_windows(store, batch, loss_on, MULTIPLE if device.type == "cuda" else 1)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        hidden = model.hidden(torch.from_numpy(ids).to(device))
        losses = token_losses(hidden, model.head, torch.from_numpy(targets).to(device))
    return losses.double().sum(dim=1).cpu().numpy()


def first_token(store: TokenStore) -> int:
    """What a document is read behind.

    Raises
    ------
    SimtoolError
        Where the tokenizer has no such token.
    """
    if store.end_of_text is None:
        raise SimtoolError(
            f"The tokenizer {store.tokenizer!r} has no end-of-text token to read a document's first token behind."
        )
    return store.end_of_text


def window_length(folder: Path) -> int:
    """What a model's config allows.

    Raises
    ------
    SimtoolError
        Where there is none.
    """
    try:
        config = parse_json((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SimtoolError(f"No model at {folder}: it has no config.json that can be read.") from error
    return int(config.get("max_position_embeddings") or config.get("n_positions") or 2048)


def save_losses(losses: DocumentLosses, path: Path, facts: dict[str, Any] | None = None) -> None:
    """Document-level losses in one compressed file (.npz, nothing pickled), for statistics paired by document."""
    named = {name: getattr(losses, name) for name in BY_DOCUMENT}
    facts = {name: value for name, value in asdict(losses).items() if name not in named} | {"facts": facts or {}}
    with atomic_write(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **named, facts=np.array(json.dumps(with_hash({**facts, ARRAYS_HASH: _hash(named)}))))


def load_losses(path: Path) -> DocumentLosses:
    """The inverse of `save_losses`.

    Raises
    ------
    SimtoolError
        When the file is missing or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise SimtoolError(f"No losses at {path}. {REMEDY}")
    with damage_as_message(path, REMEDY):
        with np.load(path, allow_pickle=False) as file:
            facts = checked(parse_json(str(file["facts"])), FACTS)
            arrays = {name: file[name] for name in BY_DOCUMENT}
        if ARRAYS_HASH in facts and facts[ARRAYS_HASH] != _hash(arrays):
            raise ValueError("its losses do not match their hash")
        named = {name: facts[name] for name in ("corpus", "split", "loss_on", "store")}
        return DocumentLosses(**named, **arrays)


def existing_losses(path: Path) -> DocumentLosses | None:
    """The losses of a file; None where there is none, or it is damaged: then they are measured again."""
    try:
        return load_losses(path)
    except SimtoolError:
        return None


def _hash(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in BY_DOCUMENT:
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape} ".encode())
        digest.update(np.ascontiguousarray(arrays[name]))
    return digest.hexdigest()
