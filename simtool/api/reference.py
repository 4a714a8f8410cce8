"""What is known by name, and counting it: corpora, metrics, tokenizers, profiles."""

from collections.abc import Sequence
from pathlib import Path

from simtool.corpora.catalogue import CATALOGUE, find_corpus
from simtool.profiles.features import FEATURES, find_feature
from simtool.profiles.resolve import Options, ResolvedProfile, cached, find_profile, local_text, shipped
from simtool.similarity.metrics import METRICS
from simtool.tokens.tokenizer import TOKENIZERS, Tokenizer, find_tokenizer_file, load_tokenizer

ALL_FEATURES = tuple(FEATURES)


def profile(
    corpora: Sequence[str], features: Sequence[str] = ALL_FEATURES, options: Options | None = None
) -> list[ResolvedProfile]:
    """Count corpora now, or find what was counted before; the profiles stay in the cache."""
    options = options or Options()
    for name in features:
        find_feature(name)
    return [find_profile(name, features, options, count=True) for name in corpora]


Rows = tuple[list[str], list[list[str]]]  # a header, and rows of text


def list_corpora(options: Options | None = None) -> Rows:
    """Every corpus known by name."""
    options = options or Options()
    tokenizer = load_tokenizer(options.tokenizer, options.data)
    header = ["corpus", "role", "what it is", "text here", "profile", "licence"]
    return header, [
        [
            entry.name,
            entry.role,
            entry.about,
            _text_here(name, options),
            _profile_here(name, tokenizer, options),
            entry.licence,
        ]
        for name, entry in CATALOGUE.items()
    ]


def describe_corpus(name: str, options: Options | None = None) -> dict[str, str]:
    """Everything known of one corpus, with the document of its example row."""
    options = options or Options()
    entry = find_corpus(name)
    document = entry.render(entry.example)
    facts = {
        "corpus": entry.name,
        "role": entry.role,
        "what it is": entry.about,
        "source": entry.source.describe() if entry.source else "none",
        "access": entry.access or "open",
        "licence": entry.licence,
        "text here": _text_here(name, options),
        "profile": _profile_here(name, load_tokenizer(options.tokenizer, options.data), options),
        "in a data folder": ", ".join(f"{stem}.jsonl.zst" for stem in entry.files),
        "SFT trains on": f"the {entry.train_on}",
    }
    if document.prompt:
        return {**facts, "example prompt": document.prompt, "example response": document.response}
    return {**facts, "example": document.text}


def list_metrics() -> Rows:
    """Every similarity: its range, which end means alike, symmetry, when to use it, source."""
    header = ["metric", "range", "alike", "symmetric", "when to use it", "source"]
    return header, [
        [
            metric.name,
            f"{metric.low:g} to {metric.high:g}",
            metric.alike,
            "yes" if metric.symmetric else "no: row is the source, column the target",
            metric.about,
            metric.source,
        ]
        for metric in METRICS.values()
    ]


def list_tokenizers(data: Path | None = None) -> Rows:
    """Every tokenizer known by name, and where its file would be read from."""
    header = ["tokenizer", "what it is", "entries", "fingerprint", "file"]
    rows = []
    for name, entry in TOKENIZERS.items():
        path = find_tokenizer_file(name, data)
        identity = load_tokenizer(name, data) if path or entry.identity else None
        rows.append(
            [
                name,
                entry.about,
                f"{identity.vocabulary_size:,}" if identity else "known once fetched",
                identity.fingerprint if identity else "known once fetched",
                str(path.name) if path else f"hub {entry.hub}{' (gated)' if entry.gated else ''}",
            ]
        )
    return header, rows


def _text_here(name: str, options: Options) -> str:
    text = local_text(name, options)
    if text is None or text.source is None:
        return "no"
    return text.source.describe() + (" (stand-in)" if text.stand_in else "")


def _profile_here(name: str, tokenizer: Tokenizer, options: Options) -> str:
    kept = [
        how
        for how, one in (
            ("cached", cached(name, tokenizer, [], options)),
            ("shipped", shipped(name, tokenizer)),
        )
        if one
    ]
    return " and ".join(kept) or "no"
