"""How well does text rank the runs of public sweeps before any of them is trained?

RegMix (17 domains of the Pile, 13 targets) and Data Mixing Laws (five settings), as published. Sources are read from
one half of the documents and targets from the other. Every number is Spearman over runs, target by target and averaged;
also over the runs whose own-domain weight is below 0.5%, where the same-domain baseline has little to say.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses._pile import DOMAINS, STATUS, TOKENIZER, domain_profiles, domain_texts
from analyses._sweeps import PublicSweep, mixing_laws, regmix
from simtool.corpora.corpus import document_hash
from simtool.prediction.text_priors import parse_prior, prior_losses, rank_runs, span_losses
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile
from simtool.tokens.tokenizer import load_tokenizer

FIRST_LOOK = tuple(f"cross_entropy.{feature}" for feature in ("token", "skeleton2", "skeleton3", "token2", "char4"))
EXPOSURE = ("exposure.token", "exposure.skeleton3", "exposure.token+skeleton3")
OTHER_TEXTS = ("arxiv_latex", "python")


def make(data: Path | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per sweep, predictor and target, and one for the mean over targets."""
    sweeps = [*regmix(data), *mixing_laws(data)]
    names = (*DOMAINS, *OTHER_TEXTS)
    priors = (*FIRST_LOOK, *EXPOSURE)
    profiles = domain_profiles(data, {feature for prior in priors for feature in parse_prior(prior)[1]}, names)
    documents = read_documents(domain_texts(data, names))
    tokenizer = load_tokenizer(TOKENIZER, data)
    tables = []
    for public in sweeps:
        predictions = baselines(public) | text_predictions(public, profiles, priors)
        predictions["span_mixture"] = span_losses(public.sweep, public.texts, documents, tokenizer)
        ranking = rank_runs(public.sweep, public.sweep.own_weights(public.texts), predictions)
        tables.append(ranking.to_polars().with_columns(sweep=pl.lit(public.name), runs=pl.lit(len(public.sweep.runs))))
    facts = {
        "corpora": {name: {**profile.size, "status": STATUS[name]} for name, profile in profiles.items()},
        "tokenizer": TOKENIZER,
        "own_domain": {public.name: _own_domains(public) for public in sweeps},
    }
    return pl.concat(tables).select("sweep", "runs", pl.exclude("sweep", "runs")), facts


def baselines(public: PublicSweep) -> dict[str, np.ndarray]:
    """Own-domain weight, and the weight of the domain that the runs have most of: more predicts a lower loss."""
    sweep = public.sweep
    largest = sweep.weights[:, sweep.weights.mean(axis=0).argmax()]
    return {
        "own-domain weight": -sweep.own_weights(public.texts)[None],
        "largest source's weight": -np.repeat(largest[None, :, None], len(sweep.targets), axis=2),
    }


def text_predictions(public: PublicSweep, profiles: dict[str, Profile], priors: Iterable[str]) -> dict[str, np.ndarray]:
    """What each prior says, on half-samples of the documents."""
    return {name: prior_losses(public.sweep, public.texts, profiles, name) for name in priors}


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
