"""Counting a corpus: text -> ids -> features -> counts per fold, in shards that add up to the whole.

Each worker reads its own share of the blocks, so nothing large travels between processes, and keeps what it has
counted in a part file, so that an interrupted count goes on from there.
"""

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from simtool import executor
from simtool.corpora.corpus import Corpus, Reading, document_hash, why_empty
from simtool.corpora.pieces import piece_bytes, pieces_of
from simtool.errors import SimtoolError
from simtool.profiles.features import FEATURES, N_FOLDS, DocumentBatch, add_counts, empty_counts, frequent_ngrams
from simtool.profiles.profile import Profile, load_profile, save_profile
from simtool.progress import Counted
from simtool.tables import provenance
from simtool.tokens.backends import use_one_thread
from simtool.tokens.tokenizer import Tokenizer, load_tokenizer

BATCH_BYTES = 16 << 20  # text counted at once: enough to amortise a pass over the counts, small beside 2 GB
LABEL_CHARACTERS = 200_000  # of the first batch are searched for frequent n-grams
N_LABELS = 500
SAVE_SECONDS = 30  # how much work an interruption can lose


@dataclass(frozen=True)
class Budget:
    """How much of a corpus to count: up to so many tokens or documents, whole documents only (None: all).

    seed      None: the first documents; a number: a random sample of the whole corpus, which is all read for it
    at_most   a corpus that holds less is counted whole; otherwise it is an error
    """

    tokens: int | None = None
    documents: int | None = None
    seed: int | None = None
    at_most: bool = False

    def __post_init__(self) -> None:
        for name in ("tokens", "documents"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SimtoolError(f"--{name} must be at least 1. Got {value}.")

    @property
    def unlimited(self) -> bool:
        return self.tokens is None and self.documents is None


@dataclass(frozen=True)
class Shard:
    """One worker's task. It may travel to another process, so the tokenizer goes by name."""

    corpus: Corpus
    tokenizer: str
    data: Path | None
    features: tuple[str, ...]
    index: int
    of: int
    skip_bad: bool
    part: Path | None  # where its counts are kept until the whole is done


def count_corpus(
    corpus: Corpus,
    tokenizer: Tokenizer,
    features: Iterable[str],
    budget: Budget = Budget(),
    workers: int = 1,
    skip_bad: bool = False,
    data: Path | None = None,
    parts: Path | None = None,
    run_on: executor.Engine = "local",
    report: executor.Report = lambda message: None,
) -> Profile:
    """The profile of a corpus.

    Parameters
    ----------
    workers
        Processes; the counts do not depend on it. With a budget there is one.
    parts
        A folder for unfinished work: an interrupted count with the same arguments goes on from there.
    report
        Is called with a Counted now and then.

    Raises
    ------
    SimtoolError
        When the corpus is empty, cannot be read, or is smaller than the budget.
    """
    features = tuple(features)
    if budget.unlimited:
        workers = min(workers, _n_pieces(corpus, report)) if workers > 1 else 1
        tasks = [
            Shard(corpus, tokenizer.name, data, features, i, workers, skip_bad, _part(parts, i, workers))
            for i in range(workers)
        ]
        shards = executor.run(count_shard, tasks, workers, run_on, report)
        profile, skipped = reduce(add, shards), [shard.facts["skipped"] for shard in shards]
    else:
        profile = _count_sample(corpus, tokenizer, features, budget, skip_bad, report)
        skipped = [profile.facts["skipped"]]
    if not profile.size["documents"]:
        reasons = [reason for part in skipped for reason in part["reasons"]]
        why = why_empty(sum(part["count"] for part in skipped), reasons, sum(part["empty"] for part in skipped))
        raise SimtoolError(f"{corpus.name} is empty: {corpus.describe()} holds no text.{why}")
    facts = {
        "source": corpus.describe(),
        "stand_in": corpus.stand_in,
        "budget": {"tokens": budget.tokens, "documents": budget.documents, "seed": budget.seed},
        "skipped": {
            "count": sum(part["count"] for part in skipped),
            "reasons": [reason for part in skipped for reason in part["reasons"]][:5],
        }
        if skip_bad
        else None,
        "empty": sum(part["empty"] for part in skipped),
    }
    return replace(profile, facts=provenance(**facts))


def _n_pieces(corpus: Corpus, report: executor.Report) -> int:
    """How many pieces a corpus has, which more workers cannot share; says where a large one cannot be divided."""
    pieces = pieces_of(corpus.source)
    size = piece_bytes(getattr(corpus.source, "n_bytes", None))
    if whole := [piece.name for piece in pieces if piece.n_bytes > 2 * size]:
        report(
            f"{corpus.name}: {len(whole)} of {len(pieces)} pieces can be read from the beginning only, each by one"
            " worker. JSON lines, parquet and zstd in frames (pzstd) are divided."
        )
    return len(pieces)


def count_shard(shard: Shard, report: executor.Report) -> Profile:
    """The profile of one worker's share of the blocks. Goes on from the part file, if there is one."""
    if shard.of > 1:
        use_one_thread()  # a process a core: more threads would be in each other's way
    tally = _Tally(shard.corpus, load_tokenizer(shard.tokenizer, shard.data), shard.features, shard.index == 0)
    done = tally.resume(shard.part)
    if done:
        report(Counted(shard.index, int(tally.n_bytes.sum()), int(tally.n_tokens.sum()), 0.0))
    reading = Reading(shard.skip_bad)
    saved = time.monotonic()
    with _stop_asked() as stop:
        for n, texts in enumerate(_text_batches(shard.corpus, shard.index, shard.of, reading, BATCH_BYTES), 1):
            if n <= done:
                continue
            report(Counted(shard.index, *tally.add(texts), reading.fraction))
            if shard.part and (stop.is_set() or time.monotonic() - saved > SAVE_SECONDS):
                save_profile(tally.profile({"batches": n}), shard.part)
                saved = time.monotonic()
            if stop.is_set():
                raise KeyboardInterrupt
    return tally.profile({"skipped": _skipped(reading)})


def _count_sample(
    corpus: Corpus,
    tokenizer: Tokenizer,
    features: tuple[str, ...],
    budget: Budget,
    skip_bad: bool,
    report: executor.Report,
) -> Profile:
    """The profile of as many whole documents as the budget holds. A corpus that cannot fill it is an error."""
    reading = Reading(skip_bad)
    tally = _Tally(corpus, tokenizer, features)
    batches = _text_batches(corpus, 0, 1, reading, 1 << 20)
    choose = _first if budget.seed is None else _random
    n_documents = n_tokens = 0
    more = False
    for texts, sizes in choose(batches, tokenizer, budget):
        fits = (n_documents + np.arange(1, len(texts) + 1) <= (budget.documents or np.inf)) & (
            n_tokens + np.cumsum(sizes) <= (budget.tokens or np.inf)
        )
        n_fitting = int(fits.sum())
        n_documents, n_tokens = n_documents + n_fitting, n_tokens + int(sizes[:n_fitting].sum())
        share = max(n_documents / (budget.documents or np.inf), n_tokens / (budget.tokens or np.inf))
        report(Counted(0, *tally.add(texts[:n_fitting]), share))
        if more := n_fitting < len(texts):
            break
    short = n_documents != budget.documents and n_tokens != budget.tokens and not more
    if short and n_documents and not budget.at_most:
        budgets = " and ".join(
            f"--{name} {getattr(budget, name):,}" for name in ("tokens", "documents") if getattr(budget, name)
        )
        raise SimtoolError(
            f"{corpus.name} holds {n_tokens:,} tokens in {n_documents:,} documents, too few for {budgets}.\n"
            "Ask for less, or leave the budget out to count all of it."
        )
    if more and not n_documents:
        raise SimtoolError(
            f"The first document of {corpus.name} holds {int(sizes[0]):,} tokens,"
            f" more than --tokens {budget.tokens:,}. Whole documents are counted: ask for more."
        )
    return tally.profile({"skipped": _skipped(reading)})


Sized = tuple[list[str], np.ndarray]  # texts, and how many tokens each has


def _first(batches: Iterator[list[str]], tokenizer: Tokenizer, budget: Budget) -> Iterator[Sized]:
    for texts in batches:
        yield texts, np.diff(tokenizer.encode(texts)[1])


def _random(batches: Iterator[list[str]], tokenizer: Tokenizer, budget: Budget) -> Iterator[Sized]:
    """Documents in the order of a seeded hash of their text, as many as the budget may need.

    The order is a fair shuffle that does not depend on how the corpus is stored. Only documents that may still
    be among the first are kept, and only those are tokenized.
    """

    def sizes_of(candidates: list[str]) -> np.ndarray:  # a budget of documents alone asks for none before the end
        return np.diff(tokenizer.encode(candidates)[1]) if budget.tokens else np.zeros(len(candidates), np.int64)

    keys, texts, sizes = np.empty(0, np.uint64), np.empty(0, object), np.empty(0, np.int64)
    for batch in batches:
        new = np.array([document_hash(text.encode("utf-8", "replace"), budget.seed or 0) for text in batch], np.uint64)
        full = len(keys) and not _fits(len(keys), int(sizes.sum()), budget)
        near = np.flatnonzero(new < keys[-1]) if full else np.arange(len(batch))
        if not len(near):
            continue
        candidates = [batch[i] for i in near]
        keys = np.concatenate([keys, new[near]])
        texts = np.concatenate([texts, np.array([*candidates, None], object)[:-1]])
        sizes = np.concatenate([sizes, sizes_of(candidates)])
        order = np.argsort(keys, kind="stable")
        # one document more than fits, so that a full budget differs from a corpus that ended
        over = np.cumsum(sizes[order]) > budget.tokens if budget.tokens else np.zeros(len(order), bool)
        if budget.documents:
            over |= np.arange(1, len(order) + 1) > budget.documents
        order = order[: int(np.argmax(over)) + 1 if over.any() else None]
        keys, texts, sizes = keys[order], texts[order], sizes[order]
    yield list(texts), sizes if budget.tokens else np.diff(tokenizer.encode(list(texts))[1])


def _fits(n_documents: int, n_tokens: int, budget: Budget) -> bool:
    return n_documents <= (budget.documents or n_documents) and n_tokens <= (budget.tokens or n_tokens)


class _Tally:
    """Counts that grow, batch by batch, and become a Profile."""

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, features: tuple[str, ...], label: bool = True):
        self.corpus, self.tokenizer, self.label = corpus, tokenizer, label
        self.counts = empty_counts(features, tokenizer.vocabulary_size)
        self.n_documents, self.n_tokens, self.n_bytes = np.zeros((3, N_FOLDS), np.int64)
        self.labels: dict[str, dict[int, tuple[int, ...]]] = {}

    def add(self, texts: list[str]) -> tuple[int, int]:
        """Count these documents; how many bytes and tokens they have."""
        data = [text.encode("utf-8", "replace") for text in texts]
        folds = np.array([document_hash(utf8) % N_FOLDS for utf8 in data], np.int64)
        order = np.argsort(folds, kind="stable")  # counts of one fold lie together in memory
        folds, texts = folds[order], [texts[i] for i in order]
        n_bytes = np.array([len(data[i]) for i in order], np.int64)
        ids, offsets = self.tokenizer.encode(texts)
        batch = DocumentBatch(texts, ids, offsets, folds)
        if self.label and not self.labels:
            self.labels = self._label(texts)
        add_counts(self.counts, batch, self.tokenizer.vocabulary_size)
        self.n_documents += np.bincount(folds, minlength=N_FOLDS)
        self.n_tokens += np.bincount(folds, np.diff(offsets), N_FOLDS).astype(np.int64)
        self.n_bytes += np.bincount(folds, n_bytes, N_FOLDS).astype(np.int64)
        return int(n_bytes.sum()), len(ids)

    def _label(self, texts: list[str]) -> dict[str, dict[int, tuple[int, ...]]]:
        """Frequent n-grams of the first texts, by the bucket they are counted in: names for people to read."""
        lengths = np.cumsum([len(text) for text in texts])
        texts = texts[: int(np.searchsorted(lengths, LABEL_CHARACTERS)) + 1]
        batch = DocumentBatch(texts, *self.tokenizer.encode(texts), np.zeros(len(texts), np.int64))
        labels: dict[str, dict[int, tuple[int, ...]]] = {}
        for name in self.counts:
            if FEATURES[name].order > 1:
                labels[name] = {}
                for ngram in frequent_ngrams(batch, name, N_LABELS, self.tokenizer.vocabulary_size):
                    labels[name].setdefault(ngram.bucket, ngram.symbols)  # the most frequent comes first
        return labels

    def profile(self, facts: dict[str, object]) -> Profile:
        return Profile(
            self.corpus.name,
            self.tokenizer.name,
            self.tokenizer.fingerprint,
            self.n_documents.copy(),
            self.n_tokens.copy(),
            self.n_bytes.copy(),
            {name: counts.view() for name, counts in self.counts.items()},
            self.labels,
            facts,
        )

    def resume(self, part: Path | None) -> int:
        """Take over the counts of a part file; how many batches they hold."""
        if part is None or not part.exists():
            return 0
        try:
            saved = load_profile(part, list(self.counts))
        except SimtoolError:  # an older layout, or damaged: count from the start
            return 0
        for name, counts in self.counts.items():
            counts += saved.features[name]
        self.n_documents += saved.n_documents
        self.n_tokens += saved.n_tokens
        self.n_bytes += saved.n_bytes
        self.labels = {name: dict(labels) for name, labels in saved.labels.items()}
        return int(saved.facts["batches"])


def _text_batches(corpus: Corpus, shard: int, of: int, reading: Reading, n_bytes: int) -> Iterator[list[str]]:
    """Texts, about n_bytes at a time."""
    texts: list[str] = []
    size = 0
    for documents in corpus.batches(shard, of, reading):
        for document in documents:
            texts.append(document.text)
            size += len(texts[-1])
            if size >= n_bytes:
                yield texts
                texts, size = [], 0
    if texts:
        yield texts


def _part(parts: Path | None, index: int, of: int) -> Path | None:
    return None if parts is None else parts / f"{index}-of-{of}.parquet"


def _skipped(reading: Reading) -> dict[str, object]:
    return {"count": reading.n_skipped, "reasons": reading.reasons, "empty": reading.n_empty}


@contextmanager
def _stop_asked() -> Iterator[threading.Event]:
    """Set when Ctrl-C or a polite kill comes, so that the batch at hand is finished and kept."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {sign: signal.signal(sign, lambda *_: stop.set()) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
