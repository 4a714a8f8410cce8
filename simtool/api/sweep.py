"""Sweeps of proxy runs, as a plain function: `simtool.sweep("ratios.csv", "losses.csv", "map.toml")`."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from simtool.corpora.corpus import document_hash
from simtool.mixing.constraints import Constraints
from simtool.mixing.search import search
from simtool.mixture import as_mixtures
from simtool.prediction.proxy_runs import (
    MODELS,
    FittedMixture,
    cross_validation,
    describe_mixture,
    fit_average,
    proxy_curve,
    transfers,
    within_reach,
)
from simtool.prediction.sweep_report import SweepReport
from simtool.prediction.sweeps import Sweep, SweepTexts, concatenate, load_sweep, load_texts
from simtool.prediction.text_priors import (
    DEFAULT_PRIOR,
    RESAMPLES,
    baselines,
    parse_prior,
    prior_losses,
    rank_runs,
    span_losses,
)
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile
from simtool.profiles.resolve import Options, find_profiles, find_text_or_hub, provenance_of
from simtool.tokens.tokenizer import load_tokenizer

PRIORS = ("cross_entropy.token", "cross_entropy.skeleton3", DEFAULT_PRIOR)
FEATURES = sorted({feature for prior in PRIORS for feature in parse_prior(prior)[1]})
SPANS = "span_mixture"
TEXT_DOCUMENTS = 20_000  # of a corpus are read


def sweep(
    mixtures: str | Path,
    losses: str | Path,
    corpora: str | Path,
    targets: Sequence[str] = (),
    test: tuple[str | Path, str | Path] | None = None,
    models: Sequence[str] | None = None,
    model: str | None = None,
    constraints: Constraints | None = None,
    higher_is_better: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    options: Options | None = None,
) -> SweepReport:
    """How well text ranks the runs of a sweep, what proxy runs add to that, and the mixture that they recommend.

    Parameters
    ----------
    mixtures, losses
        Tables with a row per run: a weight per domain; a loss per target.
    corpora
        A TOML file of NAME = "CORPUS", or a folder with a file per name.
    targets
        Of the sweep, by name; all by default.
    test
        Mixtures and losses of runs that are ranked by models fitted on the others, such as larger models. By default
        runs are held out (cross-validation).
    models
        Fitted for the curve; by default those whose packages are installed.
    model
        By which a mixture is recommended; by default LightGBM, as RegMix does, or the law where it is not installed.
    """
    options = options or Options()
    runs = load_sweep(Path(mixtures), Path(losses), higher_is_better)
    ranked = load_sweep(Path(test[0]), Path(test[1]), higher_is_better) if test else runs
    if targets:
        runs, ranked = runs.of_targets(targets), ranked.of_targets(targets)
    texts = load_texts(Path(corpora), runs)
    every_run = concatenate(runs, ranked) if test else runs
    resolved = find_profiles(as_mixtures(texts.corpora), FEATURES, options)
    profiles = {name: corpus.profile for name, corpus in resolved.items()}
    predictions = _predictions(every_run, texts, profiles, options, resamples, seed)
    last = slice(len(every_run.runs) - len(ranked.runs), None)  # those that are ranked
    ranking = rank_runs(
        ranked, ranked.own_weights(texts), {name: values[:, last] for name, values in predictions.items()}, seed
    )
    n, n_ranked = len(runs.runs), len(ranked.runs)
    draws = transfers(n, n_ranked, seed=seed) if test else cross_validation(n, seed=seed)
    means = {name: values.mean(axis=0) for name, values in predictions.items()}
    curve = proxy_curve(every_run, draws, means, means[SPANS], _installed(models))
    facts = provenance_of(resolved, mixtures=str(mixtures), losses=str(losses), predictors=[*predictions], seed=seed)
    return SweepReport(ranked, ranking, curve, _recommend(runs, model, constraints, seed), SPANS, facts)


def _predictions(
    runs: Sweep, texts: SweepTexts, profiles: Mapping[str, Profile], options: Options, resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """What needs no run, (R, n, T) each: two baselines, the priors from counts, and the spans from text."""
    tokenizer = load_tokenizer(options.tokenizer, options.data)
    return {
        **baselines(runs, texts),
        **{prior: prior_losses(runs, texts, profiles, prior, resamples, seed) for prior in PRIORS},
        SPANS: span_losses(runs, texts, _documents(texts, options), tokenizer, resamples, seed),
    }


def _documents(texts: SweepTexts, options: Options) -> dict[str, list[tuple[int, str]]]:
    """Fold and text of each corpus's documents, in an order that depends on the texts alone."""
    documents = {}
    for name in texts.corpora:
        read = [document.text for document in find_text_or_hub(name, options).documents(TEXT_DOCUMENTS)]
        hashes = sorted((document_hash(text.encode("utf-8", "replace")), text) for text in read)
        documents[name] = [(number % N_FOLDS, text) for number, text in hashes]
    return documents


def _installed(models: Sequence[str] | None) -> list[str]:
    """The models requested; by default all whose packages are here."""
    if models is not None and len(models):
        return list(models)
    return [name for name, entry in MODELS.items() if entry.needs is None or importlib.util.find_spec(entry.needs)]


def _recommend(runs: Sweep, model: str | None, constraints: Constraints | None, seed: int) -> FittedMixture:
    """The mixture with the lowest mean loss by a model fitted on every run, within constraints."""
    # ridge would do as well on held-out runs, and promises the most where there are none
    model = model or ("lightgbm" if "lightgbm" in _installed(None) else "mixing law")
    lower, upper = (constraints or Constraints()).bounds(runs.domains)
    predict, error = fit_average(runs, model)
    weights = search(within_reach(runs, predict), lower, upper, runs.weights, seed)
    return describe_mixture(runs, model, weights, float(predict(weights[None])[0]), error)
