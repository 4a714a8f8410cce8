"""Predict before training: a ranking of mixtures for each target that is written down, for `verify` to score.

A prediction is one JSON file with all that it was made from and a hash of its content, so that an edit is noticed.
The hash is no signature: whoever edits can hash anew. Note the hash elsewhere (a commit, a mail) before training.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simtool.errors import SimtoolError
from simtool.integrity import parse_json
from simtool.mixture import Mixture, as_mixtures, midtraining_name, without_shares
from simtool.prediction.advantage import Advantage
from simtool.prediction.predictors import benefit, find_predictor
from simtool.prediction.question import RESAMPLES, Question
from simtool.profiles.profile import Profile
from simtool.profiles.resolve import Options, find_profiles, local_text
from simtool.results import Tabular
from simtool.tables import atomic_write, provenance, save_table
from simtool.tokens.tokenizer import load_tokenizer

if TYPE_CHECKING:
    import polars as pl

FORMAT = 2  # raised when a file of an older layout would be read wrongly
READABLE = (1, 2)  # format 1 has `told_apart`, `made_from` and `tokens_asked_for`
TEXT_DOCUMENTS = 20_000  # of a corpus are read for predictors that need text
CELL = (
    "mixture", "target", "rank", "advantage", "low", "high", "relative", "share_positive", "share_best",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Prediction(Tabular):
    """A ranking of mixtures for each target, made before training. Everything in `content` is under `hash`.

    content   JSON: format, predictor, pretrain, mixtures, targets, cells, distinguishable, inputs, provenance
    """

    table = "prediction"
    columns_printed = ("target", "mixture", "rank", "advantage", "low", "high")

    content: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """SHA-256 of the content, whatever the order of keys and the white space."""
        text = json.dumps(self.content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def mixtures(self) -> list[str]:
        return list(self.content["mixtures"])

    @property
    def targets(self) -> list[str]:
        return list(self.content["targets"])

    @property
    def distinguishable(self) -> dict[str, list[list[str]]]:
        """By target, the pairs of mixtures whose advantages are significantly different, the better one first."""
        return self.content["distinguishable" if "distinguishable" in self.content else "told_apart"]

    @property
    def inputs(self) -> dict[str, Any]:
        """What it was made from: the corpora with the hashes of their counts, tokens, resamples, seed."""
        return self.content["inputs" if "inputs" in self.content else "made_from"]

    def find_mixture(self, mix: str, weight: float | None = None) -> str:
        """The predicted mixture that results call `mix`: with its share, or without where that leaves no doubt.

        Names that fit none come back as they are.
        """
        if mix in self.mixtures:
            return mix
        if weight is not None and without_shares(mix) == mix:
            mix = f"{mix}:{weight:g}"
        if without_shares(mix) != mix:
            return midtraining_name(mix)
        candidates = [name for name in self.mixtures if without_shares(name) == mix]
        return candidates[0] if len(candidates) == 1 else mix

    def of(self, key: str) -> np.ndarray:
        """A column of the cells, float64 (n, m); NaN where it is null."""
        cells = {(cell["mixture"], cell["target"]): cell[key] for cell in self.content["cells"]}
        return np.array([[cells[m, t] for t in self.targets] for m in self.mixtures], np.float64)

    def to_polars(self) -> "pl.DataFrame":
        """One row per mixture and target, best mixture of each target first."""
        import polars as pl

        return pl.DataFrame(self.content["cells"])

    def save(self, folder: Path) -> list[Path]:
        """The prediction with its hash (prediction.json), which `verify` and `explain` read; and its table (csv)."""
        path = Path(folder) / "prediction.json"
        save_prediction(self, path)
        path_of_table = Path(folder) / "ranking.csv"
        save_table(self.to_polars(), path_of_table, {"prediction": self.hash})
        return [path, path_of_table, path_of_table.with_suffix(".json")]


def build_question(
    pretrain: Mixture,
    mixtures: Mapping[str, Mixture],
    targets: Sequence[str],
    predictor: str = "auto",
    tokens: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    options: Options | None = None,
    more_features: Sequence[str] = (),
) -> Question:
    """The question of a prediction, with the profiles or texts that the predictor reads.

    Parameters
    ----------
    mixtures
        By the name that the prediction and its results give them.
    more_features
        Counted beside those of the predictor, for other uses of the same profiles.
    """
    options = options or Options()
    entry = find_predictor(predictor)
    corpora = {**mixtures, "pretrain": pretrain} | as_mixtures(targets)
    features = dict.fromkeys((*more_features, *(entry.features or ("token",))))
    profiles = {name: resolved.profile for name, resolved in find_profiles(corpora, list(features), options).items()}
    texts = {name: _first_texts(name, options) for name in profiles} if entry.needs == "text" else None
    tokenizer = load_tokenizer(options.tokenizer, options.data)
    return Question(profiles, pretrain, mixtures, tuple(targets), tokens, resamples, seed, texts, tokenizer)


def _first_texts(name: str, options: Options) -> list[str]:
    """The first documents of a corpus, as many as a predictor that reads text will ever look at."""
    corpus = local_text(name, options)
    return [] if corpus is None else [document.text for document in corpus.documents(TEXT_DOCUMENTS)]


def predict(question: Question, predictor: str) -> Prediction:
    """Rank the mixtures of a question by a predictor."""
    entry = find_predictor(predictor)
    result = benefit(entry.name, question)
    first = question.profiles[question.corpora[0]]
    content = {
        "format": FORMAT,
        "predictor": {"name": entry.name, "about": entry.about, "source": entry.source, "feature": result.feature},
        "pretrain": dict(question.pretrain.weights),
        "mixtures": {name: dict(mixture.weights) for name, mixture in question.mixtures.items()},
        "targets": list(question.targets),
        "cells": _cells(result),
        "distinguishable": _distinguishable(result),
        "inputs": {
            "tokenizer": first.tokenizer,
            "tokenizer_fingerprint": first.fingerprint,
            "tokens": result.tokens,
            "tokens_requested": question.tokens,
            "resamples": result.resamples,
            "seed": question.seed,
            "corpora": {name: _identity(question, name, entry.features) for name in question.corpora},
        },
        "notes": list(result.notes),
        "provenance": provenance(),
    }
    return Prediction(json.loads(json.dumps(content)))  # as it will be read: tuples are lists, keys are text


def save_prediction(prediction: Prediction, path: Path) -> None:
    """The content and its hash as JSON, for people to read and for `load_prediction` to check."""
    document = {"content_sha256": prediction.hash, **prediction.content}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_prediction(path: Path) -> Prediction:
    """A prediction as it was saved.

    Raises
    ------
    SimtoolError
        When it is missing, is none, or was edited since.
    """
    path = Path(path)
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        noted_hash = content.pop("content_sha256")
        layout, actual_hash = content["format"], Prediction(content).hash
        is_as_made = actual_hash == noted_hash
    except OSError as error:
        raise SimtoolError(f"Cannot read the prediction {path}: {error.strerror or error}.") from error
    except Exception as error:  # of every kind: a changed byte may turn any value into any other
        raise SimtoolError(
            f"{path} is not a prediction. Make one: simtool predict ... --out prediction.json."
        ) from error
    if not is_as_made:
        raise SimtoolError(
            f"{path} was edited after it was made: its content does not match its hash {str(noted_hash)[:16]}.\n"
            "A prediction that was edited cannot be verified. Restore the file, or predict again."
        )
    if layout not in READABLE:
        raise SimtoolError(f"{path} is a prediction of format {layout}; this simtool reads up to format {FORMAT}.")
    return Prediction(content)


def _cells(result: Advantage) -> list[dict[str, Any]]:
    rows = result.to_polars().select(CELL).to_dicts()
    return [{key: _json_number(value) for key, value in row.items()} for row in rows]


def _json_number(value: Any) -> Any:
    """JSON has no NaN: what is not known is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _distinguishable(result: Advantage) -> dict[str, list[list[str]]]:
    """By target, the pairs of mixtures that are significantly different, the better one first."""
    names = list(result.mixtures)
    return {
        target: [
            [names[i], names[k]]
            for i in range(len(names))
            for k in range(len(names))
            if result.distinguishable[i, k, j] and result.value[i, j] > result.value[k, j]
        ]
        for j, target in enumerate(result.targets)
    }


def _identity(question: Question, corpus: str, features: Sequence[str]) -> dict[str, Any]:
    """Which text a corpus was: sizes, hashes and source."""
    profile = question.profiles[corpus]
    facts = {**profile.size, "counts_sha256": counts_hash(profile, features)}
    facts |= {key: profile.facts[key] for key in ("source", "stand_in", "made") if key in profile.facts}
    if not features and question.texts is not None:
        digest = hashlib.sha256()
        for text in question.texts[corpus]:
            digest.update(hashlib.sha256(text.encode("utf-8", "replace")).digest())
        facts["texts_sha256"] = digest.hexdigest()
    return facts


def counts_hash(profile: Profile, features: Sequence[str]) -> str:
    """SHA-256 of a profile's sizes and of its counts of these features, fold by fold."""
    digest = hashlib.sha256()
    arrays = [(name, getattr(profile, name)) for name in ("n_documents", "n_tokens", "n_bytes")]
    for name, counts in [*arrays, *((name, profile.features[name]) for name in sorted(features))]:
        digest.update(f"{name} {counts.shape} ".encode())
        digest.update(np.ascontiguousarray(counts, "<i8"))
    return digest.hexdigest()
