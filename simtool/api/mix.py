"""Which data to mix in, as plain functions: names in, results out. `simtool.mix("c4", ["math"], {"gsm8k": 1.0})`."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from simtool.api.names import as_mixture_texts, as_names, as_weights, sampling
from simtool.errors import SimtoolError, unknown
from simtool.mixing.advice import Advice, advise
from simtool.mixing.constraints import Constraints
from simtool.mixture import Mixture, Unit, as_mixtures, convert_weights, midtraining_mixtures, parse_mixture
from simtool.prediction import advantage as proximity
from simtool.prediction import predict as prediction
from simtool.prediction import verify as verification
from simtool.prediction.advantage import Advantage
from simtool.prediction.curve import Curve, curve
from simtool.prediction.predict import Prediction
from simtool.prediction.predictors import find_measure
from simtool.prediction.verify import Verification
from simtool.profiles.features import find_feature
from simtool.profiles.profile import Profile
from simtool.profiles.resolve import Options, find_profiles, provenance_of
from simtool.similarity import attribution
from simtool.similarity.attribution import Explanation
from simtool.similarity.duplicates import pairs_above_ceiling
from simtool.similarity.matrix import similarity_matrix
from simtool.tables import read_table
from simtool.tokens.tokenizer import load_tokenizer, readable_tokens

FEW_RESAMPLES = 20  # tell whether a pair is above the noise ceiling

PAPER = {
    "pretrain": "c4",
    "mid": ("starcoder:0.2", "math:0.12", "flan:0.05", "knowledgeqa:0.2", "dclm:0.2"),
    "targets": ("pycode", "gsm8k", "lima", "sciq"),
}  # arXiv:2510.14865, table 1


def advantage(
    pretrain: str | Path,
    mid: Mapping[str, float] | Sequence[str] | str,
    targets: Mapping[str, float] | Sequence[str] | str,
    metric: str = "auto",
    feature: str | None = None,
    tokens: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    options: Options | None = None,
    unit: Unit = "tokens",
) -> Advantage:
    """How much closer each midtraining mixture is to each target than the pretraining corpus is.

    Data in memory takes part by name: `Options(corpora={"web": frame, "chat": dataset})`, then "web" and "chat:0.2".

    Parameters
    ----------
    mid
        "starcoder:0.2", or {"starcoder": 0.2}: a fifth StarCoder, the rest the pretraining corpus; or whole mixtures.
    targets
        Names; of a mapping its keys.
    metric
        A similarity, or "auto": the one that did best in the tournament.
    tokens
        Taken of each corpus; as many as the smallest holds by default.
    unit
        What the shares in `mid` are shares of; the result's mixtures are always in shares of tokens.

    Returns
    -------
    Advantages (n mixtures, m targets) in the unit of the metric, positive where the mixture is closer, with 95%
    intervals over paired half-splits.
    """
    metric, feature = find_measure(metric, feature)
    (pretrain,), goals = as_names(pretrain), as_names(targets)
    general = parse_mixture(pretrain)
    mixtures = midtraining_mixtures(general, as_mixture_texts(mid))
    needed = {**mixtures, pretrain: general} | as_mixtures(goals)
    corpora = find_profiles(needed, feature.split("+"), sampling(options, tokens))
    profiles = {name: corpus.profile for name, corpus in corpora.items()}
    if unit != "tokens":
        sizes = {name: profile.size for name, profile in profiles.items()}
        mixtures = {name: convert_weights(mixture.weights, unit, sizes) for name, mixture in mixtures.items()}
    result = proximity.advantage(profiles, general, mixtures, goals, metric, feature, tokens, resamples, seed)
    facts = provenance_of(corpora, metric=metric, feature=feature, seed=seed)
    shared = _shared_with_targets(profiles, goals, feature, seed, options or Options())
    return replace(result, facts=facts | {"above_ceiling": shared})


def _shared_with_targets(
    profiles: Mapping[str, Profile], targets: Sequence[str], feature: str, seed: int, options: Options
) -> list[dict[str, Any]]:
    """The corpora that are more alike to a target than two samples of one text, with what they share: an advantage may
    then be that the target itself is mixed in."""
    result = similarity_matrix(profiles, None, "js", feature.split("+")[0], None, FEW_RESAMPLES, seed)
    return [pair for pair in pairs_above_ceiling(result, options) if set(pair["corpora"]) & set(targets)]


def advantage_curve(
    pretrain: str | Path,
    special: str | Path,
    targets: Mapping[str, float] | Sequence[str] | str,
    metric: str = "auto",
    feature: str | None = None,
    tokens: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    options: Options | None = None,
) -> Curve:
    """The advantage of a special corpus as its share goes from 0 to 1, and where it peaks. See `advantage`."""
    metric, feature = find_measure(metric, feature)
    (pretrain, special), goals = as_names([pretrain, special]), as_names(targets)
    general, added = parse_mixture(pretrain), parse_mixture(special)
    needed = {pretrain: general, special: added} | as_mixtures(goals)
    corpora = find_profiles(needed, feature.split("+"), sampling(options, tokens))
    profiles = {name: corpus.profile for name, corpus in corpora.items()}
    result = curve(profiles, general, added, goals, metric, feature, tokens=tokens, resamples=resamples, seed=seed)
    return replace(result, facts=provenance_of(corpora, metric=metric, feature=feature, seed=seed))


def mix(
    pretrain: str | Path,
    candidates: Sequence[str] | str,
    targets: Mapping[str, float] | Sequence[str] | str,
    constraints: Constraints | Mapping[str, Any] | None = None,
    feature: str = "token",
    resamples: int = 100,
    seed: int = 0,
    options: Options | None = None,
) -> Advice:
    """The mixture that makes the targets cost the fewest bits within the constraints, and the trade-off curve.

    Parameters
    ----------
    candidates
        Corpora that may be mixed in.
    targets
        Names, each with its weight if there are several ("gsm8k:0.5"), or weights by name.
    constraints
        Least and largest shares, available tokens, and how much general text may cost more: `Constraints`, or its
        fields by name, {"min_share": {"c4": 0.5}}.

    Returns
    -------
    The recommendation, certified to be the best, and the mixtures that no other beats in both gain and cost.

    Raises
    ------
    SimtoolError
        Where no mixture is within the constraints, saying which of them and by how much.
    """
    find_feature(feature)
    (pretrain,), names, weights = as_names(pretrain), as_names(candidates), as_weights(targets)
    corpora = find_profiles(as_mixtures([pretrain, *names, *weights]), [feature], options or Options())
    profiles = {name: corpus.profile for name, corpus in corpora.items()}
    facts = provenance_of(corpora, feature=feature, seed=seed)
    return advise(profiles, pretrain, names, weights, _as_constraints(constraints), feature, resamples, seed, facts)


def _as_constraints(constraints: Constraints | Mapping[str, Any] | None) -> Constraints | None:
    if not isinstance(constraints, Mapping):
        return constraints
    names = [field.name for field in fields(Constraints)]
    if wrong := [name for name in constraints if name not in names]:
        raise unknown("constraint", wrong[0], names)
    return Constraints(**constraints)


def predict(
    pretrain: str | Path,
    mid: Mapping[str, float] | Sequence[str] | str,
    targets: Mapping[str, float] | Sequence[str] | str,
    predictor: str = "auto",
    tokens: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    options: Options | None = None,
) -> Prediction:
    """A ranking of the mixtures for each target, to be written down before training; parameters of `advantage`.

    Parameters
    ----------
    predictor
        METRIC.FEATURE such as js.token, another name of the tournament, or "auto".
    """
    general = parse_mixture(str(pretrain))
    mixtures = midtraining_mixtures(general, as_mixture_texts(mid))
    how = (predictor, tokens, resamples, seed, sampling(options, tokens))
    question = prediction.build_question(general, mixtures, as_names(targets), *how)
    return prediction.predict(question, predictor)


def verify(prediction_file: Path, results: Path, size: str | None = None, seed: int = 0) -> Verification:
    """How a prediction fared, by a table of results.

    Parameters
    ----------
    results
        csv or parquet with mix, target, and relative_improvement, or loss and control_loss; size and seed if any.
    size
        Only the rows of this size of model.

    Raises
    ------
    SimtoolError
        Where the file was edited since it was written, or results are missing.
    """
    import polars as pl

    predicted = prediction.load_prediction(prediction_file)
    table = read_table(Path(results))
    if size is not None:
        sizes = table["size"].cast(pl.String).unique().sort().to_list() if "size" in table.columns else []
        if size not in sizes:
            raise SimtoolError(f"No results of size {size!r}. There are: {', '.join(sizes) or 'no sizes'}.")
        table = table.filter(pl.col("size").cast(pl.String) == size)
    return verification.verify(predicted, table, seed)


def explain(
    prediction_file: Path,
    target: str | None = None,
    mixture: str | None = None,
    feature: str | None = None,
    options: Options | None = None,
    fetch: bool = False,
) -> list[Explanation]:
    """Which n-grams of each target a predicted mixture covers and the pretraining corpus does not.

    Parameters
    ----------
    target, mixture
        By default all targets, and the mixture that was predicted to be best for each.
    fetch
        Open the URLs that the prediction names, which somebody else may have written into it.
    """
    options = options or Options()
    predicted = prediction.load_prediction(prediction_file)
    if not fetch:
        _refuse_urls(prediction_file, predicted)
    mixture = mixture and predicted.find_mixture(mixture)
    for kind, name, known in (("target", target, predicted.targets), ("mixture", mixture, predicted.mixtures)):
        if name is not None and name not in known:
            raise unknown(kind, name, known)
    feature = feature or predicted.content["predictor"]["feature"].split("+")[0]
    if feature == "text":
        feature = "token"
    find_feature(feature)
    general = Mixture(predicted.content["pretrain"])
    mixtures = {name: Mixture(weights) for name, weights in predicted.content["mixtures"].items()}
    targets = [target] if target else predicted.targets
    corpora = find_profiles({**mixtures, "pretrain": general} | as_mixtures(targets), [feature], options)
    profiles = {name: corpus.profile for name, corpus in corpora.items()}
    text_of, _ = readable_tokens(load_tokenizer(options.tokenizer, options.data))
    best_of_target = [predicted.mixtures[i] for i in predicted.of("rank").argmin(axis=0)]
    best = dict(zip(predicted.targets, best_of_target, strict=True))
    return [
        attribution.explain(profiles, general, mixtures[mixture or best[name]], name, feature, text_of)
        for name in targets
    ]


def _refuse_urls(path: Path, predicted: Prediction) -> None:
    mixtures = [predicted.content["pretrain"], *predicted.content["mixtures"].values()]
    names = dict.fromkeys([*(name for weights in mixtures for name in weights), *predicted.targets])
    if urls := [name for name in names if "://" in name]:
        raise SimtoolError(
            f"{path} names texts at URLs: {', '.join(urls)}.\nThey are opened where you say so: --fetch (fetch=True)."
        )
