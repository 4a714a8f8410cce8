"""Counting a corpus: text -> ids -> features -> counts per fold, in parts that add up to the whole.

Each worker reads its own pieces, so nothing large travels between processes, and keeps one tally, which it writes now
and then with what it covers, so that an interrupted count goes on from there (`parts`).
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simtool import executor
from simtool.corpora.corpus import Corpus, why_empty
from simtool.corpora.hub_files import HubFiles, Undivided, as_files, in_order_of_files
from simtool.corpora.pieces import piece_bytes
from simtool.corpora.reading import Piece
from simtool.errors import SimtoolError
from simtool.profiles.exact import count_candidates, gather, gather_tasks, joined_all
from simtool.profiles.features import counts_bytes
from simtool.profiles.on_ray import count_on_ray
from simtool.profiles.parts import Manifest, PartsFolder, merged, missing, runs_of
from simtool.profiles.profile import Profile
from simtool.profiles.samples import Budget, InTurn, blocks_of, count_sample, n_sure_blocks, overfull
from simtool.profiles.worker import PRELOADED_DATA, PRELOADED_TOKENIZER, PartTask, count_part
from simtool.tables import provenance
from simtool.tokens.tokenizer import Tokenizer, load_tokenizer

BATCH_BYTES = 16 << 20  # text counted at once: enough to amortise a pass over the counts, small beside 2 GB
RETURNED_BYTES = 1 << 30  # counts of all workers together that they hand over; larger ones add up from their files
PRELOAD = ("simtool.profiles.preload",)
ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1"}  # of the process that workers are forked from: they multiply nothing


def count_corpus(
    corpus: Corpus,
    tokenizer: Tokenizer,
    features: Iterable[str],
    budget: Budget = Budget(),  # noqa: B008 (frozen)
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
        Processes; the counts do not depend on it. The first documents, but those of a set of the hub, are counted by
        one. 0: on Ray, one per CPU of the cluster; an exact sample is gathered here.
    parts
        A folder for unfinished work: an interrupted count with the same arguments goes on from there, whatever the
        number of workers.
    report
        Is called with a Counted now and then.

    Raises
    ------
    SimtoolError
        When the corpus is empty, cannot be read, or is smaller than the budget.
    """
    features = tuple(features)
    if budget.unlimited or budget.seed is not None:
        corpus = _in_files(corpus, report)
    elif in_order_of_files(corpus.source):
        corpus = _in_files(corpus, lambda message: None)  # its beginning is little, in pieces or not
    if budget.unlimited:
        manifest, pieces = manifest_of(corpus, tokenizer, features, skip_bad)
        folder = None if parts is None else _folder_of(parts, manifest)
        pieces = _unfinished(pieces, folder)
        _say_undivided(corpus, pieces, workers, report)
        n = _n_workers(corpus, pieces, workers, run_on, report)
        tasks = parts_of(corpus, manifest, pieces, n, data, folder)
        profile, facts = _add_parts(tasks, workers, run_on, report)
    elif budget.seed is not None or isinstance(corpus.source, HubFiles):
        sample = _Sample(corpus, tokenizer, features, budget, skip_bad, data, parts)
        profile, facts = (
            sample.count_exact(workers, report) if budget.exact else sample.count_blocks(workers, run_on, report)
        )
    else:
        profile = count_sample(corpus, tokenizer, features, budget, skip_bad, report)
        facts = [profile.facts]
    return finished(profile, corpus.describe(), corpus.stand_in, budget, skip_bad, facts)


def finished(
    profile: Profile,
    source: str,
    stand_in: str | None,
    budget: Budget,
    skip_bad: bool,
    facts: Sequence[Mapping[str, Any]],
) -> Profile:
    """A profile that says where it comes from; `facts` are those of the parts that it is the sum of.

    Raises
    ------
    SimtoolError
        When it is empty.
    """
    skipped = [part["skipped"] for part in facts]
    reasons = [reason for part in skipped for reason in part["reasons"]]
    n_skipped, n_empty = sum(part["count"] for part in skipped), sum(part["empty"] for part in skipped)
    if not profile.size["documents"]:
        why = why_empty(n_skipped, reasons, n_empty)
        raise SimtoolError(f"{profile.corpus} is empty: {source} holds no text.{why}")
    return replace(
        profile,
        facts=provenance(
            source=source,
            stand_in=stand_in,
            budget=budget.facts,
            skipped={"count": n_skipped, "reasons": reasons[:5]} if skip_bad else None,
            empty=n_empty,
        ),
    )


def _in_files(corpus: Corpus, report: executor.Report) -> Corpus:
    """A corpus whose set of the hub is read as files; where it is not, it stays a stream, and that is said."""
    try:
        return as_files(corpus)
    except Undivided as reason:
        report(f"{corpus.name}: {reason}, so it is read as a stream and not in pieces of files.")
        return corpus


# ---- parts -----------------------------------------------------------------------------------------------


def manifest_of(
    corpus: Corpus,
    tokenizer: Tokenizer,
    features: tuple[str, ...],
    skip_bad: bool,
    profile: str = "",
    pieces: Sequence[Piece] | None = None,
) -> tuple[Manifest, list[Piece]]:
    """What there is to count, and the pieces of it: those given, or all of the corpus."""
    pieces = corpus.source.pieces() if pieces is None else list(pieces)
    manifest = Manifest(
        corpus.name,
        f"{corpus.source.version()} {corpus.reading_identity()}",
        tokenizer.name,
        tokenizer.fingerprint,
        features,
        BATCH_BYTES,
        tuple((piece.name, piece.n_bytes) for piece in pieces),
        profile,
        {"source": corpus.describe(), "stand_in": corpus.stand_in, "skip_bad": skip_bad},
        corpus.source.commits if isinstance(corpus.source, HubFiles) else (),
    )
    return manifest, pieces


@dataclass(frozen=True)
class _Sample:
    """A sample of a corpus: of blocks, in an order that the seed gives, or of documents in that of their hashes."""

    corpus: Corpus
    tokenizer: Tokenizer
    features: tuple[str, ...]
    budget: Budget
    skip_bad: bool
    data: Path | None
    parts: Path | None

    def count_blocks(
        self, workers: int, run_on: executor.Engine, report: executor.Report
    ) -> tuple[Profile, list[Mapping[str, Any]]]:
        """Most of it by all workers, as much as surely fits, and the rest by one, that sees where it is full."""
        how = (self.tokenizer, self.features, self.budget, self.skip_bad, report)
        blocks = blocks_of(self.corpus.source, self.budget)
        n = n_sure_blocks(self.corpus, blocks, self.tokenizer, self.budget, self.skip_bad)
        counted, facts = self._count_all(blocks[:n], workers, run_on, report) if n else (None, [])
        if counted and overfull(counted, self.budget):  # the first block was unlike the others
            n, counted, facts = 0, None, []
        rest = replace(self.corpus, source=InTurn(self.corpus.source, tuple(blocks[n:])))
        last = count_sample(rest, *how, counted.size if counted else None)
        return (counted + last if counted else last), [*facts, last.facts]

    def count_exact(self, workers: int, report: executor.Report) -> tuple[Profile, list[Mapping[str, Any]]]:
        """The documents of the smallest hashes, gathered by all workers of this machine and counted by one."""
        manifest, pieces = manifest_of(self.corpus, self.tokenizer, self.features, self.skip_bad)
        manifest = replace(manifest, version=f"{manifest.version} exact {self.budget}")
        folder = None if self.parts is None else _folder_of(self.parts, manifest).local
        _say_undivided(self.corpus, pieces, workers, report)
        workers = _n_workers(self.corpus, pieces, workers, "local", report)
        tasks, before = gather_tasks(self.corpus, manifest, self.budget, pieces, workers, self.data, folder)
        with preloaded_tokenizer(manifest.tokenizer, self.data):
            gathered = executor.run(gather, tasks, len(tasks), report, _preload(self.corpus, gather))
        candidates = joined_all([before, *gathered], self.budget)
        last = (self.corpus.name, self.tokenizer, self.features, self.budget, report)
        profile = count_candidates(candidates, *last)
        return profile, [profile.facts]

    def _count_all(
        self, blocks: Sequence[Piece], workers: int, run_on: executor.Engine, report: executor.Report
    ) -> tuple[Profile, list[Mapping[str, Any]]]:
        manifest, pieces = manifest_of(self.corpus, self.tokenizer, self.features, self.skip_bad, "", blocks)
        folder = None if self.parts is None else _folder_of(self.parts, manifest)
        pieces = _unfinished(pieces, folder)
        n = _n_workers(self.corpus, pieces, workers, run_on, report)
        tasks = parts_of(self.corpus, manifest, pieces, n, self.data, folder)
        return _add_parts(tasks, workers, run_on, report)


def _folder_of(path: Path, manifest: Manifest) -> PartsFolder:
    """A folder of this machine; parts of another count in it, or of an earlier layout, are removed."""
    folder = PartsFolder(str(path))
    if folder.manifest() != manifest:
        shutil.rmtree(path, ignore_errors=True)
        folder.save_manifest(manifest)
    return folder


def _unfinished(pieces: Sequence[Piece], folder: PartsFolder | None) -> list[Piece]:
    """Those of which something is not counted yet: only for them is a worker started."""
    runs = runs_of(folder.facts().values()) if folder else {}
    return [piece for piece in pieces if missing(runs.get(piece.name, []))]


def parts_of(
    corpus: Corpus,
    manifest: Manifest,
    pieces: Sequence[Piece],
    of: int,
    data: Path | None,
    folder: PartsFolder | None,
) -> list[PartTask]:
    """The tasks of so many workers: every n-th piece, the largest first.

    Counts come back as they are up to 1 GB: to write, check and add up a part's file takes 0.045 s of processor time of
    unigrams and 1.9 s of all features.
    """
    by_size = sorted(pieces, key=lambda piece: -piece.n_bytes)
    facts = folder.facts() if folder else {}
    vocabulary_size = load_tokenizer(manifest.tokenizer, data).vocabulary_size
    is_small = of * counts_bytes(manifest.features, vocabulary_size) <= RETURNED_BYTES
    returned = folder is None or (is_small and not facts)
    tasks = [PartTask(corpus, manifest, tuple(by_size[i::of]), i, of, data, {}, folder) for i in range(of)]
    others = [{name: part for name, part in facts.items() if name != task.name} for task in tasks]
    return [
        replace(task, elsewhere=dict(runs_of(other.values())), returned=returned or (of == 1 and not other))
        for task, other in zip(tasks, others, strict=True)
    ]


def _say_undivided(corpus: Corpus, pieces: Sequence[Piece], workers: int, report: executor.Report) -> None:
    """Say where a large piece is all of a file that cannot be divided."""
    size = piece_bytes(corpus.source.n_bytes)
    if workers != 1 and (n := sum(piece.n_bytes > 2 * size for piece in pieces)):
        report(
            f"{corpus.name}: {n} of {len(pieces)} pieces can be read from the beginning only, each by one"
            " worker. JSON lines, parquet and zstd in frames (pzstd) are divided."
        )


def _n_workers(
    corpus: Corpus, pieces: Sequence[Piece], workers: int, run_on: executor.Engine, report: executor.Report
) -> int:
    """As many as there are pieces at most, and for text of this machine as processors: more take longer, by the clock
    too, as each has caches of its own and puts the others' out of the processor's."""
    n, n_processors = max(1, min(workers, len(pieces))), executor.n_processors()
    if run_on != "local" or n <= n_processors or corpus.source.is_remote:
        return n
    report(f"{corpus.name}: counted by {n_processors} workers, one per processor; {n} would take longer.")
    return n_processors


def _add_parts(
    tasks: Sequence[PartTask], workers: int, run_on: executor.Engine, report: executor.Report
) -> tuple[Profile, list[Mapping[str, Any]]]:
    """The sum of all parts, those counted before included, and the facts of each."""
    folder, manifest = tasks[0].folder, tasks[0].manifest
    pieces = tuple(piece for task in tasks for piece in task.pieces)
    if run_on == "ray" and pieces:
        return count_on_ray(replace(tasks[0], pieces=pieces), workers, report)
    with preloaded_tokenizer(manifest.tokenizer, tasks[0].data):
        counted = executor.run(count_part, tasks, len(tasks), report, _preload(tasks[0].corpus, count_part))
    profiles = [profile for profile in counted if profile]
    counted.clear()
    if not profiles:
        assert folder is not None
        return merged(folder, manifest)
    own = {task.name for task in tasks}
    before = [folder.load(name, manifest.features) for name in folder.facts() if name not in own] if folder else []
    profiles += [profile for profile in before if profile is not None]
    facts = [profile.facts for profile in profiles]
    return _sum(profiles), facts


def _sum(profiles: list[Profile]) -> Profile:
    """Their sum; each is let go of once it is added."""
    total = profiles.pop(0)
    while profiles:
        total = total + profiles.pop(0)
    return total


def _preload(corpus: Corpus, function: Callable) -> tuple[str, ...]:
    """What workers of this corpus need: where the function, its source and its layout are defined, too."""
    return (*sorted({corpus.source.__module__, corpus.render.__module__, function.__module__}), *PRELOAD)


@contextmanager
def preloaded_tokenizer(name: str, data: Path | None) -> Iterator[None]:
    """Workers that are started meanwhile find this tokenizer made; see `preload`."""
    variables = ONE_BLAS_THREAD | {PRELOADED_TOKENIZER: name, PRELOADED_DATA: str(data or "")}
    before = {variable: os.environ.get(variable) for variable in variables}  # set, inside a count of many corpora
    os.environ |= variables
    try:
        yield
    finally:
        for variable, value in before.items():
            del os.environ[variable]
            os.environ |= {} if value is None else {variable: value}
