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
from simtool.mixture import midtraining_name, without_shares
from simtool.prediction.advantage import Advantage, Question
from simtool.prediction.predictors import benefit, find_predictor
from simtool.profiles.profile import Profile
from simtool.tables import atomic_write, provenance

if TYPE_CHECKING:
    import polars as pl

FORMAT = 1  # raised when a file of an older layout would be read wrongly
CELL = (
    "mixture", "target", "rank", "advantage", "low", "high", "relative", "share_positive", "share_best",
)  # fmt: skip


@dataclass(frozen=True)
class Prediction:
    """A ranking of mixtures for each target, made before training. Everything in `content` is under `hash`.

    content   JSON: format, predictor, pretrain, mixtures, targets, cells, told_apart, made_from, provenance
    """

    content: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """SHA-256 of the content, whatever the order of keys and the white space."""
        told = json.dumps(self.content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def mixtures(self) -> list[str]:
        return list(self.content["mixtures"])

    @property
    def targets(self) -> list[str]:
        return list(self.content["targets"])

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
        """One row a mixture and target, best mixture of each target first."""
        import polars as pl

        return pl.DataFrame(self.content["cells"])


def predict(question: Question, predictor: str) -> Prediction:
    """Rank the mixtures of a question by a predictor."""
    chosen = find_predictor(predictor)
    said = benefit(predictor, question)
    first = question.profiles[question.corpora[0]]
    content = {
        "format": FORMAT,
        "predictor": {"name": predictor, "about": chosen.about, "source": chosen.source, "feature": said.feature},
        "pretrain": dict(question.pretrain.weights),
        "mixtures": {name: dict(mixture.weights) for name, mixture in question.mixtures.items()},
        "targets": list(question.targets),
        "cells": _cells(said),
        "told_apart": _told_apart(said),
        "made_from": {
            "tokenizer": first.tokenizer,
            "tokenizer_fingerprint": first.fingerprint,
            "tokens": said.tokens,
            "tokens_asked_for": question.tokens,
            "resamples": said.resamples,
            "seed": question.seed,
            "corpora": {name: _made_from(question, name, chosen.features) for name in question.corpora},
        },
        "notes": list(said.notes),
        "provenance": provenance(),
    }
    return Prediction(json.loads(json.dumps(content)))  # as it will be read: tuples are lists, keys are text


def save_prediction(prediction: Prediction, path: Path) -> None:
    """The content and its hash as JSON, for people to read and for `load_prediction` to check."""
    told = {"content_sha256": prediction.hash, **prediction.content}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_prediction(path: Path) -> Prediction:
    """A prediction as it was saved. Raises SimtoolError when it is missing, is none, or was edited since."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        told = content.pop("content_sha256")
        made_as = content["format"]
    except OSError as error:
        raise SimtoolError(f"Cannot read the prediction {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SimtoolError(
            f"{path} is not a prediction. Make one: simtool predict ... --out prediction.json."
        ) from error
    if Prediction(content).hash != told:
        raise SimtoolError(
            f"{path} was edited after it was made: its content does not match its hash {told[:16]}.\n"
            "A prediction that was edited cannot be verified. Restore the file, or predict again."
        )
    if made_as != FORMAT:
        raise SimtoolError(f"{path} is a prediction of format {made_as}; this simtool reads format {FORMAT}.")
    return Prediction(content)


def _cells(said: Advantage) -> list[dict[str, Any]]:
    rows = said.to_polars().select(CELL).to_dicts()
    return [{key: _json_number(value) for key, value in row.items()} for row in rows]


def _json_number(value: Any) -> Any:
    """JSON has no NaN: what is not known is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _told_apart(said: Advantage) -> dict[str, list[list[str]]]:
    """By target, the pairs of mixtures that can be told apart, the better one first."""
    names = list(said.mixtures)
    return {
        target: [
            [names[i], names[k]]
            for i in range(len(names))
            for k in range(len(names))
            if said.told_apart[i, k, j] and said.value[i, j] > said.value[k, j]
        ]
        for j, target in enumerate(said.targets)
    }


def _made_from(question: Question, corpus: str, features: Sequence[str]) -> dict[str, Any]:
    profile = question.profiles[corpus]
    told = {**profile.size, "counts_sha256": counts_hash(profile, features)}
    told |= {key: profile.facts[key] for key in ("source", "stand_in", "made") if key in profile.facts}
    if not features and question.texts is not None:
        digest = hashlib.sha256()
        for text in question.texts[corpus]:
            digest.update(hashlib.sha256(text.encode("utf-8", "replace")).digest())
        told["texts_sha256"] = digest.hexdigest()
    return told


def counts_hash(profile: Profile, features: Sequence[str]) -> str:
    """SHA-256 of a profile's sizes and of its counts of these features, fold by fold."""
    digest = hashlib.sha256()
    named = [(name, getattr(profile, name)) for name in ("n_documents", "n_tokens", "n_bytes")]
    for name, counts in [*named, *((name, profile.features[name]) for name in sorted(features))]:
        digest.update(f"{name} {counts.shape} ".encode())
        digest.update(np.ascontiguousarray(counts, "<i8"))
    return digest.hexdigest()
