"""How many proxy runs is text worth, and what does it add to them?

Models of the loss fitted on k runs of a public sweep, with and without what text predicts (`span_mixture`), rank runs
that are held out, or those of a larger model: Spearman, and the regret of the run that would be chosen. Beside them,
what needs no run at all.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analyses._pile import STATUS, TOKENIZER, domain_profiles
from analyses._sweeps import PublicSweep, mixing_laws, regmix
from analyses.public_sweeps import CORPORA, SPANS, features_of, text_predictions
from simtool.prediction.proxy_runs import Split, cross_validation, proxy_curve, transfers
from simtool.prediction.sweeps import Sweep, concatenate
from simtool.prediction.text_priors import baselines

PRIORS = ("cross_entropy.token", "cross_entropy.skeleton3", "exposure.token+skeleton3")
LAWS = ("redpajama 70M", "5mix 410M")  # the setting and size of each with the most runs, or the largest with as many


def make(data: Path | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per sweep, predictor, number of proxy runs and target; see `ProxyCurve`."""
    small, _, large = regmix(data)
    laws = [law for law in mixing_laws(data, ("redpajama", "5mix")) if law.name.startswith(LAWS)]
    sweeps = [small, large, *laws]
    profiles = domain_profiles(data, features_of(PRIORS), CORPORA)
    of_text = text_predictions(sweeps, profiles, PRIORS, data)
    fixed = {public.name: _zero_runs(public, of_text) for public in sweeps}
    tables = [
        _curve(public.name, public.sweep, cross_validation(len(public.sweep.runs)), fixed[public.name])
        for public in sweeps
    ]
    both = {name: np.concatenate([table, fixed[large.name][name]]) for name, table in fixed[small.name].items()}
    draws = transfers(len(small.sweep.runs), len(large.sweep.runs))
    tables.append(_curve("RegMix 1M to 60M", concatenate(small.sweep, large.sweep), draws, both))
    return pl.concat(tables), {
        "prior": SPANS,
        "corpora": {name: STATUS[name] for name in CORPORA},
        "tokenizer": TOKENIZER,
    }


def _zero_runs(public: PublicSweep, of_text: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What needs no run: (n, T) each."""
    predictions = baselines(public.sweep, public.texts) | {
        name: values[public.name] for name, values in of_text.items()
    }
    return {name: values.mean(axis=0) for name, values in predictions.items()}


def _curve(name: str, sweep: Sweep, draws: Sequence[Split], fixed: dict[str, np.ndarray]) -> pl.DataFrame:
    curve = proxy_curve(sweep, draws, fixed, fixed[SPANS])
    return curve.to_polars().select(pl.lit(name).alias("sweep"), pl.all())
