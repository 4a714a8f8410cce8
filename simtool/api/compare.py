"""Corpora beside each other: names in, results out. `simtool.matrix(["c4", "gsm8k"])`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from simtool.api.names import sampling
from simtool.errors import SimtoolError
from simtool.mixture import Mixture, parse_mixture
from simtool.profiles.features import find_feature
from simtool.profiles.resolve import Options, find_profiles, named, provenance_of
from simtool.similarity.attribution import Comparison, difference
from simtool.similarity.duplicates import pairs_above_ceiling
from simtool.similarity.matrix import RESAMPLES, SimilarityMatrix, similarity_matrix
from simtool.similarity.metrics import find_metric
from simtool.tokens.tokenizer import load_tokenizer, readable_tokens

MANY = 20  # corpora whose comparison takes seconds: 12 took 2 s of processor time, 60 took 54
SHOWN_METRICS = ("token", "size_free")  # of `simtool matrix`: the paper's score, and one that sizes do not move


def matrix(
    corpora: Any,
    metric: str = "token",
    feature: str | None = None,
    tokens: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    options: Options | None = None,
) -> SimilarityMatrix:
    """The similarity of all corpora or mixtures named with each other, at equal sample sizes.

    Parameters
    ----------
    corpora
        One of these, a sequence of them, or {name: one of these}: names from `list_corpora`, files, folders, globs,
        URLs, hub ids, mixtures ("c4:0.8+starcoder:0.2"), lists of texts, frames, tables or datasets.
    metric, feature
        A name from `list_metrics`, and what is compared: token, token2, char4, skeleton3, ...; the metric's own
        feature by default.
    tokens
        Taken of each corpus; as many as the smallest holds by default.
    resamples
        Random half-splits behind each interval.
    options
        How text is found and counted.

    Returns
    -------
    Means over half-splits with 95% intervals (n, n), rows the source and columns the target; the diagonal is the noise
    ceiling. It becomes a table, a heatmap or files with `.to_polars()`, `.plot()` and `.save(folder)`.

    Raises
    ------
    SimtoolError
        Where a corpus cannot be found or holds too few tokens, or a metric or feature is unknown.

    Examples
    --------
    >>> simtool.matrix(["c4", "gsm8k"], metric="js", feature="skeleton3").values.shape
    (2, 2)
    """
    metric = find_metric(metric).name
    feature = feature or find_metric(metric).feature
    for name in feature.split("+"):
        find_feature(name)
    names, options = named(corpora, sampling(options, tokens))
    mixtures = _mixtures(names)
    resolved = find_profiles(mixtures, feature.split("+"), options)
    profiles = {name: corpus.profile for name, corpus in resolved.items()}
    if (n := len(mixtures)) >= MANY:
        options.report(f"Comparing {n} corpora by {metric} on {feature}: {n * (n + 1) // 2:,} pairs.")
    result = similarity_matrix(profiles, mixtures, metric, feature, tokens, resamples, seed)
    facts = provenance_of(
        resolved,
        metric=metric,
        feature=feature,
        tokens=result.tokens,
        resamples=resamples,
        seed=seed,
        stand_ins=[
            name
            for name, mixture in mixtures.items()
            if any(profiles[corpus].facts["stand_in"] for corpus in mixture.weights)
        ],
    )
    return replace(result, facts=facts | {"above_ceiling": pairs_above_ceiling(result, options)})


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
    """Two corpora or mixtures side by side: their similarity, and what makes the difference on each feature.

    Parameters
    ----------
    a, b
        Names, paths, lists of texts, frames, tables or datasets, as in `matrix`.
    features
        The difference is taken apart on each of these: the parts are bits of the Jensen-Shannon divergence.

    Returns
    -------
    Their matrix, as `matrix` gives it, and one difference per feature.
    """
    if isinstance(a, str) and isinstance(b, str) and a == b:
        raise SimtoolError(f"Both corpora are {a!r}. Name two different ones.")
    (a, b), options = named([a, b], sampling(options, tokens))
    for name in features:
        find_feature(name)
    measured = matrix([a, b], metric, None, tokens, resamples, seed, options)
    mixtures = _mixtures([a, b])
    profiles = {name: corpus.profile for name, corpus in find_profiles(mixtures, list(features), options).items()}
    text_of, problem = readable_tokens(load_tokenizer(options.tokenizer, options.data))
    differences = tuple(
        difference(profiles, mixtures[a].weights, mixtures[b].weights, name, text_of) for name in features
    )
    return Comparison(measured, differences, problem)


def _mixtures(names: Sequence[str]) -> dict[str, Mixture]:
    if repeated := sorted({name for name in names if list(names).count(name) > 1}):
        raise SimtoolError(f"Named twice: {', '.join(repeated)}. Name every corpus once.")
    return {name: parse_mixture(name) for name in names}
