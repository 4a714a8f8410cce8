"""How well does text rank the runs of public sweeps before any of them is trained?

RegMix (17 domains of the Pile, 13 targets) and Data Mixing Laws (five settings), as published. Sources are read from
one half of the documents and targets from the other. Every number is Spearman over runs, target by target and averaged;
also over the runs whose own-domain weight is below 0.5%, where the same-domain baseline has little to say.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses._pile import DOMAINS, STATUS, TOKENIZER, domain_profiles, domain_texts
from analyses._sweeps import PublicSweep, mixing_laws, regmix
from simtool.corpora.corpus import document_hash
from simtool.mixture import as_mixtures
from simtool.prediction.sweeps import Sweep, SweepTexts
from simtool.prediction.text_priors import RESAMPLES, baselines, parse_prior, prior_losses, rank_runs, span_losses
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile
from simtool.tokens.tokenizer import load_tokenizer

FIRST_LOOK = tuple(f"cross_entropy.{feature}" for feature in ("token", "skeleton2", "skeleton3", "token2", "char4"))
EXPOSURE = ("exposure.token", "exposure.skeleton3", "exposure.token+skeleton3")
SPANS = "span_mixture"
CORPORA = (*DOMAINS, "arxiv_latex", "python")


def make(data: Path | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per sweep, predictor and target, and one for the mean over targets."""
    sweeps = [*regmix(data), *mixing_laws(data)]
    profiles = domain_profiles(data, features_of((*FIRST_LOOK, *EXPOSURE)), CORPORA)
    predictions = text_predictions(sweeps, profiles, (*FIRST_LOOK, *EXPOSURE), data)
    tables = []
    for public in sweeps:
        of_text = {name: values[public.name] for name, values in predictions.items()}
        own = public.sweep.own_weights(public.texts)
        ranking = rank_runs(public.sweep, own, baselines(public.sweep, public.texts) | of_text)
        tables.append(ranking.to_polars().with_columns(sweep=pl.lit(public.name), runs=pl.lit(len(public.sweep.runs))))
    facts = {
        "corpora": {name: {**profile.size, "status": STATUS[name]} for name, profile in profiles.items()},
        "tokenizer": TOKENIZER,
        "targets_with_an_own_domain": {public.name: _own_domains(public) for public in sweeps},
    }
    return pl.concat(tables).select("sweep", "runs", pl.exclude("sweep", "runs")), facts


def features_of(priors: Iterable[str]) -> set[str]:
    return {feature for prior in priors for feature in parse_prior(prior)[1]}


Predictions = dict[str, dict[str, np.ndarray]]  # {predictor: {sweep: (R, n, T)}}


def text_predictions(
    sweeps: Sequence[PublicSweep], profiles: dict[str, Profile], priors: Sequence[str], data: Path | None
) -> Predictions:
    """What the priors and the span mixture say of the runs of every sweep, on half-samples of the documents."""
    every_run, texts = _together(sweeps)
    documents = read_documents(domain_texts(data, CORPORA))
    spans = span_losses(every_run, texts, documents, load_tokenizer(TOKENIZER, data))
    return {SPANS: _of_each_sweep(sweeps, every_run, spans)} | prior_predictions(sweeps, profiles, priors)


def prior_predictions(
    sweeps: Sequence[PublicSweep], profiles: dict[str, Profile], priors: Sequence[str], resamples: int = RESAMPLES
) -> Predictions:
    """What the priors say; the runs of all sweeps are one sweep over all corpora, so that each count is read once."""
    every_run, texts = _together(sweeps)
    return {
        name: _of_each_sweep(sweeps, every_run, prior_losses(every_run, texts, profiles, name, resamples))
        for name in priors
    }


def _of_each_sweep(sweeps: Sequence[PublicSweep], every_run: Sweep, table: np.ndarray) -> dict[str, np.ndarray]:
    """The rows and columns of each sweep."""
    rows = np.cumsum([0, *(len(public.sweep.runs) for public in sweeps)])
    columns = [[every_run.targets.index(target) for target in public.sweep.targets] for public in sweeps]
    return {
        public.name: table[:, start:end][:, :, of_targets]
        for public, start, end, of_targets in zip(sweeps, rows[:-1], rows[1:], columns, strict=True)
    }


def _together(sweeps: Sequence[PublicSweep]) -> tuple[Sweep, SweepTexts]:
    """The runs of all sweeps by their weights over all corpora, without losses."""
    targets = tuple(dict.fromkeys(target for public in sweeps for target in public.sweep.targets))
    texts = SweepTexts(
        as_mixtures(CORPORA),
        {target: public.texts.targets[target] for public in sweeps for target in public.sweep.targets},
    )
    parts = []
    for public in sweeps:
        names, weights = public.sweep.corpus_weights(public.texts)
        part = np.zeros((len(weights), len(CORPORA)))
        part[:, [CORPORA.index(name) for name in names]] = weights
        parts.append(part)
    runs = tuple(f"{public.name}/{run}" for public in sweeps for run in public.sweep.runs)
    weights = np.concatenate(parts)
    return Sweep(runs, CORPORA, targets, weights, np.full((len(runs), len(targets)), np.nan)), texts


def read_documents(paths: dict[str, Path]) -> dict[str, list[tuple[int, str]]]:
    """Fold and text of each document, in an order that depends on the texts alone."""
    read = {}
    for name, path in paths.items():
        texts = pl.read_ndjson(path)["text"].to_list()
        hashes = sorted((document_hash(text.encode()), text) for text in texts)
        read[name] = [(number % N_FOLDS, text) for number, text in hashes]
    return read


def _own_domains(public: PublicSweep) -> int:
    """How many targets some domain is text of."""
    return int(np.isfinite(public.sweep.own_weights(public.texts)).any(axis=0).sum())
