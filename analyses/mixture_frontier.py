"""What does each share of specialised text gain for the four targets, and what is forgotten for it?

The mixtures of C4 and the paper's five corpora that no other beats in both, from tokens alone and before any training.
"""

from typing import Any

import polars as pl

from analyses import shipped_profile
from simtool.mixing.frontier import frontier

CANDIDATES = ("starcoder", "math", "flan", "knowledgeqa", "dclm")
TARGETS = ("pycode", "gsm8k", "lima", "sciq")
FEATURE = "token"
RESAMPLES = 100


def make() -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per point of the frontier and target, as Frontier.to_polars()."""
    profiles = {name: shipped_profile(name, "default", (FEATURE,)) for name in ("c4", *CANDIDATES, *TARGETS)}
    result = frontier(profiles, "c4", CANDIDATES, dict.fromkeys(TARGETS, 1.0), feature=FEATURE, resamples=RESAMPLES)
    return result.to_polars(), {
        "corpora": {name: {**profile.size, **profile.facts} for name, profile in profiles.items()},
        "tokenizer": "default",
        "resamples": RESAMPLES,
        "stand_ins": [name for name, profile in profiles.items() if profile.facts["stand_in"]],
    }
