"""Which data to mix in, as plain functions: names in, results out. `simtool.mix("c4", ["math"], {"gsm8k": 1.0})`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from simtool.errors import SimtoolError, unknown
from simtool.mixing.advice import Advice, advise
from simtool.mixing.constraints import Constraints
from simtool.mixture import Mixture, Unit, as_mixtures, convert_weights, midtraining_mixtures, parse_mixture
from simtool.prediction import advantage as proximity
from simtool.prediction import predict as prediction
from simtool.prediction import verify as verification
from simtool.prediction.advantage import Advantage, Curve, Question
from simtool.prediction.predict import Prediction
from simtool.prediction.predictors import AUTO, find_predictor
from simtool.prediction.verify import Verification
from simtool.profiles.features import find_feature
from simtool.profiles.resolve import Options, find_profiles, local_text, provenance_of
from simtool.similarity import attribution
from simtool.similarity.attribution import Explanation
from simtool.similarity.metrics import find_metric
from simtool.tokens.tokenizer import load_tokenizer, readable_tokens

TEXT_DOCUMENTS = 20_000  # of a corpus are read for predictors that need text

PAPER = {
    "pretrain": "c4",
    "mid": ("starcoder:0.2", "math:0.12", "flan:0.05", "knowledgeqa:0.2", "dclm:0.2"),
    "targets": ("pycode", "gsm8k", "lima", "sciq"),
}  # arXiv:2510.14865, table 1


def advantage(
    pretrain: str,
    mid: Sequence[str],
    targets: Sequence[str],
    metric: str = "auto",
    feature: str | None = None,
    tokens: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    options: Options | None = None,
    unit: Unit = "tokens",
) -> Advantage:
    """How much closer each mixture is to each target than the pretraining corpus is. See `proximity.advantage`.

    mid      "starcoder:0.2" is a fifth StarCoder, the rest the pretraining corpus; or a whole mixture
    metric   a similarity, or "auto": the one that did best in the tournament
    unit     what the shares in `mid` are shares of; the result's mixtures are always in shares of tokens
    """
    metric, feature = _measure(metric, feature)
    before = parse_mixture(pretrain)
    mixtures = midtraining_mixtures(before, mid)
    found = find_profiles(
        {**mixtures, pretrain: before} | as_mixtures(targets), feature.split("+"), options or Options()
    )
    profiles = {name: one.profile for name, one in found.items()}
    if unit != "tokens":
        sizes = {name: profile.size for name, profile in profiles.items()}
        mixtures = {name: convert_weights(mixture.weights, unit, sizes) for name, mixture in mixtures.items()}
    result = proximity.advantage(profiles, before, mixtures, targets, metric, feature, tokens, resamples, seed)
    return replace(result, facts=provenance_of(found, metric=metric, feature=feature, seed=seed))


def advantage_curve(
    pretrain: str,
    special: str,
    targets: Sequence[str],
    metric: str = "auto",
    feature: str | None = None,
    tokens: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    options: Options | None = None,
) -> Curve:
    """The advantage of a special corpus as its share goes from 0 to 1, and where it peaks."""
    metric, feature = _measure(metric, feature)
    before, added = parse_mixture(pretrain), parse_mixture(special)
    found = find_profiles(
        {pretrain: before, special: added} | as_mixtures(targets), feature.split("+"), options or Options()
    )
    profiles = {name: one.profile for name, one in found.items()}
    result = proximity.curve(
        profiles, before, added, targets, metric, feature, tokens=tokens, resamples=resamples, seed=seed
    )
    return replace(result, facts=provenance_of(found, metric=metric, feature=feature, seed=seed))


def mix(
    pretrain: str,
    candidates: Sequence[str],
    targets: Mapping[str, float],
    constraints: Constraints | None = None,
    feature: str = "token",
    resamples: int = 100,
    seed: int = 0,
    options: Options | None = None,
) -> Advice:
    """The mixture that makes the targets cost the fewest bits within the constraints. See `recommend`."""
    find_feature(feature)
    found = find_profiles(as_mixtures([pretrain, *candidates, *targets]), [feature], options or Options())
    profiles = {name: one.profile for name, one in found.items()}
    facts = provenance_of(found, feature=feature, seed=seed)
    return advise(profiles, pretrain, candidates, targets, constraints, feature, resamples, seed, facts)


def predict(
    pretrain: str,
    mid: Sequence[str],
    targets: Sequence[str],
    predictor: str = "auto",
    tokens: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    options: Options | None = None,
) -> Prediction:
    """A ranking of the mixtures for each target, to be written down before training."""
    options = options or Options()
    predictor = ".".join(AUTO) if predictor == "auto" else predictor
    chosen = find_predictor(predictor)
    before = parse_mixture(pretrain)
    mixtures = midtraining_mixtures(before, mid)
    wanted = {**mixtures, pretrain: before} | as_mixtures(targets)
    found = find_profiles(wanted, chosen.features or ("token",), options)
    texts = None
    if chosen.needs == "text":
        texts = {name: _texts(name, options) for name in found}
    question = Question(
        {name: one.profile for name, one in found.items()},
        before,
        mixtures,
        tuple(targets),
        tokens,
        resamples,
        seed,
        texts,
        load_tokenizer(options.tokenizer, options.data),
    )
    return prediction.predict(question, predictor)


def verify(prediction_file: Path, results: Path, size: str | None = None, seed: int = 0) -> Verification:
    """How a prediction fared, by a table of results (csv or parquet). size: only the rows of this size of model."""
    import polars as pl

    made = prediction.load_prediction(prediction_file)
    results = Path(results)
    if not results.exists():
        raise SimtoolError(f"No file {results}. Check the path.")
    table = pl.read_parquet(results) if results.suffix == ".parquet" else pl.read_csv(results)
    if size is not None:
        sizes = table["size"].cast(pl.String).unique().sort().to_list() if "size" in table.columns else []
        if size not in sizes:
            raise SimtoolError(f"No results of size {size!r}. There are: {', '.join(sizes) or 'no sizes'}.")
        table = table.filter(pl.col("size").cast(pl.String) == size)
    return verification.verify(made, table, seed)


def explain(
    prediction_file: Path,
    target: str | None = None,
    mixture: str | None = None,
    feature: str | None = None,
    options: Options | None = None,
) -> list[Explanation]:
    """What of each target a predicted mixture newly covers: of the named ones, or of each target's best mixture."""
    options = options or Options()
    made = prediction.load_prediction(prediction_file)
    for kind, given, known in (("target", target, made.targets), ("mixture", mixture, made.mixtures)):
        if given is not None and given not in known:
            raise unknown(kind, given, known)
    feature = feature or made.content["predictor"]["feature"].split("+")[0]
    if feature == "text":
        feature = "token"
    before = Mixture(made.content["pretrain"])
    mixtures = {name: Mixture(weights) for name, weights in made.content["mixtures"].items()}
    targets = [target] if target else made.targets
    found = find_profiles({**mixtures, "pretrain": before} | as_mixtures(targets), [feature], options)
    profiles = {name: one.profile for name, one in found.items()}
    text_of, _ = readable_tokens(load_tokenizer(options.tokenizer, options.data))
    best = {name: made.mixtures[i] for name, i in zip(made.targets, made.of("rank").argmin(axis=0), strict=True)}
    return [
        attribution.explain(profiles, before, mixtures[mixture or best[name]], name, feature, text_of)
        for name in targets
    ]


def _measure(metric: str, feature: str | None) -> tuple[str, str]:
    chosen, its_feature = AUTO if metric == "auto" else (metric, find_metric(metric).feature)
    feature = feature or its_feature
    for name in feature.split("+"):
        find_feature(name)
    return chosen, feature


def _texts(name: str, options: Options) -> list[str]:
    """The first documents of a corpus, as many as a predictor that reads text will ever look at."""
    corpus = local_text(name, options)
    if corpus is None:
        return []
    return [document.text for document in corpus.documents(TEXT_DOCUMENTS)]
