"""Advice: the recommended mixture, and the trade-off curve that it was taken from."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simtool.mixing.constraints import Constraints
from simtool.mixing.frontier import Frontier, frontier
from simtool.mixing.problem import RESAMPLES
from simtool.mixing.recommend import Recommendation, recommend
from simtool.profiles.profile import Profile
from simtool.results import Tabular, save_tables

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Advice(Tabular):
    """A recommended mixture, and what other mixtures trade for what. Its table is of shares, its drawing the curve."""

    table = "mixture"
    columns_printed = ("corpus", "share", "low", "high")

    recommendation: Recommendation
    frontier: Frontier
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 of the recommended shares and of what they rest on, whenever they were computed."""
        best, corpora = self.recommendation, self.facts.get("corpora", {})
        identity = ("documents", "tokens", "bytes", "source")
        content = {
            "mixture": dict(best.mixture.weights),
            "targets": dict(zip(best.targets, best.target_weights.tolist(), strict=True)),
            "constraints": asdict(best.constraints),
            "feature": best.feature,
            "symbols": best.symbols,
            "resamples": best.resamples,
            "corpora": {name: {key: facts.get(key) for key in identity} for name, facts in corpora.items()},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def to_polars(self) -> "pl.DataFrame":
        """One row per corpus of the recommended mixture."""
        return self.recommendation.to_polars()

    def plot(self) -> "Figure":
        """The trade-off curve."""
        return self.frontier.plot()

    def save(self, folder: Path) -> list[Path]:
        """The shares, what each target gains, and the trade-off curve with its drawing, in a folder."""
        best = self.recommendation
        tables = {
            "mixture": best.to_polars(),
            "mixture_targets": best.targets_to_polars(),
            self.frontier.table: self.frontier.to_polars(),
        }
        return save_tables(tables, self.facts, folder)


def advise(
    profiles: Mapping[str, Profile],
    pretrain: str,
    candidates: Sequence[str],
    targets: Mapping[str, float],
    constraints: Constraints | None = None,
    feature: str = "token",
    resamples: int = RESAMPLES,
    seed: int = 0,
    facts: Mapping[str, Any] | None = None,
) -> Advice:
    """`recommend` and `frontier` of one question."""
    question = (profiles, pretrain, candidates, targets, constraints, feature)
    best = recommend(*question, resamples=resamples, seed=seed)
    return Advice(best, frontier(*question, resamples=resamples, seed=seed, excluded=best.dropped), facts or {})
