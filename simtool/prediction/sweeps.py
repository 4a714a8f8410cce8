"""A sweep: runs that differ in the weights by which they mix domains, and the losses that they end at.

The layout is that of RegMix (arXiv:2407.01492) and Olmix: two tables with a row per run, joined on the run's name; one
has a weight per domain, the other a loss per target. What all columns of a table begin or end with is not part of a
name: `train_the_pile_arxiv` and `metric/the_pile_arxiv_val_loss` are both `arxiv`.
"""

import itertools
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simtool.errors import SimtoolError, unknown
from simtool.mixture import Mixture, parse_mixture
from simtool.tables import read_table

if TYPE_CHECKING:
    import polars as pl

# n runs, K domains, T targets, C corpora

RUN_COLUMNS = ("index", "run", "run_id", "name", "id", "")  # what may name a run; "" is a column of row numbers
SUM_TOLERANCE = 0.03  # published weights are rounded: RegMix's sum to 0.996 .. 1.003, one of Data Mixing Laws to 1.02
FEWEST_RUNS = 3


@dataclass(frozen=True)
class Sweep:
    """Runs by their weights and losses.

    weights    float64 (n, K)   rows sum to 1, as read up to rounding
    losses     float64 (n, T)   lower is better; NaN where a run has none
    rounding   the step to which the weights were rounded: a weight of 0 may have been half of it
    """

    runs: tuple[str, ...]
    domains: tuple[str, ...]
    targets: tuple[str, ...]
    weights: np.ndarray
    losses: np.ndarray
    rounding: float = 0.0

    def __post_init__(self) -> None:
        if len(self.runs) < FEWEST_RUNS:
            raise SimtoolError(f"A sweep needs {FEWEST_RUNS} runs or more. Got {len(self.runs)}.")
        for array in (self.weights, self.losses):
            array.flags.writeable = False

    def of_targets(self, names: Sequence[str]) -> "Sweep":
        """The same runs with the losses of some targets."""
        for name in names:
            if name not in self.targets:
                raise unknown("target", name, self.targets)
        columns = [self.targets.index(name) for name in names]
        return replace(self, targets=tuple(names), losses=self.losses[:, columns].copy())

    def corpus_weights(self, texts: "SweepTexts") -> tuple[tuple[str, ...], np.ndarray]:
        """The corpora that stand for the domains, and every run's weights over them: float64 (n, C)."""
        parts = [texts.domains[domain].weights for domain in self.domains]
        names = tuple(dict.fromkeys(corpus for shares in parts for corpus in shares))
        return names, self.weights @ np.array([[shares.get(name, 0.0) for name in names] for shares in parts])

    def own_weights(self, texts: "SweepTexts") -> np.ndarray:
        """The weight of the domain of each target's name, or else of the target's corpora: float64 (n, T); NaN where
        no domain has any of them.
        """
        names, weights = self.corpus_weights(texts)
        own = np.full(self.losses.shape, np.nan)
        for t, target in enumerate(self.targets):
            columns = [names.index(corpus) for corpus in texts.targets[target].weights if corpus in names]
            if target in self.domains:
                own[:, t] = self.weights[:, self.domains.index(target)]
            elif columns:
                own[:, t] = weights[:, columns].sum(axis=1)
        return own


@dataclass(frozen=True)
class SweepTexts:
    """What stands for each domain when it is trained on, and for each target when it is measured."""

    domains: Mapping[str, Mixture]
    targets: Mapping[str, Mixture]

    @property
    def corpora(self) -> tuple[str, ...]:
        """Every corpus, once."""
        mixtures = (*self.domains.values(), *self.targets.values())
        return tuple(dict.fromkeys(corpus for mixture in mixtures for corpus in mixture.weights))


def load_sweep(mixtures: Path, losses: Path, higher_is_better: bool = False) -> Sweep:
    """The sweep of two tables (CSV or parquet).

    Parameters
    ----------
    higher_is_better
        The second table holds scores and not losses: their sign is turned.

    Raises
    ------
    SimtoolError
        When a file cannot be read, the tables share no column that names the runs, or weights do not sum to 1.
    """
    return sweep_of(read_table(mixtures), read_table(losses), higher_is_better)


def sweep_of(mixtures: "pl.DataFrame", losses: "pl.DataFrame", higher_is_better: bool = False) -> Sweep:
    """The sweep of two tables with a row per run; only runs that both have."""
    key = _run_column(mixtures, losses)
    weights, domains = _numbers(mixtures, key, "weights")
    outcomes, targets = _numbers(losses, key, "losses")
    rows = {str(run): i for i, run in enumerate(losses[key])}
    pairs = [(i, rows[str(run)]) for i, run in enumerate(mixtures[key]) if str(run) in rows]
    rows_of_mixtures, rows_of_losses = (
        (np.array(side, np.int64) for side in zip(*pairs, strict=True)) if pairs else (np.empty(0), np.empty(0))
    )
    runs = tuple(str(mixtures[key][i]) for i, _ in pairs)
    if not pairs:
        raise SimtoolError(f"No run of one table is in the other: their columns {key!r} have no value in common.")
    weights, outcomes = weights[rows_of_mixtures], outcomes[rows_of_losses]
    _check_weights(runs, weights)
    return Sweep(
        runs,
        domains,
        targets,
        weights / weights.sum(axis=1, keepdims=True),
        -outcomes if higher_is_better else outcomes,
        _rounding(weights),
    )


def load_texts(spec: Path, sweep: Sweep) -> SweepTexts:
    """The texts of a sweep: from a TOML file of NAME = "CORPUS", or a folder of NAME.jsonl.zst and the like.

    A corpus is whatever simtool takes for one, a mixture included; paths are relative to the file. Targets that are
    measured on other text than the domain of their name have it in a table [targets].
    """
    domains, targets = _from_toml(spec) if spec.suffix == ".toml" else (_from_folder(spec), {})
    targets = domains | targets
    for names, known in ((sweep.domains, domains), (sweep.targets, targets)):
        if missing := [name for name in names if name not in known]:
            raise SimtoolError(
                f"{spec} has no text for {', '.join(missing)}.\n"
                f'Add {missing[0]} = "CORPUS" to it (or a file of that name); targets can be left out (--target).'
            )
    return SweepTexts({name: domains[name] for name in sweep.domains}, {name: targets[name] for name in sweep.targets})


def concatenate(first: Sweep, second: Sweep) -> Sweep:
    """The runs of two sweeps one after the other.

    Raises
    ------
    SimtoolError
        Where they differ in domains or targets.
    """
    if (first.domains, first.targets) != (second.domains, second.targets):
        raise SimtoolError(
            "Two sweeps can be taken together where they have the same domains and targets.\n"
            f"The first has {', '.join((*first.domains, *first.targets))};"
            f" the second {', '.join((*second.domains, *second.targets))}."
        )
    return replace(
        first,
        runs=(*first.runs, *second.runs),
        weights=np.concatenate([first.weights, second.weights]),
        losses=np.concatenate([first.losses, second.losses]),
        rounding=min(first.rounding, second.rounding),
    )


def _from_toml(path: Path) -> tuple[dict[str, Mixture], dict[str, Mixture]]:
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SimtoolError(f'Cannot read {path}: {error}. Write a line NAME = "CORPUS" per domain.') from error
    targets = entries.pop("targets", {})
    for name, corpus in (*entries.items(), *targets.items()):
        if not isinstance(corpus, str):
            raise SimtoolError(f'{path}: {name} = {corpus!r} is no corpus. Write {name} = "CORPUS".')
    return tuple({name: _mixture(path, corpus) for name, corpus in table.items()} for table in (entries, targets))


def _mixture(path: Path, text: str) -> Mixture:
    return Mixture({_beside(path, corpus): share for corpus, share in parse_mixture(text).weights.items()})


def _beside(path: Path, corpus: str) -> str:
    """A corpus as it is named in a file: a path that is there is relative to the file."""
    local = path.parent / corpus
    return os.fspath(local) if "://" not in corpus and local.exists() else corpus


def _from_folder(folder: Path) -> dict[str, Mixture]:
    if not folder.is_dir():
        raise SimtoolError(f"--corpora {folder} is neither a .toml file nor a folder.")
    files = sorted(path for path in folder.iterdir() if path.name[0] != ".")
    return {path.name.split(".")[0]: Mixture({os.fspath(path): 1.0}) for path in files}


# --- Reading tables ---


def _run_column(mixtures: "pl.DataFrame", losses: "pl.DataFrame") -> str:
    for name in RUN_COLUMNS:
        if all(name in table.columns and table[name].is_unique().all() for table in (mixtures, losses)):
            return name
    raise SimtoolError(
        "The two tables share no column that names the runs, each once."
        f" Known names: {', '.join(name for name in RUN_COLUMNS if name)}.\n"
        f"The first has {', '.join(mixtures.columns[:4])} ...; the second {', '.join(losses.columns[:4])} ..."
    )


def _numbers(table: "pl.DataFrame", key: str, kind: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The numeric columns but those that name the run: float64 (n, columns), and the columns' names."""
    columns = [name for name in table.columns if name not in RUN_COLUMNS and table[name].dtype.is_numeric()]
    if not columns:
        raise SimtoolError(f"The table of {kind} has no column of numbers beside {key!r}.")
    return table.select(columns).to_numpy().astype(np.float64), short_names(columns)


def short_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Names without the words that all of them begin or end with; a word ends at "_", "/", "." or a space."""
    if len(columns) < 2:
        return tuple(columns)
    heads = [re.split(r"(?<=[_/. ])", name) for name in columns]
    tails = [re.split(r"(?=[_/. ])", name)[::-1] for name in columns]
    start = sum(map(len, heads[0][: _n_shared(heads)]))
    end = sum(map(len, tails[0][: _n_shared(tails)]))
    names = tuple(name[start : len(name) - end] for name in columns)
    return names if all(names) and len(set(names)) == len(names) else tuple(columns)


def _n_shared(words: Sequence[Sequence[str]]) -> int:
    """How many words all of them have in common from the start."""
    return sum(1 for _ in itertools.takewhile(lambda same: len(set(same)) == 1, zip(*words, strict=False)))


def _check_weights(runs: Sequence[str], weights: np.ndarray) -> None:
    sums = weights.sum(axis=1)
    for run, row, total in zip(runs, weights, sums, strict=True):
        if not (row >= 0).all() or not abs(total - 1) <= SUM_TOLERANCE:
            raise SimtoolError(
                f"The weights of run {run} must be 0 or more and sum to 1. Got {row.tolist()} (sum {total:.4g}).\n"
                "Leave columns that are not weights out of the first table."
            )


def _rounding(weights: np.ndarray) -> float:
    """The power of ten that every weight is a multiple of, down to 1e-4; 0: weights are exact as far as that shows."""
    for step in (0.1, 0.01, 0.001, 0.0001):
        if np.allclose(weights / step, np.rint(weights / step), atol=1e-6):
            return step
    return 0.0
