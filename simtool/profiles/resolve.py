"""From what a user names to its profile: a path, the data folder, the cache, the shipped profiles, the hub.

The first of these that can serve does, in that order, and the profile says which (`ResolvedProfile.how`).
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from simtool.addresses import public_name
from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.chat import turns_of
from simtool.corpora.compression import BY_SUFFIX
from simtool.corpora.corpus import Corpus
from simtool.corpora.formats import BY_NAME
from simtool.corpora.hub import Hub, Hubs, in_split, parse_hub_id
from simtool.corpora.hub_files import hub_corpus
from simtool.corpora.memory import corpus_in_memory
from simtool.corpora.own import Entry, RowFilter, load_entries
from simtool.corpora.sources import announce, file_corpus, find_files
from simtool.corpora.spec import Spec, parse_spec
from simtool.errors import SimtoolError, unknown
from simtool.executor import Engine, Report
from simtool.mixture import Mixture
from simtool.profiles.count import Budget, count_corpus
from simtool.profiles.features import FEATURES, N_FOLDS, split_by_tokenizer
from simtool.profiles.profile import (
    Profile,
    check_counted,
    open_profile,
    profile_facts,
    released,
    save_profile,
)
from simtool.progress import CountingFinished, CountingStarted, default_report
from simtool.published import PUBLISHED
from simtool.tables import provenance
from simtool.tokens.chat_templates import NONE, load_chat_template
from simtool.tokens.tokenizer import Tokenizer, load_tokenizer

CORPORA_FILE = Path("simtool.toml")
REFERENCE = Path(str(resources.files("simtool.profiles") / "reference"))
WORTH_WORKERS = 8 << 20  # bytes on disk; below, starting processes costs more than it saves
SAMPLE_TOKENS = 10_000_000  # counted of a large corpus where no budget is given: enough for n-grams, seconds to count
LARGE_BYTES = 64 << 20  # on disk: a corpus above it, or of unknown size, is large
COUNTED = 2  # raised when a feature counts other symbols: profiles in the cache are then of earlier ones


def _path_of(variable: str) -> Path | None:
    return Path(os.environ[variable]).expanduser() if os.environ.get(variable) else None


def _cache_folder() -> Path:
    return (_path_of("SIMTOOL_CACHE") or platformdirs.user_cache_path("simtool")) / "profiles"


def _corpora_file() -> Path | None:
    """The corpora file that SIMTOOL_CORPORA names, or that of the working folder."""
    path = _path_of("SIMTOOL_CORPORA")
    return path or (CORPORA_FILE if CORPORA_FILE.is_file() else None)


@dataclass(frozen=True)
class Options:
    """How text is found and counted; the same for every corpus of a command.

    tokenizer      a name from `list_tokenizers`, a tokenizer.json, or a hub id
    data           folder with corpora as NAME_SPLIT.jsonl.zst and the like; SIMTOOL_DATA by default
    cache          folder of profiles that were counted before
    split          which split of the named corpora
    text_field     of own files and the hub; None: detected from the rows
    budget         how much of each corpus is counted
    workers        processes beside each other; 0: on Ray, one per CPU of the cluster
    engine         local: processes on this machine; ray: a Ray cluster
    skip_bad       leave unreadable rows out, and count them
    corpora        own corpora by the names they are used under: paths, lists of texts, frames, tables, datasets
    corpora_file   more of them, by `corpora.own`
    chat_template  how chats and prompts are written: a file's or a tokenizer's; None or "none": one turn a line
    sample         tokens counted of a large corpus where no budget is given; None: all
    report         gets CountingStarted, Counted and CountingFinished, or a sentence; a bar in a notebook by default
    """

    tokenizer: str = "default"
    data: Path | None = field(default_factory=lambda: _path_of("SIMTOOL_DATA"))
    cache: Path = field(default_factory=_cache_folder)
    split: str = "train"
    chat_template: str | None = None
    text_field: str | None = None
    budget: Budget = Budget()  # noqa: RUF009 (frozen)
    workers: int = 1
    engine: Engine = "local"
    skip_bad: bool = False
    corpora: Mapping[str, Any] = field(default_factory=dict)
    corpora_file: Path | None = field(default_factory=_corpora_file)
    sample: int | None = SAMPLE_TOKENS
    report: Report = field(default_factory=default_report)

    def __post_init__(self) -> None:
        own = {name: self._as_corpus(name, data) for name, data in self.corpora.items()}
        object.__setattr__(self, "corpora", own)

    def _as_corpus(self, name: str, data: Any) -> Corpus:
        if isinstance(data, Corpus):
            return _with_template(data, self)
        if isinstance(data, str | Path):
            return replace(find_text_or_hub(str(data), replace(self, corpora={})), name=name)
        return _with_template(corpus_in_memory(data, name, self.text_field), self)


@dataclass(frozen=True)
class ResolvedProfile:
    """A profile, and where it came from."""

    profile: Profile
    how: str  # "counted now", "cached", "shipped"
    content: str | None = None  # a hash of the files that it was counted from; None where it is not of files here

    def __repr__(self) -> str:
        return f"{self.profile!r}, {self.how}"

    @property
    def facts(self) -> dict[str, Any]:
        """What a table says of the corpus: how and where the profile was had, and its size."""
        content = {"content": self.content} if self.content else {}
        return {"how": self.how, **self.profile.size, **self.profile.facts, **content}


def find_profile(name: str, features: Iterable[str], options: Options, count: bool = False) -> ResolvedProfile:
    """The profile of a catalogue name, path, glob, URL or hub id, with these features at least.

    Parameters
    ----------
    count
        Count text, all of it where it is at hand, even where a profile of the name is.

    Raises
    ------
    SimtoolError
        When nothing can serve; the message lists what was tried.
    """
    features = list(features)
    tokenizer = load_tokenizer(options.tokenizer, options.data)
    corpus = local_text(name, options)
    if corpus is not None:
        announce(corpus, options.report)
        options = options if count else _with_sample(corpus, tokenizer, features, options)
        return _counted(corpus, tokenizer, features, options)
    tried = [f"data folder: {options.data or 'none given (--data DIR or SIMTOOL_DATA)'}"]
    if options.split == "train" and options.budget.unlimited and not count and not _is_rewritten(name, options):
        for how, profile in (
            ("cached", cached(name, tokenizer, features, options)),
            ("shipped", shipped(name, tokenizer, features)),
        ):
            if profile is not None:
                return ResolvedProfile(profile, how)
            tried.append(f"{how} profile under tokenizer {tokenizer.name}: none with {', '.join(features)}")
    try:
        corpus = _hub_corpus(name, options)
        return _counted(corpus, tokenizer, features, _with_sample(corpus, tokenizer, features, options))
    except SimtoolError as error:
        attempts = "\n".join(f"  - {line}" for line in [*tried, f"hub: {error}"])
        into = f", or put it into a data folder as {name}.jsonl.zst (--data DIR)" if name in CATALOGUE else ""
        raise SimtoolError(
            f"No text or profile for {name!r}. Tried, in this order:\n{attempts}\nGive a path to your own copy{into}."
        ) from None  # the message holds what failed; the client's own traceback is sixty lines


def _is_rewritten(name: str, options: Options) -> bool:
    """Whether a chat template writes a corpus in other words than its profiles were counted in."""
    if options.chat_template in (None, NONE) or name not in CATALOGUE:
        return options.chat_template not in (None, NONE)
    entry = CATALOGUE[name]
    return entry.render is None or bool(turns_of(entry.render(entry.example)))


def find_profiles(
    mixtures: Mapping[str, Mixture], features: Sequence[str], options: Options
) -> dict[str, ResolvedProfile]:
    """The profile of every corpus in these mixtures."""
    names = dict.fromkeys(corpus for mixture in mixtures.values() for corpus in mixture.weights)
    resolved = {name: find_profile(name, features, options) for name in names}
    for name, profile in resolved.items():
        check_counted(profile.profile, name, features)
    return resolved


def named(corpora: Any, options: Options) -> tuple[list[str], Options]:
    """The names of corpora, however they are given, and the options that know them by these names.

    Parameters
    ----------
    corpora
        One of these, a sequence of them, or {name: one of these}: a name, path or other spec, a `pathlib.Path`, and
        what `corpus_in_memory` reads.

    Raises
    ------
    SimtoolError
        Where there is none.
    """
    if isinstance(corpora, str | Path) or not isinstance(corpora, Sequence | Mapping):
        corpora = [corpora]
    labelled = corpora.items() if isinstance(corpora, Mapping) else ((None, data) for data in corpora)
    names: list[str] = []
    own = dict(options.corpora)
    for n, (label, data) in enumerate(labelled, 1):
        if isinstance(data, str | Path) and (label is None or local_text(str(data), options) is None):
            names.append(public_name(str(data)))  # where only a profile or the hub can serve, it keeps its own name
            continue
        names.append(label or f"corpus_{n}")
        own[names[-1]] = data
    if not names:
        raise SimtoolError("No corpus is given. Name at least one.")
    return names, replace(options, corpora=own)


def provenance_of(profiles: Mapping[str, ResolvedProfile], **facts: Any) -> dict[str, Any]:
    """The provenance of a result that rests on these profiles."""
    first = next(iter(profiles.values())).profile
    return provenance(
        tokenizer=first.tokenizer,
        fingerprint=first.fingerprint,
        corpora={name: resolved.facts for name, resolved in profiles.items()},
        **facts,
    )


def local_text(name: str, options: Options) -> Corpus | None:
    """The text of a corpus on this machine (or at a URL); None where only a profile or the hub can serve."""
    if name in options.corpora:
        return options.corpora[name]
    name = public_name(name)
    spec = parse_spec(name)
    split = spec.split or options.split
    if spec.location in options.corpora:
        corpus: Corpus | None = options.corpora[spec.location]
    elif (entry := own_entries(options).get(spec.location)) is not None:
        return _own_corpus(name, entry, spec, options)
    elif spec.is_path:
        corpus = file_corpus(spec.location, spec.fields or options.text_field, split, name)
    elif spec.location in CATALOGUE:
        corpus = _catalogue_text(CATALOGUE[spec.location], options.data, split)
    elif "/" in spec.location:
        corpus = None
    elif " " in spec.location:
        raise SimtoolError(
            f"No file or corpus {name!r}. Check the path; in Python, texts of your own have a name:"
            " {'mine': ['one text', 'another']}."
        )
    else:
        raise unknown("corpus", spec.location, {*CATALOGUE, *own_entries(options), *options.corpora, *PUBLISHED})
    if corpus is not None and spec.view is not None:
        corpus = replace(corpus, view=spec.view, train_on="text")
    return corpus and _with_template(replace(corpus, name=name), options)


def _with_template(corpus: Corpus, options: Options) -> Corpus:
    """A corpus whose chats and prompts are written by a chat template, if the options name one."""
    template = load_chat_template(options.chat_template) if corpus.template is None else None
    return corpus if template is None else replace(corpus, template=template)


def own_entries(options: Options) -> dict[str, Entry]:
    """The corpora of the corpora file."""
    return load_entries(options.corpora_file) if options.corpora_file else {}


def _own_corpus(name: str, entry: Entry, spec: Spec, options: Options) -> Corpus:
    """A corpus of the corpora file; what its name says beside it (view, split) comes before what the file says."""
    own = replace(
        options,
        text_field=spec.fields or entry.fields,
        split=spec.split or entry.split or options.split,
        chat_template=entry.chat_template or options.chat_template,
    )
    if parse_spec(entry.path).is_path:
        corpus = file_corpus(entry.path, own.text_field, own.split, name, entry.dialect, entry.encoding or "")
    else:
        corpus = find_text_or_hub(entry.path, replace(own, corpora_file=None))
    view = spec.view or entry.view or corpus.view
    return replace(
        _with_template(corpus, own),
        name=name,
        about=entry.about,
        role=entry.role,
        licence=entry.licence,
        title=entry.title,
        train_on=entry.train_on or ("text" if view else corpus.train_on),
        view=view,
        row_filter=RowFilter(entry.filter) if entry.filter else None,
    )


def first_texts(name: str, options: Options, n_documents: int) -> list[str]:
    """The first documents of a corpus; none where its text is not at hand, or the name is a mixture's."""
    try:
        corpus = local_text(name, options)
    except SimtoolError:
        return []
    return [] if corpus is None else [document.text for document in corpus.documents(n_documents)]


def _catalogue_text(corpus: Corpus, data: Path | None, split: str) -> Corpus | None:
    if corpus.source is not None and not isinstance(corpus.source, Hub | Hubs):
        return corpus  # made on this machine
    return in_data_folder(corpus, data, split) if data is not None else None


def find_text_or_hub(name: str, options: Options) -> Corpus:
    """The text of a corpus: on this machine if it is there, else the hub's.

    Raises
    ------
    SimtoolError
        For unknown names.
    """
    return local_text(name, options) or _hub_corpus(name, options)


def in_data_folder(corpus: Corpus, data: Path, split: str) -> Corpus | None:
    """A catalogue corpus as its files in a data folder serve it: NAME_SPLIT.jsonl.zst, NAME.jsonl.zst, ..."""
    if not data.is_dir():
        raise SimtoolError(f"No data folder {data}. Name one with --data or SIMTOOL_DATA.")
    for stem, stand_in in corpus.files.items():
        # a file without a split in its name holds the training text
        for base in (f"{stem}_{split}", f"{stem}-{split}", *([stem] if split == "train" else [])):
            for ending in BY_NAME:
                for compression in ("", *BY_SUFFIX):
                    path = data / f"{base}{ending}{compression}"
                    if path.exists():
                        return replace(corpus, source=find_files(str(path)), stand_in=stand_in)
    return None


def _counted(corpus: Corpus, tokenizer: Tokenizer, features: list[str], options: Options) -> ResolvedProfile:
    """The profile of this text: from the cache if it was counted before, else counted now and cached."""
    path = cache_path(corpus, tokenizer, options)
    assert corpus.source is not None
    content = None if corpus.source.is_remote else corpus.source.content()
    if profile := _usable(path, features):
        return ResolvedProfile(profile, "cached", content)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        options.report(f"{corpus.name} is being counted by another simtool; waiting for it.")
        lock.acquire()
    with lock:
        if profile := _usable(path, features):
            return ResolvedProfile(profile, "cached", content)
        if path.exists():  # features that were counted before stay available
            features = sorted({*features, *profile_facts(path)["features"]} & set(FEATURES), key=list(FEATURES).index)
        parts = path.with_suffix(".parts") / hashlib.sha256(" ".join(features).encode()).hexdigest()[:8]
        options.report(CountingStarted(corpus.name, corpus.describe()))
        profile = count_corpus(
            corpus,
            tokenizer,
            features,
            options.budget,
            _workers_for(corpus, options),
            options.skip_bad,
            options.data,
            parts,
            options.engine,
            options.report,
        )
        options.report(CountingFinished())
        save_profile(profile, path)
        shutil.rmtree(path.with_suffix(".parts"), ignore_errors=True)
    return ResolvedProfile(released(profile, path), "counted now", content)


def _hub_corpus(name: str, options: Options) -> Corpus:
    spec = parse_spec(name)
    split = spec.split or options.split
    if spec.location in CATALOGUE:
        corpus = CATALOGUE[spec.location]
        if corpus.source is None:
            raise SimtoolError(corpus.access or f"{name} is not there")
        corpus = replace(corpus, source=in_split(corpus.source, split))
    else:
        hub = parse_hub_id(spec.location)
        hub = replace(hub, split=split) if spec.split or hub.split == "train" else hub
        corpus = hub_corpus(hub, spec.fields or options.text_field)
    return _with_template(replace(corpus, name=name, view=spec.view), options)


def _with_sample(corpus: Corpus, tokenizer: Tokenizer, features: list[str], options: Options) -> Options:
    """A budget for a large corpus that nobody limited, unless all of it was counted before."""
    if not options.budget.unlimited or options.sample is None:
        return options
    size = corpus.source and corpus.source.n_bytes
    if (size is not None and size < LARGE_BYTES) or _usable(cache_path(corpus, tokenizer, options), features):
        return options
    sampled = replace(options, budget=Budget(tokens=options.sample, at_most=True))
    if not _usable(cache_path(corpus, tokenizer, sampled), features):
        options.report(
            f"{corpus.name}: its first {options.sample:,} tokens at most are counted."
            " All of it: --all, or Options(sample=None)."
        )
    return sampled


def cached(name: str, tokenizer: Tokenizer, features: list[str], options: Options) -> Profile | None:
    """The newest profile of a catalogue name that was counted here before."""
    paths = options.cache.glob(f"{slug(name)}-{tokenizer.fingerprint[:8]}-*.parquet")
    for path in sorted(paths, key=_date_of, reverse=True):
        profile = _usable(path, features)
        if profile is not None and profile.corpus == name:
            return profile
    return None


def _date_of(path: Path) -> str:
    """When a profile was counted, by what it says itself: copies and backups change a file's own date."""
    try:
        return str(profile_facts(path)["facts"].get("made", ""))
    except (SimtoolError, FileNotFoundError):
        return ""


def shipped(name: str, tokenizer: Tokenizer, features: Iterable[str] = ()) -> Profile | None:
    """The reference profile of a corpus that came with the package, if there is one under this tokenizer."""
    path = REFERENCE / f"{name}.{tokenizer.name}.parquet"
    if not path.exists() or profile_facts(path)["fingerprint"] != tokenizer.fingerprint:
        return None
    of_text, of_tokens = split_by_tokenizer(features)
    profile = open_profile(path, of_tokens)
    if not of_text:
        return profile
    text = open_profile(REFERENCE / f"{name}.text.parquet", of_text)
    return replace(
        profile,
        features=profile.features | text.features,
        labels={**profile.labels, **text.labels},
    )


def _usable(path: Path, features: list[str]) -> Profile | None:
    """The cached profile, if it is there with these features; a damaged one is counted again."""
    try:
        if path.exists() and set(features) <= set(profile_facts(path)["features"]):
            return open_profile(path, features)
    except SimtoolError:
        path.unlink()
    return None


def cache_path(corpus: Corpus, tokenizer: Tokenizer, options: Options) -> Path:
    """One file for one answer to: which text, cut into which tokens, how much of it."""
    assert corpus.source is not None
    settings = (
        corpus.source.identity(),
        tokenizer.fingerprint,
        options.budget,
        options.skip_bad,
        corpus.reading_identity(),
        N_FOLDS,
        COUNTED,
        *(["blocks"] if options.budget.in_blocks else []),
        *(["of files"] if options.budget.in_blocks and isinstance(corpus.source, Hub | Hubs) else []),
    )
    key = hashlib.sha256(repr(settings).encode()).hexdigest()[:12]
    # text that is not at hand is served under its name alone: never from what a chat template wrote
    written = ".chat" if corpus.template else ""
    return options.cache / f"{slug(corpus.name)}{written}-{tokenizer.fingerprint[:8]}-{key}.parquet"


def _workers_for(corpus: Corpus, options: Options) -> int:
    size = corpus.source and corpus.source.n_bytes
    return 1 if size is not None and size < WORTH_WORKERS else options.workers


def slug(name: str) -> str:
    """A name as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)[-60:].lstrip("._-") or "corpus"
