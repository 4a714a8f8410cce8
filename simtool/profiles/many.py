"""Counting many corpora: the small ones beside each other, a whole corpus to a worker; the large ones one by one.

A corpus that is worth workers of its own is divided among them (`count`); a small one is not, and a thousand of them
would be counted on one core.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from simtool import executor
from simtool.profiles.count import PRELOAD, preloaded_tokenizer
from simtool.profiles.resolve import WORTH_WORKERS, Options, ResolvedProfile, find_profile, local_text
from simtool.progress import Counted, CountingFinished, Tally


@dataclass(frozen=True)
class CorpusTask:
    """A small corpus that is counted by one worker; its profile comes back by its place in the cache."""

    name: str
    features: tuple[str, ...]
    options: Options


def count_many(names: Sequence[str], features: Sequence[str], options: Options) -> list[ResolvedProfile]:
    """The profiles of these corpora, in their order; their counts stay in the cache until they are used."""
    small = [name for name in dict.fromkeys(names) if _is_small(name, options)]
    tasks = [CorpusTask(name, tuple(features), _options_of(name, options)) for name in small]
    counted: dict[str, ResolvedProfile] = {}
    if options.workers > 1 and options.engine == "local" and len(tasks) > 1:
        with preloaded_tokenizer(options.tokenizer, options.data):
            resolved = executor.run(
                _count_one, tasks, options.workers, report=options.report, preload=("simtool.profiles.many", *PRELOAD)
            )
        counted = {task.name: profile for task, profile in zip(tasks, resolved, strict=True)}
    return [counted.get(name) or find_profile(name, features, options, count=True) for name in names]


def _is_small(name: str, options: Options) -> bool:
    corpus = local_text(name, options)
    n_bytes = corpus.source.n_bytes if corpus is not None and corpus.source is not None else None
    return n_bytes is not None and n_bytes < WORTH_WORKERS


def _options_of(name: str, options: Options) -> Options:
    """What travels to a worker: not the other corpora, nor where messages are shown."""
    own = {key: corpus for key, corpus in options.corpora.items() if key == name}
    return replace(options, workers=1, report=_silent, corpora=own)


def _count_one(task: CorpusTask, report: executor.Report) -> ResolvedProfile:
    tally = Tally(task.name)

    def pass_on(message: Any) -> None:
        """A sentence for each corpus: bars of many at once would overwrite each other."""
        if isinstance(message, Counted):
            tally.add(message)
        elif isinstance(message, CountingFinished):
            report(f"Counted {task.name}: {tally}")
        elif isinstance(message, str):
            report(message)

    return find_profile(task.name, task.features, replace(task.options, report=pass_on), count=True)


def _silent(message: Any) -> None:
    """What stands for a report that cannot travel between processes."""
