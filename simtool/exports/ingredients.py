"""The corpora of a mixture as a trainer is to name them: which repository or files, which fields, what share."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.catalogue.renders import Pair
from simtool.corpora.corpus import Corpus
from simtool.corpora.formats import named_format
from simtool.corpora.hub import Hub, Hubs, parse_hub_id
from simtool.corpora.layouts import Messages, PromptResponse, TextFields
from simtool.corpora.sources import Files
from simtool.corpora.spec import parse_spec
from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.profiles.resolve import Options, find_profile, find_text_or_hub, local_text, own_entries

WRITE_SAMPLE = "Write the mixed text itself: --export jsonl --tokens N."
MOST_NAMED = 5  # files of a corpus that are named one by one
LOADERS = {"jsonl": "json", "json": "json", "parquet": "parquet", "arrow": "arrow", "csv": "csv", "text": "text"}


@dataclass(frozen=True)
class Fields:
    """Which fields of a row hold its text.

    names   of text: one; of a pair: prompt and response; of a chat: the list of messages
    turn    of a chat: what a message calls its role and its text
    clean   False where simtool cleans the text as it reads it, which a trainer does not
    """

    kind: Literal["text", "pair", "chat"]
    names: tuple[str, ...]
    turn: tuple[str, str] = ("role", "content")
    clean: bool = True


@dataclass(frozen=True)
class Ingredient:
    """A corpus of a mixture. It lies on the hub, in files, or (text for `--export jsonl` alone) elsewhere.

    share   of the mixture's tokens
    files   absolute paths, or URLs
    """

    name: str
    share: float
    corpus: Corpus
    hub: Hub | None = None
    files: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Where its text lies, and which part of it is meant."""
        place = self.hub.describe() if self.hub else _place_of(self.files) or self.corpus.describe()
        if self.corpus.source is None:
            place = self.corpus.access or "your own copy"
        return ", ".join([place, *([self.part] if self.part and not place.endswith(self.part) else [])])

    @property
    def part(self) -> str:
        """What of it is read, where that is not all."""
        corpus = self.corpus
        rows = f"rows where {corpus.row_filter.text}" if corpus.row_filter else ""
        return ", ".join(filter(None, [f"{corpus.view} only" if corpus.view else "", rows]))

    @property
    def paths(self) -> tuple[str, ...]:
        """The files.

        Raises
        ------
        SimtoolError
            Where it lies in none.
        """
        if not self.files:
            raise SimtoolError(f"{self.name} lies in no file or repository that a trainer could name. {WRITE_SAMPLE}")
        return self.files

    @property
    def is_cleaned(self) -> bool:
        """Whether simtool cleans its text as it reads it."""
        fields = fields_of(self.corpus)
        return fields is not None and not fields.clean

    @property
    def loader(self) -> str:
        """What `datasets` calls the format of the files.

        Raises
        ------
        SimtoolError
            Where it has no such format, or the files have several.
        """
        names = {LOADERS.get(named_format(file) or "") for file in self.paths}
        name = names.pop() if len(names) == 1 else None
        if name is None:
            raise SimtoolError(f"{self.name}: a trainer does not read {', '.join(self.files)}. {WRITE_SAMPLE}")
        return name

    @property
    def fields(self) -> Fields:
        """Which fields hold the text.

        Raises
        ------
        SimtoolError
            Where simtool puts the text together from several, as no trainer's configuration can.
        """
        if self.part:
            raise SimtoolError(
                f"Of {self.name} a part is meant ({self.part}), which a trainer's configuration cannot say."
                f" {WRITE_SAMPLE}"
            )
        fields = fields_of(self.corpus)
        if fields is None:
            raise SimtoolError(
                f"{self.name} is put together from the fields {', '.join(map(str, self.corpus.example))}, which a"
                f" trainer's configuration cannot say. {WRITE_SAMPLE}"
            )
        return fields


def _place_of(files: Sequence[str]) -> str:
    """The files by name; many of them by number and folder."""
    if len(files) <= MOST_NAMED:
        return ", ".join(files)
    return f"{len(files):,} files below {os.path.commonpath([os.path.dirname(file) for file in files])}"


def fields_of(corpus: Corpus) -> Fields | None:
    """The fields that hold a corpus's text, as a configuration can name them; None where it cannot."""
    render, row = corpus.render, corpus.example
    match render:
        case TextFields(names=names) if "," not in names:
            return Fields("text", (names,))
        case PromptResponse(prompts=(prompt,), response=response):
            return Fields("pair", (prompt, response))
        case Messages(field=name):
            turns = row.get(name)
            turn = turns[0] if isinstance(turns, list) and turns and isinstance(turns[0], dict) else {}
            return Fields("chat", (name,), ("from", "value") if "from" in turn else ("role", "content"))
        case Pair(prompt=prompt, response=response) if not isinstance(corpus.source, Hubs):
            names = [next((name for name in text.split("|") if name in row), None) for text in (prompt, response)]
            return Fields("pair", tuple(map(str, names))) if None not in names else None
    if len(row) == 1 and isinstance(next(iter(row.values())), str):
        return Fields("text", tuple(row), clean=False)
    return None


def find_ingredients(mixture: Mixture, options: Options) -> tuple[Ingredient, ...]:
    """The corpora of a mixture; those of the catalogue by their hub ids, of several repositories in equal parts."""
    return tuple(part for name, share in mixture.weights.items() for part in _parts(name, share, options))


def _parts(name: str, share: float, options: Options) -> list[Ingredient]:
    corpus = _as_named(name, options)
    source = corpus.source
    if isinstance(source, Hubs):
        each = share / len(source.parts)
        return [Ingredient(part.repo, each, corpus, part) for part in source.parts]
    if isinstance(source, Hub):
        return [Ingredient(name, share, corpus, source)]
    # what was unpacked from an archive or copied from a pipe lies in a temporary folder
    lasting = isinstance(source, Files) and not any(file.label for file in source.files)
    files = tuple(map(_absolute, (file.location for file in source.files))) if lasting else ()
    return [Ingredient(name, share, corpus, None, files)]


def _as_named(name: str, options: Options) -> Corpus:
    """The corpus of a name: an entry of the catalogue as the hub has it, a hub id without a look at the hub."""
    spec = parse_spec(name)
    if name in options.corpora or spec.location in own_entries(options) or spec.is_path:
        corpus = local_text(name, options)
        assert corpus is not None
        return corpus
    if spec.location not in CATALOGUE:
        return _on_hub(spec.location, spec.split, name, options)
    corpus = replace(CATALOGUE[spec.location], view=spec.view)
    if isinstance(corpus.source, Hub) and spec.split:
        corpus = replace(corpus, source=replace(corpus.source, split=spec.split))
    return corpus if corpus.source is not None else local_text(name, options) or corpus


def _on_hub(location: str, split: str | None, name: str, options: Options) -> Corpus:
    if "/" not in location:
        return find_text_or_hub(name, options)  # which says that there is no such name
    hub = parse_hub_id(location)
    hub = replace(hub, split=split) if split else hub
    for entry in CATALOGUE.values():
        if isinstance(entry.source, Hub) and entry.source.repo == hub.repo and entry.row_filter is None:
            return replace(entry, source=hub, name=name)
    return find_text_or_hub(name, options)


def _absolute(location: str) -> str:
    return location if "://" in location else str(Path(location).absolute())


@dataclass(frozen=True)
class Length:
    """How long a corpus and its documents are, by its profile.

    tokens      of a document, on average
    documents   that were counted
    is_whole    whether these are all of them
    """

    tokens: float
    documents: int
    is_whole: bool


def document_lengths(ingredients: tuple[Ingredient, ...], options: Options) -> dict[str, Length]:
    """The length of each corpus: what turns shares of tokens into shares and numbers of rows."""
    lengths = {}
    for name in {part.corpus.name for part in ingredients}:
        size = find_profile(name, ["token"], options).profile.size
        is_whole = options.budget.unlimited and (options.sample is None or size["tokens"] < 0.9 * options.sample)
        lengths[name] = Length(size["tokens"] / size["documents"], size["documents"], is_whole)
    return lengths
