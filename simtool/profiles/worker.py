"""One worker of a count: it reads its pieces of a corpus into one tally, which it saves now and then."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simtool import executor
from simtool.corpora.corpus import Corpus
from simtool.corpora.reading import Piece, Reading
from simtool.profiles.memory import kept_memory
from simtool.profiles.parts import Manifest, PartsFolder, Run, Runs, missing
from simtool.profiles.profile import Profile
from simtool.profiles.tally import CorpusTally, skipped_since, text_batches
from simtool.progress import Counted
from simtool.tokens.backends import use_one_thread
from simtool.tokens.tokenizer import load_tokenizer

SAVE_SECONDS = 60  # how much work an interruption can lose
# what `preload` is told by its environment
PRELOADED_TOKENIZER, PRELOADED_DATA = "SIMTOOL_PRELOADED_TOKENIZER", "SIMTOOL_PRELOADED_DATA"


@dataclass(frozen=True)
class PartTask:
    """One worker's task: its pieces of a corpus. It may travel to another machine, so the tokenizer goes by name.

    elsewhere   what other parts cover of the corpus
    folder      where its counts are kept while it works; None: nowhere
    returned    the counts come back; otherwise they stay in the folder
    file        that it saves; "": by its number
    """

    corpus: Corpus
    manifest: Manifest
    pieces: tuple[Piece, ...]
    index: int
    of: int
    data: Path | None = None
    elsewhere: Runs = field(default_factory=dict)
    folder: PartsFolder | None = None
    returned: bool = True
    file: str = ""

    @property
    def name(self) -> str:
        return self.file or f"{self.index}-of-{self.of}.parquet"


def count_part(part: PartTask, report: executor.Report) -> Profile | None:
    """The counts of one worker's pieces. Goes on where its file in the folder, and the other parts, end."""
    if part.of > 1:
        use_one_thread()  # a process a core: more threads would be in each other's way
    manifest = part.manifest
    tally = CorpusTally(part.corpus.name, load_tokenizer(manifest.tokenizer, part.data), manifest.features)
    if part.folder and (saved := part.folder.load(part.name, manifest.features)):
        tally.resume(saved)
        report(Counted(part.index, int(tally.n_bytes.sum()), int(tally.n_tokens.sum()), 0.0))
    n_bytes = sum(piece.n_bytes for piece in part.pieces)
    before = 0
    with kept_memory(), stop_asked() as stop:
        saving = Saving(part, tally, stop)
        for piece in part.pieces:
            gaps = missing([*part.elsewhere.get(piece.name, []), *tally.covers.get(piece.name, [])])
            for n_new, n_tokens, fraction in count_piece(part, piece, gaps, tally):
                share = (before + piece.n_bytes * (fraction or 0)) / n_bytes if n_bytes else fraction
                report(Counted(part.index, n_new, n_tokens, share))
                saving.after_batch()
            before += piece.n_bytes
    if part.returned:
        return tally.profile()
    saving.save()
    return None


def count_piece(
    part: PartTask, piece: Piece, gaps: list[Run], tally: CorpusTally
) -> Iterator[tuple[int, int, float | None]]:
    """Add the batches of a piece that are missing: bytes and tokens of each, and how far the piece is read."""
    if not gaps:
        return
    reading = Reading(part.manifest.facts["skip_bad"])
    is_first = piece.name == part.manifest.pieces[0][0]
    n = 0
    for texts in text_batches(replace(part.corpus, source=piece.source), reading, part.manifest.batch_bytes):
        skipped = skipped_since(reading)
        if any(first <= n and (stop is None or n < stop) for first, stop in gaps):
            size = tally.add(texts, label=is_first and n == 0)
            tally.cover(piece.name, n, skipped)
            yield *size, reading.fraction
        n += 1
    if gaps[-1][1] is None:
        tally.cover_rest(piece.name, n, skipped_since(reading))


class Saving:
    """Writes a worker's part now and then, and when it is asked to stop."""

    def __init__(self, part: PartTask, tally: CorpusTally, stop: threading.Event):
        self.part, self.tally, self.stop = part, tally, stop
        self.saved_at = time.monotonic()

    def after_batch(self) -> None:
        if self.part.folder and (self.stop.is_set() or time.monotonic() - self.saved_at > SAVE_SECONDS):
            self.save()
        if self.stop.is_set():
            raise KeyboardInterrupt

    def save(self) -> None:
        assert self.part.folder is not None
        profile = self.tally.profile()
        facts = {**profile.facts, "version": self.part.manifest.version}
        self.part.folder.save(replace(profile, facts=facts), self.part.name)
        self.saved_at = time.monotonic()


@contextmanager
def stop_asked() -> Iterator[threading.Event]:
    """Set when Ctrl-C or a polite kill comes, so that the batch at hand is finished and kept; the same again stops at
    once, in the middle of a read that hangs."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    seen = set()

    def set_or_stop(sign: int, _: Any) -> None:
        if sign in seen:  # after Ctrl-C, which all processes get, a worker gets a SIGTERM of its parent
            raise KeyboardInterrupt
        seen.add(sign)
        stop.set()

    before = {sign: signal.signal(sign, set_or_stop) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
