"""Counting a corpus as the tasks of an array job: one part each into a folder that all see, and then their sum."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from tempfile import TemporaryDirectory

from simtool import executor
from simtool.corpora.corpus import Corpus
from simtool.corpora.hub_files import Undivided, as_files
from simtool.errors import SimtoolError
from simtool.profiles.count import PRELOAD, Budget, finished, manifest_of, parts_of
from simtool.profiles.parts import PartsFolder, sum_of, whole_facts
from simtool.profiles.profile import Profile, load_profile, released, save_profile
from simtool.profiles.resolve import Options, ResolvedProfile, cache_path, find_text_or_hub, slug
from simtool.profiles.worker import count_part
from simtool.progress import CountingFinished, CountingStarted
from simtool.tokens.tokenizer import load_tokenizer

FEWEST_PARTS = 8  # that are worth a worker


def count_part_of(name: str, features: Sequence[str], options: Options, index: int, of: int, parts: str) -> None:
    """Count one of so many parts of a corpus into a folder or URL; `merge_parts` makes the whole of them.

    Raises
    ------
    SimtoolError
        Where there is no text to divide, or the folder holds parts of something else.
    """
    whole = find_text_or_hub(name, options)
    tokenizer = load_tokenizer(options.tokenizer, options.data)
    folder = PartsFolder(f"{parts.rstrip('/')}/{slug(name)}-{tokenizer.fingerprint[:8]}")
    existing = folder.manifest()
    corpus = _in_files(whole, existing.commits if existing else ())
    manifest, pieces = manifest_of(corpus, tokenizer, tuple(features), options.skip_bad)
    if existing is None:
        folder.save_manifest(replace(manifest, profile=cache_path(whole, tokenizer, options).name))
    elif replace(existing, profile="") != manifest:
        raise SimtoolError(
            f"{folder.name} holds parts of another count of {existing.corpus}: its files, features or options differ.\n"
            "Remove it, or name another folder with --parts."
        )
    options.report(CountingStarted(f"{corpus.name}, part {index} of {of}", corpus.describe()))
    part = parts_of(corpus, manifest, pieces, of, options.data, folder)[index]
    count_part(replace(part, returned=False), options.report)
    options.report(CountingFinished())


def _in_files(corpus: Corpus, commits: Sequence[str]) -> Corpus:
    """A corpus that tasks can divide: they all read a set of the hub at the commits that the first of them read."""
    try:
        return as_files(corpus, commits)
    except Undivided as reason:
        raise SimtoolError(
            f"--part divides files, and {reason}, which is read as a stream. Count it in one process, without --part."
        ) from None


def merge_parts(parts: str, options: Options) -> list[ResolvedProfile]:
    """The profiles that the parts under a folder or URL add up to; they go into the cache. The parts stay.

    Raises
    ------
    SimtoolError
        Where there are none, or some are not counted yet.
    """
    whole = PartsFolder(parts)
    if not (folders := whole.folders()):
        command = f"simtool profile CORPUS --part 0/8 --parts {whole.name}"
        raise SimtoolError(f"No parts in {whole.name}. Count some: {command}.")
    return [ResolvedProfile(_merge(folder, options), "merged now") for folder in folders]


@dataclass(frozen=True)
class SumTask:
    """Some parts that a worker adds up, and the file that their sum goes to: in memory it would be 0.36 GB of each."""

    folder: PartsFolder
    names: tuple[str, ...]
    features: tuple[str, ...]
    path: Path


def _sum_of_all(folder: PartsFolder, names: list[str], features: tuple[str, ...], workers: int) -> Profile:
    """The sum of all parts, in two steps where there are many: 0.9 s each, with all features."""
    n = min(workers, len(names) // FEWEST_PARTS)
    if n <= 1:
        return sum_of(folder, names, features)
    with TemporaryDirectory() as near:
        tasks = [SumTask(folder, tuple(names[i::n]), features, Path(near) / f"{i}.parquet") for i in range(n)]
        executor.run(_add_up, tasks, n, preload=("simtool.profiles.array_job", *PRELOAD))
        return reduce(add, (load_profile(task.path) for task in tasks))


def _add_up(task: SumTask, report: executor.Report) -> None:
    save_profile(sum_of(task.folder, task.names, task.features), task.path)


def _merge(folder: PartsFolder, options: Options) -> Profile:
    manifest = folder.manifest()
    assert manifest is not None
    facts = whole_facts(folder, manifest)
    profile = _sum_of_all(folder, list(facts), manifest.features, options.workers)
    whole = finished(profile, budget=Budget(), facts=list(facts.values()), **manifest.facts)
    path = options.cache / manifest.profile
    save_profile(whole, path)
    folder.sweep()
    return released(whole, path)
