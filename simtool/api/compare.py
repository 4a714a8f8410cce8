"""What the commands do, as plain functions: names in, results out. `simtool.matrix(["c4", "gsm8k"])`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simtool.corpora.catalogue import CATALOGUE, find_corpus
from simtool.errors import SimtoolError
from simtool.mixture import Mixture, parse_mixture
from simtool.plots import COMMAND_FIGURES
from simtool.profiles.features import FEATURES, find_feature
from simtool.profiles.resolve import (
    Options,
    ResolvedProfile,
    cached,
    find_profile,
    find_profiles,
    local_text,
    shipped,
)
from simtool.similarity.attribution import Comparison, difference
from simtool.similarity.matrix import RESAMPLES, SimilarityMatrix, similarity_matrix
from simtool.similarity.metrics import METRICS, find_metric
from simtool.tables import provenance, save_table
from simtool.tokens.tokenizer import TOKENIZERS, Tokenizer, find_tokenizer_file, load_tokenizer, readable_tokens

if TYPE_CHECKING:
    import polars as pl


def matrix(
    corpora: Sequence[str],
    metric: str = "token",
    feature: str | None = None,
    tokens: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    options: Options | None = None,
) -> SimilarityMatrix:
    """The similarity of every corpus or mixture named with every other. See `similarity_matrix`."""
    options = options or Options()
    feature = feature or find_metric(metric).feature
    for name in feature.split("+"):
        find_feature(name)
    mixtures = _mixtures(corpora)
    found = find_profiles(mixtures, feature.split("+"), options)
    profiles = {name: one.profile for name, one in found.items()}
    result = similarity_matrix(profiles, mixtures, metric, feature, tokens, resamples, seed)
    tokenizer = next(iter(profiles.values()))
    return replace(
        result,
        facts=provenance(
            tokenizer=tokenizer.tokenizer,
            fingerprint=tokenizer.fingerprint,
            metric=metric,
            feature=feature,
            tokens=result.tokens,
            resamples=resamples,
            seed=seed,
            corpora={name: one.facts for name, one in found.items()},
            stand_ins=[
                name
                for name, mixture in mixtures.items()
                if any(profiles[corpus].facts["stand_in"] for corpus in mixture.weights)
            ],
        ),
    )


ALL_FEATURES = tuple(FEATURES)


def profile(
    corpora: Sequence[str], features: Sequence[str] = ALL_FEATURES, options: Options | None = None
) -> list[ResolvedProfile]:
    """Count corpora now, or find what was counted before; the profiles stay in the cache."""
    options = options or Options()
    for name in features:
        find_feature(name)
    return [find_profile(name, features, options, count=True) for name in corpora]


def compare(
    a: str,
    b: str,
    metric: str = "token",
    features: Sequence[str] = ("token", "token2", "skeleton3"),
    tokens: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    options: Options | None = None,
) -> Comparison:
    """Two corpora or mixtures side by side: similarity, and what makes the difference on each feature."""
    options = options or Options()
    if a == b:
        raise SimtoolError(f"Both corpora are {a!r}. Name two different ones.")
    for name in features:
        find_feature(name)
    measured = matrix([a, b], metric, None, tokens, resamples, seed, options)
    mixtures = _mixtures([a, b])
    profiles = {name: one.profile for name, one in find_profiles(mixtures, list(features), options).items()}
    text_of, problem = readable_tokens(load_tokenizer(options.tokenizer, options.data))
    differences = tuple(
        difference(profiles, mixtures[a].weights, mixtures[b].weights, name, text_of) for name in features
    )
    return Comparison(measured, differences, problem)


# --- What there is ---

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


def save_result(tables: Mapping[str, "pl.DataFrame"], facts: Mapping[str, Any], folder: Path) -> list[Path]:
    """Tables (csv, each with its provenance) and, where there is a drawing of them, pictures, in a folder."""
    paths = []
    for name, table in tables.items():
        stem = Path(folder) / name
        save_table(table, stem.with_suffix(".csv"), dict(facts))
        paths += [stem.with_suffix(".csv"), stem.with_suffix(".json")]
        if name in COMMAND_FIGURES.names():
            paths += COMMAND_FIGURES.draw(name, {name: table}, Path(folder))
    return paths


def save_matrix(result: SimilarityMatrix, folder: Path) -> list[Path]:
    """The table (csv), its provenance (json) and the heatmap (png, svg, pdf) in a folder."""
    return save_result({"similarity_matrix": result.to_polars()}, result.facts, folder)


def _mixtures(corpora: Sequence[str]) -> dict[str, Mixture]:
    if repeated := sorted({name for name in corpora if list(corpora).count(name) > 1}):
        raise SimtoolError(f"Named twice: {', '.join(repeated)}. Name every corpus once.")
    return {name: parse_mixture(name) for name in corpora}
