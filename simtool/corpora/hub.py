"""Datasets of the Hugging Face hub as sources: streamed, never downloaded whole, never running their code.

A set that is only a loading script cannot be read (`datasets` dropped scripts). Where its repository also
holds plain files, or the hub's own parquet copy (revision "refs/convert/parquet"), name them in `data_files`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from simtool.corpora.reading import Reading, Row, Source
from simtool.errors import SimtoolError

LIST_ROWS = 1_000
LIST_BYTES = 4_000_000
SECONDS_TO_ANSWER = 5  # the hub's own retries take 24 s to say that there is no network
FORMATS = {"parquet": "parquet", "jsonl": "json", "json": "json", "csv": "csv", "txt": "text"}
PAGES = "https://huggingface.co/datasets"
INSTEAD = "Put the text in a file and name the file, or the folder it is in with SIMTOOL_DATA or --data."


@dataclass(frozen=True)
class Hub(Source):
    """One split of one dataset.

    data_files  files of the repository (globs) to read instead of what its card says; every row is in `split`
    columns     parquet only: the columns to read, for files that do not all have the same ones
    spread      so many files are read side by side, one list from each in turn, so that the beginning of the
                stream is a sample of the whole where the files are sorted by language or task

    The rows' order does not depend on the network, but `identity` cannot see a new commit: it must be known
    offline. Give a `revision` to pin one.
    """

    repo: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    data_files: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    spread: int = 1

    def describe(self) -> str:
        revision = f" at {self.revision}" if self.revision else ""
        return f"hub {self.repo} ({', '.join(filter(None, [self.config, self.split]))}){revision}"

    def identity(self) -> str:
        parts = [self.repo, self.config or "", self.split, self.revision or "", ",".join(self.data_files)]
        return "hub:" + ":".join(parts) + f":{self.spread}"

    @property
    def is_remote(self) -> bool:
        return True

    @property
    def n_shares(self) -> int:
        """How many shards can be read that have files of their own; any more would each fetch all of them."""
        with errors_as_messages(self):
            return _open(self).num_shards

    def read(self, shard: int = 0, n_shards: int = 1, reading: Reading | None = None) -> Iterator[list[Row]]:
        """Each shard gets whole files where there are enough of them, otherwise every n-th list of rows."""
        with errors_as_messages(self):
            dataset = _open(self).with_format("arrow")
            n_files = dataset.num_shards
            by_file = n_files >= n_shards
            files = list(range(shard, n_files, n_shards)) if by_file else list(range(n_files))
            n_lanes = max(1, min(self.spread, len(files)))
            lanes = [
                _lists(dataset, files[len(files) * lane // n_lanes : len(files) * (lane + 1) // n_lanes])
                for lane in range(n_lanes)
            ]
            for position, rows in enumerate(in_turn(lanes)):
                if by_file or position % n_shards == shard:
                    yield rows


@dataclass(frozen=True)
class Hubs(Source):
    """Several datasets as one: a list of rows from each in turn, so that a sample holds all of them."""

    parts: tuple[Hub, ...]

    def describe(self) -> str:
        return " + ".join(part.describe() for part in self.parts)

    def identity(self) -> str:
        return "+".join(part.identity() for part in self.parts)

    @property
    def is_remote(self) -> bool:
        return True

    @property
    def n_shares(self) -> int:
        return min(part.n_shares for part in self.parts)

    def read(self, shard: int = 0, n_shards: int = 1, reading: Reading | None = None) -> Iterator[list[Row]]:
        return in_turn([part.read(shard, n_shards, reading) for part in self.parts])


def parse_hub_id(text: str) -> Hub:
    """`owner/name`, `owner/name:config`, `owner/name:config:split` or `owner/name::split`."""
    repo, _, rest = text.partition(":")
    config, _, split = rest.partition(":")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo) or ":" in split:
        raise SimtoolError(
            f"Not a hub id: {text!r}.\n"
            "Write OWNER/NAME, OWNER/NAME:CONFIG:SPLIT or OWNER/NAME::SPLIT, such as openai/gsm8k:main:train."
        )
    return Hub(repo, config or None, split or "train")


def in_turn(iterators: list[Iterator[Any]]) -> Iterator[Any]:
    """One item from each in turn, until all have ended."""
    while iterators:
        going = []
        for iterator in iterators:
            for item in iterator:
                yield item
                going.append(iterator)
                break
        iterators = going


def in_split(source: Source | None, split: str) -> Source | None:
    """A source in another split than that of its entry; what is not on the hub has none."""
    if isinstance(source, Hubs):
        return Hubs(tuple(replace(part, split=split) for part in source.parts))
    return replace(source, split=split) if isinstance(source, Hub) and split != "train" else source


def _open(hub: Hub) -> Any:
    """The split as a streaming `IterableDataset`, at the commit that the revision means now."""
    datasets, _ = _libraries()
    splits = _load(hub, commit_of(hub), partial(datasets.load_dataset, streaming=True))
    check_split(hub, splits)
    return splits[hub.split]


def commit_of(hub: Hub) -> str:
    """The commit that its revision means now."""
    _, api = _libraries()
    return api.dataset_info(hub.repo, revision=hub.revision, timeout=SECONDS_TO_ANSWER).sha


def builder_of(hub: Hub) -> Any:
    """What `datasets` would read it with, at its revision; `config.data_files` names the files of each split."""
    datasets, _ = _libraries()
    return _load(hub, hub.revision, datasets.load_dataset_builder)


def _load(hub: Hub, commit: str | None, load: Callable[..., Any]) -> Any:
    """What a loader of `datasets` makes of a set at a commit."""
    datasets, _ = _libraries()
    with _quiet(datasets):
        if not hub.data_files:
            return load(hub.repo, hub.config, revision=commit)
        files = [f"hf://datasets/{hub.repo}@{commit}/{pattern}" for pattern in hub.data_files]
        columns = {"columns": list(hub.columns)} if hub.columns else {}
        return load(_format(hub.data_files[0]), data_files={hub.split: files}, **columns)


def check_split(hub: Hub, splits: Iterable[Any]) -> None:
    """A set has the split that is named.

    Raises
    ------
    SimtoolError
        Where it does not.
    """
    splits = [*map(str, splits)]
    if hub.split not in splits:
        raise SimtoolError(
            f"{hub.repo} has no split {hub.split!r}. It has: {', '.join(splits)}.\n"
            f"Write {hub.repo}:{hub.config or ''}:SPLIT."
        )


def _lists(dataset: Any, files: list[int]) -> Iterator[list[Row]]:
    for file in files:
        for table in dataset.shard(dataset.num_shards, file).iter(LIST_ROWS):
            n_rows = max(1, min(len(table), len(table) * LIST_BYTES // max(1, table.nbytes)))
            for first in range(0, len(table), n_rows):
                yield table.slice(first, n_rows).to_pylist()


def _format(pattern: str) -> str:
    """The reader for a file name: jsonl from `part.jsonl.zst`."""
    for suffix in PurePosixPath(pattern).suffixes:
        if suffix[1:] in FORMATS:
            return FORMATS[suffix[1:]]
    raise ValueError(f"{pattern}: none of {', '.join(FORMATS)}")


def _libraries() -> tuple[Any, Any]:
    try:
        import datasets
        import huggingface_hub
    except ImportError as error:
        raise SimtoolError(
            f"Reading the hub needs the package {error.name!r}.\nInstall it: python -m pip install datasets"
        ) from None
    return datasets, huggingface_hub.HfApi()


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Without progress bars of its own: the caller shows progress."""
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


@contextmanager
def errors_as_messages(hub: Hub) -> Iterator[None]:
    """What can go wrong at the hub, as one message each."""
    try:
        yield
    except SimtoolError as error:  # a reader of files may have taken what the hub said for damage
        problem = _problem(hub, error.__cause__) if isinstance(error.__cause__, Exception) else None
        raise problem or error from error.__cause__
    except Exception as error:
        problem = _problem(hub, error)
        if problem is None:
            raise
        raise problem from error


def _problem(hub: Hub, error: Exception) -> SimtoolError | None:
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    transport_error = HfHubHTTPError.__bases__[0]  # HTTPError of httpx, from 2.0 on of httpx2

    page = f"{constants.ENDPOINT}/datasets/{hub.repo}"
    causes = list(_causes(error))

    def among(*kinds: type[BaseException]) -> BaseException | None:
        return next((cause for cause in causes if isinstance(cause, kinds)), None)

    if among(OfflineModeIsEnabled):
        return SimtoolError(f"{hub.repo} is on the hub, and HF_HUB_OFFLINE is set.\nUnset it. Or: {INSTEAD}")
    refused = among(GatedRepoError) or next((cause for cause in causes if _status(cause) == 403), None)
    if refused or "gated dataset" in str(error):
        return SimtoolError(
            f"{hub.repo} is gated: its owner wants an agreement first.\nAccept it at {page}, then log in: hf auth login"
        )
    if among(RevisionNotFoundError):
        return SimtoolError(f"{hub.repo} has no revision {hub.revision!r}. See {page}/tree/main")
    if among(RepositoryNotFoundError, DatasetNotFoundError):
        return SimtoolError(
            f"No dataset {hub.repo!r} at {constants.ENDPOINT}, or it is private.\n"
            "Check the name. If it is private, log in: hf auth login"
        )
    failed = next((cause for cause in causes if _status(cause)), None)
    if failed or among(HfHubHTTPError):
        status = _status(failed) if failed else "an error"
        return SimtoolError(f"The hub answered {status} for {hub.repo}. Try again later. Or: {INSTEAD}")
    if among(transport_error, ConnectionError, TimeoutError):
        unreachable = among(transport_error) or error
        return SimtoolError(
            f"{hub.repo} is on the hub, and {constants.ENDPOINT} cannot be reached ({unreachable}).\n"
            f"Check the network. Or: {INSTEAD}"
        )
    if "scripts are no longer supported" in str(error):
        return SimtoolError(
            f"{hub.repo} is a loading script, which is code, and simtool runs none.\n"
            f"Look for a copy of it as files: {constants.ENDPOINT}/datasets?search={hub.repo.split('/')[1]}"
        )
    if isinstance(error, FileNotFoundError):
        missing = ", ".join(hub.data_files) or "data files"
        return SimtoolError(f"{hub.repo} has no {missing}. See {page}/tree/main")
    if isinstance(error, ValueError) and "onfig" in str(error) and (names := _configs(error)):
        problem = f"has no config {hub.config!r}" if hub.config else "has several configs and needs one named"
        return SimtoolError(f"{hub.repo} {problem}. It has: {', '.join(names)}.\nWrite {hub.repo}:CONFIG:{hub.split}.")
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _configs(error: ValueError) -> list[str]:
    """The names that `datasets` lists, in brackets, when a config is missing or unknown."""
    listed = re.search(r"\[([^\]]*)\]", str(error))
    return re.findall(r"'([^']*)'", listed[1]) if listed else []
