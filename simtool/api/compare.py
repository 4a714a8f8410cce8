"""Corpora beside each other: names in, results out. `simtool.matrix(["c4", "gsm8k"])`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from simtool.errors import SimtoolError
from simtool.mixture import Mixture, parse_mixture
from simtool.profiles.features import find_feature
from simtool.profiles.resolve import (
    Options,
    find_profiles,
    named,
)
from simtool.similarity.attribution import Comparison, difference
from simtool.similarity.matrix import RESAMPLES, SimilarityMatrix, similarity_matrix
from simtool.similarity.metrics import find_metric
from simtool.tables import provenance
from simtool.tokens.tokenizer import load_tokenizer, readable_tokens

if TYPE_CHECKING:
    pass


def matrix(
    corpora: Any,
    metric: str = "token",
    feature: str | None = None,
    tokens: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    options: Options | None = None,
) -> SimilarityMatrix:
    """The similarity of every corpus or mixture with every other. See `similarity_matrix`.

    Parameters
    ----------
    corpora
        A sequence of names, paths, lists of texts, frames, tables or datasets, or {name: any of these}.
    """
    corpora, options = named(corpora, options or Options())
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


def compare(
    a: Any,
    b: Any,
    metric: str = "token",
    features: Sequence[str] = ("token", "token2", "skeleton3"),
    tokens: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    options: Options | None = None,
) -> Comparison:
    """Two corpora or mixtures side by side: similarity, and what makes the difference on each feature.

    Parameters
    ----------
    a, b
        Names, paths, lists of texts, frames, tables or datasets.
    """
    if isinstance(a, str) and isinstance(b, str) and a == b:
        raise SimtoolError(f"Both corpora are {a!r}. Name two different ones.")
    (a, b), options = named([a, b], options or Options())
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


def _mixtures(corpora: Sequence[str]) -> dict[str, Mixture]:
    if repeated := sorted({name for name in corpora if list(corpora).count(name) > 1}):
        raise SimtoolError(f"Named twice: {', '.join(repeated)}. Name every corpus once.")
    return {name: parse_mixture(name) for name in corpora}
