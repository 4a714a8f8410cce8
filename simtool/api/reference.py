"""What is known by name, and counting it: corpora, metrics, tokenizers, profiles."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from simtool.corpora.catalogue import CATALOGUE, find_corpus
from simtool.corpora.corpus import Document
from simtool.corpora.own import with_entry
from simtool.corpora.spec import parse_spec
from simtool.errors import SimtoolError
from simtool.profiles.array_job import count_part_of, merge_parts
from simtool.profiles.features import FEATURES, find_feature
from simtool.profiles.many import count_many
from simtool.profiles.resolve import (
    CORPORA_FILE,
    Options,
    ResolvedProfile,
    cached,
    find_text_or_hub,
    local_text,
    named,
    own_entries,
    shipped,
)
from simtool.published import PUBLISHED, PublishedMixture
from simtool.results import Tabular
from simtool.similarity.metrics import METRICS
from simtool.tables import atomic_write
from simtool.tokens.catalogue import TOKENIZERS
from simtool.tokens.chat_templates import load_chat_template
from simtool.tokens.files import find_tokenizer_file
from simtool.tokens.tokenizer import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    import polars as pl

ALL_FEATURES = tuple(FEATURES)


def profile(
    corpora: Any, features: Sequence[str] = ALL_FEATURES, options: Options | None = None
) -> list[ResolvedProfile]:
    """Count all of these corpora now, or find what was counted before; the profiles stay in the cache.

    Small corpora are counted beside each other, by `options.workers` processes. Counts are read from the cache when
    they are used, so that hundreds of corpora need no more memory than a few.

    Parameters
    ----------
    corpora
        As in `matrix`.
    features
        Counted of each; all by default.
    options
        With a budget, whole documents up to so many tokens or documents; without one all, but of a set of the hub its
        first 10 million tokens, unless `sample` is None.
    """
    corpora, options = named(corpora, options or Options())
    for name in features:
        find_feature(name)
    return count_many(corpora, features, options)


def profile_part(
    corpora: Any,
    index: int,
    of: int,
    parts: str,
    features: Sequence[str] = ALL_FEATURES,
    options: Options | None = None,
) -> None:
    """Count one of so many parts of each corpus: a task of an array job. Stopped, the same call goes on.

    Parameters
    ----------
    index
        From 0 to of - 1. Tasks that run at one time have the same `of`; later ones may have another.
    parts
        A folder that all tasks see, or a URL that fsspec writes to.
    """
    if not 0 <= index < of:
        raise SimtoolError(f"--part {index}/{of}: there is no such part. Write i/n with i from 0 to n - 1.")
    corpora, options = named(corpora, options or Options())
    if not options.budget.unlimited:
        raise SimtoolError("--part divides all of a corpus. Leave --tokens and --documents out.")
    for name in features:
        find_feature(name)
    for name in corpora:
        count_part_of(name, features, options, index, of, parts)


def merge_profiles(parts: str, options: Options | None = None) -> list[ResolvedProfile]:
    """What all parts in this folder or URL add up to, corpus by corpus; the profiles stay in the cache."""
    return merge_parts(parts, options or Options())


class _Rows(NamedTuple):
    header: list[str]
    rows: list[list[str]]


class Listing(Tabular, _Rows):
    """What is known by name: a header, and rows of text."""

    table = "listing"

    @property
    def columns_printed(self) -> tuple[str, ...]:
        """The first ones: the others are sentences."""
        return tuple(self.header[:4])

    def to_polars(self) -> "pl.DataFrame":
        import polars as pl

        return pl.DataFrame(self.rows, schema=self.header, orient="row")


def list_corpora(options: Options | None = None) -> Listing:
    """Every corpus known by name: what it is, and whether it can be compared without a network."""
    options = options or Options()
    tokenizer = load_tokenizer(options.tokenizer, options.data)
    header = ["corpus", "role", "ready offline", "title", "what it is", "text", "profile", "licence"]
    rows = []
    for name, entry in CATALOGUE.items():
        text, profile = _text_at_hand(name, options), _profile_at_hand(name, tokenizer, options)
        ready = "no" if text == profile == "no" else "yes"
        rows.append([entry.name, entry.role, ready, entry.title, entry.about, text, profile, entry.licence])
    for name, entry in own_entries(options).items():
        rows.append([name, entry.role, "yes", entry.title, entry.about, entry.path, "no", entry.licence])
    ready = {row[0] for row in rows if row[2] == "yes"}
    for name, published in PUBLISHED.items():
        is_ready = "yes" if set(published.weights) <= ready else "no"
        parts = f"{len(published.weights)} corpora"
        rows.append([name, "mixture", is_ready, published.title, published.about, parts, "no", "each corpus its own"])
    return Listing(header, rows)


def describe_corpus(name: str, options: Options | None = None) -> dict[str, str]:
    """Everything known of one corpus, with the document of its example row."""
    options = options or Options()
    if name in PUBLISHED:
        return _describe_published(PUBLISHED[name])
    if name not in CATALOGUE:
        return preview_corpus(name, options)
    entry = find_corpus(name)
    assert entry.render is not None
    template = load_chat_template(options.chat_template)
    document = entry.render(entry.example) if template is None else template(entry.example, entry.render)
    facts = {
        "corpus": entry.name,
        "role": entry.role,
        "what it is": entry.about,
        "source": entry.source.describe() if entry.source else "none",
        "access": entry.access or "open",
        "licence": entry.licence,
        "text at hand": _text_at_hand(name, options),
        "profile": _profile_at_hand(name, load_tokenizer(options.tokenizer, options.data), options),
        "in a data folder": ", ".join(f"{stem}.jsonl.zst" for stem in entry.files),
        "SFT trains on": f"the {entry.train_on}",
    }
    if template is not None:
        return {**facts, **_segments(document, entry.train_on == "response")}
    if document.prompt:
        return {**facts, "example prompt": document.prompt, "example response": document.response}
    return {**facts, "example": document.text}


def _describe_published(mixture: PublishedMixture) -> dict[str, str]:
    shares = "\n".join(f"{share:7.3%}  {corpus}" for corpus, share in mixture.shares.items())
    facts = {"mixture": mixture.name, "what it is": mixture.about, "source": mixture.source}
    return {**facts, "shares of tokens": shares}


def preview_corpus(name: str, options: Options | None = None) -> dict[str, str]:
    """How any corpus will be read: where it comes from, its layout, and its first document with its mask.

    Parameters
    ----------
    name
        A path, hub id, name of the catalogue or of the corpora file, with fields, view and split.
    """
    corpus = find_text_or_hub(name, options or Options())
    document = next(corpus.documents(1), None)
    if document is None:
        raise SimtoolError(f"{name} is empty: {corpus.describe()} holds no text.")
    facts = {"corpus": name, "read as": corpus.describe(), "role": corpus.role, "licence": corpus.licence}
    facts["SFT trains on"] = f"the {corpus.train_on}" + ("" if corpus.train_on == "text" else "s: what is not masked")
    return {**facts, **_segments(document, corpus.train_on == "response")}


def _segments(document: Document, masks: bool) -> dict[str, str]:
    """The parts of a document, and which are masked; line breaks between turns are left out."""
    parts = [segment for segment in document.segments if segment.role != "template" or segment.text.strip()]
    marks = [" (masked)" if masks and not segment.counted else "" for segment in parts]
    return {
        f"{n}. {segment.role}{mark}": segment.text
        for n, (segment, mark) in enumerate(zip(parts, marks, strict=True), 1)
    }


def add_corpus(name: str, spec: str, options: Options | None = None) -> dict[str, str]:
    """Write a corpus into the corpora file under a name. Returns its preview, as it will be read and masked."""
    options = options or Options()
    preview = preview_corpus(spec, options)
    parts = parse_spec(spec)
    settings = {"path": parts.location, "fields": parts.fields, "view": parts.view, "split": parts.split}
    settings["chat_template"] = options.chat_template
    path = options.corpora_file or CORPORA_FILE
    if options.chat_template and Path(options.chat_template).is_file():
        settings["chat_template"] = os.path.relpath(options.chat_template, path.parent or ".")
    if parts.is_path and "://" not in parts.location:
        settings["path"] = os.path.relpath(Path(parts.location).expanduser(), path.parent or ".")
    text = with_entry(path, name, {key: value for key, value in settings.items() if value is not None})
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return {**preview, "corpus": name, "written to": str(path)}


def list_metrics() -> Listing:
    """Every similarity: its range, which end means more similar, symmetry, when to use it, source."""
    header = ["metric", "range", "more similar", "symmetric", "when to use it", "source"]
    rows = [
        [
            metric.name,
            f"{metric.low:.3g} to {metric.high:.3g}",
            metric.alike,
            "yes" if metric.symmetric else "no",
            metric.about,
            metric.source,
        ]
        for metric in METRICS.values()
    ]
    return Listing(header, rows)


def list_tokenizers(data: Path | None = None) -> Listing:
    """Every tokenizer known by name, and where its file would be read from."""
    header = ["tokenizer", "what it is", "ends a text with", "entries", "fingerprint", "file"]
    rows = []
    for name, entry in TOKENIZERS.items():
        path = find_tokenizer_file(name, data)
        identity = load_tokenizer(name, data) if path or entry.identity else None
        rows.append(
            [
                name,
                entry.about,
                entry.end_of_text,
                f"{identity.vocabulary_size:,}" if identity else "known once fetched",
                identity.fingerprint if identity else "known once fetched",
                str(path.name) if path else f"hub {entry.hub}{' (gated)' if entry.gated else ''}",
            ]
        )
    return Listing(header, rows)


def _text_at_hand(name: str, options: Options) -> str:
    text = local_text(name, options)
    if text is None or text.source is None:
        return "no"
    return text.source.describe() + (" (proxy corpus)" if text.stand_in else "")


def _profile_at_hand(name: str, tokenizer: Tokenizer, options: Options) -> str:
    ways = {
        "cached": cached(name, tokenizer, [], options),
        "shipped": shipped(name, tokenizer),
    }
    return " and ".join(way for way, profile in ways.items() if profile) or "no"
