"""What a sweep says together: how text ranks its runs, what proxy runs add, and the mixture that they recommend."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simtool.prediction.proxy_runs import FittedMixture, ProxyCurve
from simtool.prediction.sweeps import Sweep
from simtool.prediction.text_priors import RunRanking
from simtool.results import save_tables


@dataclass(frozen=True)
class SweepReport:
    """A sweep's ranking by text, its curve of proxy runs, and its mixture.

    prior   the prior that the curve's models were given
    """

    sweep: Sweep
    ranking: RunRanking
    curve: ProxyCurve
    mixture: FittedMixture
    prior: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "\n\n".join(map(str, (self.ranking, self.curve, self.mixture)))

    def save(self, folder: Path) -> list[Path]:
        """The three tables with their provenance, and the drawing of the curve, in a folder."""
        measured = {part.table: part.to_polars() for part in (self.ranking, self.curve)}
        recommended = {self.mixture.table: self.mixture.to_polars()}
        return [
            *save_tables(measured, self.facts, folder),
            *save_tables(recommended, {**self.facts, **self.mixture.basis}, folder),
        ]
