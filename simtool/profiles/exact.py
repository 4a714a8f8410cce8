"""The exact sample: documents in the order of a seeded hash of their text, as many as a budget holds.

The order is a fair shuffle that does not depend on how a corpus is stored, so all of it is read: by all workers, each
its own pieces. A worker holds those documents of its pieces that may be among the first, and writes them now and then
with the names of the pieces, so that an interrupted sample goes on behind the last whole one.
"""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from simtool import executor
from simtool.corpora.corpus import Corpus, MarkedText, document_hash
from simtool.corpora.reading import Piece, Reading
from simtool.errors import SimtoolError
from simtool.integrity import checked, damage_as_message, parse_json, with_hash
from simtool.profiles.parts import Manifest
from simtool.profiles.profile import Profile
from simtool.profiles.samples import BATCH_BYTES, Budget, Filling, fill, text_bytes
from simtool.profiles.tally import CorpusTally, skipped_since, text_batches
from simtool.profiles.worker import SAVE_SECONDS, stop_asked
from simtool.progress import Counted
from simtool.tables import atomic_write
from simtool.tokens.backends import use_one_thread
from simtool.tokens.tokenizer import Tokenizer, load_tokenizer

MOST_HELD = 2 << 30  # bytes of text that all workers hold together, each as much as the sample
NOTHING_SKIPPED = {"count": 0, "reasons": [], "empty": 0}


@dataclass(frozen=True)
class Candidates:
    """The documents of some pieces that may be in a sample, the smallest hash first.

    keys      uint64 (n,), their hashes
    texts     object (n,)
    sizes     int64 (n,), their tokens; 0 where the budget does not ask for them
    pieces    names of those that they are of
    skipped   what could not be read of these
    """

    keys: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    texts: np.ndarray = field(default_factory=lambda: np.empty(0, object))
    sizes: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    pieces: tuple[str, ...] = ()
    skipped: dict[str, Any] = field(default_factory=lambda: NOTHING_SKIPPED)

    def with_texts(self, texts: Sequence[str], tokenizer: Tokenizer, budget: Budget) -> "Candidates":
        """These and those of a batch of texts that may be among the first: only they are tokenized."""
        seed = budget.seed or 0
        keys = np.array([document_hash(text.encode("utf-8", "replace"), seed) for text in texts], np.uint64)
        is_full = len(self.keys) and not budget.holds(len(self.keys), int(self.sizes.sum()))
        near = np.flatnonzero(keys < self.keys[-1]) if is_full else np.arange(len(texts))
        if not len(near):
            return self
        nearest = [texts[i] for i in near]
        # a budget of documents alone asks for no sizes before the end
        sizes = np.diff(tokenizer.encode(nearest)[1]) if budget.tokens else np.zeros(len(nearest), np.int64)
        return self.joined(Candidates(keys[near], _objects(nearest), sizes), budget)

    def joined(self, other: "Candidates", budget: Budget) -> "Candidates":
        """Those of both that may be in a sample of all of it."""
        keys, texts, sizes = (
            np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("keys", "texts", "sizes")
        )
        order = np.argsort(keys, kind="stable")
        # one document more than fits, so that a full budget differs from a corpus that ended
        over = np.cumsum(sizes[order]) > budget.most_tokens
        over |= np.arange(1, len(order) + 1) > budget.most_documents
        order = order[: int(np.argmax(over)) + 1 if over.any() else None]
        skipped = _sum(self.skipped, other.skipped)
        return Candidates(keys[order], texts[order], sizes[order], (*self.pieces, *other.pieces), skipped)

    def with_piece(self, name: str, skipped: dict[str, Any]) -> "Candidates":
        """These, which are now of this piece too."""
        return replace(self, pieces=(*self.pieces, name), skipped=_sum(self.skipped, skipped))

    def save(self, path: Path) -> None:
        """Write them, whole or not at all."""
        import pyarrow
        import pyarrow.parquet

        columns = {
            "key": self.keys,
            "size": self.sizes,
            "text": pyarrow.array([text.encode("utf-8", "surrogatepass") for text in self.texts], "large_binary"),
            "spans": [np.ravel(getattr(text, "spans", ())).astype(int).tolist() for text in self.texts],
        }
        header = with_hash({"n": len(self.keys), "pieces": self.pieces, "skipped": self.skipped})
        schema = {name: pyarrow.array(column) for name, column in columns.items()}
        table = pyarrow.table(schema, metadata={"simtool": json.dumps(header)})
        with atomic_write(path) as temporary:
            pyarrow.parquet.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def _objects(texts: Sequence[str]) -> np.ndarray:
    return np.array([*texts, None], object)[:-1]


def _sum(skipped: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {name: skipped[name] + more[name] for name in skipped} | {
        "reasons": [*skipped["reasons"], *more["reasons"]][:5]
    }


def load_candidates(path: Path) -> Candidates:
    """What was saved; none where there is nothing, or it is damaged."""
    import pyarrow.parquet

    try:
        with damage_as_message(path, "It is gathered again."):
            table = pyarrow.parquet.read_table(path, page_checksum_verification=True)
            header = checked(parse_json(table.schema.metadata[b"simtool"]), ())
            if header["n"] != len(table):
                raise ValueError("documents are missing")
            rows = zip(table["text"].to_pylist(), table["spans"].to_pylist(), strict=True)
            texts = [_text(data.decode("utf-8", "surrogatepass"), spans) for data, spans in rows]
            keys, sizes = table["key"].to_numpy(), table["size"].to_numpy()
            return Candidates(keys, _objects(texts), sizes, tuple(header["pieces"]), header["skipped"])
    except (SimtoolError, FileNotFoundError):
        return Candidates()


def _text(text: str, spans: Sequence[int]) -> str:
    if not spans:
        return text
    marked = MarkedText(text)
    marked.spans = tuple(zip(spans[::2], spans[1::2], strict=True))
    return marked


# ---- workers ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GatherTask:
    """One worker's task: its pieces of a corpus, and the folder that it saves in; None: nowhere."""

    corpus: Corpus
    manifest: Manifest
    budget: Budget
    pieces: tuple[Piece, ...]
    index: int
    of: int
    data: Path | None
    folder: Path | None

    @property
    def path(self) -> Path | None:
        return self.folder and self.folder / f"{self.index}-of-{self.of}.parquet"


def gather_tasks(
    corpus: Corpus,
    manifest: Manifest,
    budget: Budget,
    pieces: Sequence[Piece],
    workers: int,
    data: Path | None,
    folder: Path | None,
) -> tuple[list[GatherTask], Candidates]:
    """The tasks of the workers that are left, and what was gathered by others before."""
    saved = {path: load_candidates(path) for path in sorted(folder.glob("[0-9]*.parquet"))} if folder else {}
    done = {name for candidates in saved.values() for name in candidates.pieces}
    left = sorted((piece for piece in pieces if piece.name not in done), key=lambda piece: -piece.n_bytes)
    of = max(1, min(workers, len(left), int(MOST_HELD / text_bytes(budget))))
    tasks = [
        GatherTask(corpus, manifest, budget, tuple(left[i::of]), i, of, data, folder) for i in range(of) if left[i::of]
    ]
    own = {task.path for task in tasks}
    return tasks, joined_all((candidates for path, candidates in saved.items() if path not in own), budget)


def joined_all(candidates: Iterable[Candidates], budget: Budget) -> Candidates:
    """Those of all that may be in the sample."""
    return reduce(lambda total, part: total.joined(part, budget), candidates, Candidates())


def gather(task: GatherTask, report: executor.Report) -> Candidates:
    """The candidates of one worker's pieces. Goes on behind the last piece that its file is of."""
    if task.of > 1:
        use_one_thread()
    tokenizer = load_tokenizer(task.manifest.tokenizer, task.data)
    candidates = load_candidates(task.path) if task.path else Candidates()
    n_bytes, before, saved_at = sum(piece.n_bytes for piece in task.pieces), 0, time.monotonic()
    with stop_asked() as stop:
        for piece in task.pieces:
            reading = Reading(task.manifest.facts["skip_bad"])
            more = candidates
            for texts in text_batches(replace(task.corpus, source=piece.source), reading, BATCH_BYTES):
                more = more.with_texts(texts, tokenizer, task.budget)
                share = (before + piece.n_bytes * (reading.fraction or 0)) / n_bytes if n_bytes else reading.fraction
                report(Counted(task.index, 0, 0, share))
                if stop.is_set():
                    _save(candidates, task)
                    raise KeyboardInterrupt
            candidates = more.with_piece(piece.name, skipped_since(reading))
            before += piece.n_bytes
            if time.monotonic() - saved_at > SAVE_SECONDS:
                _save(candidates, task)
                saved_at = time.monotonic()
    _save(candidates, task)
    return candidates


def _save(candidates: Candidates, task: GatherTask) -> None:
    if task.path and candidates.pieces:
        candidates.save(task.path)


def count_candidates(
    candidates: Candidates,
    name: str,
    tokenizer: Tokenizer,
    features: tuple[str, ...],
    budget: Budget,
    report: executor.Report,
) -> Profile:
    """The profile of those that the budget holds. A corpus that cannot fill it is an error."""
    texts = list(candidates.texts)
    sizes = candidates.sizes if budget.tokens else np.diff(tokenizer.encode(texts)[1])
    tally = CorpusTally(name, tokenizer, features)
    fill(tally, Filling(budget), [(texts, sizes)], report)
    tally.skipped = candidates.skipped
    return tally.profile()
