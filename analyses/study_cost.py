"""What would the paper's studies cost in tokens, with shared prefixes and with every run by itself?

From the published starts and steps. Arms that fork from one pretraining run train their own part alone; apart, each
goes all the way from initial weights. Fine-tuning costs the same either way, and far less, so it is not in the numbers.
Of one model and seed: both columns grow alike with more.
"""

from typing import Any

import polars as pl

STEPS = 61_035  # arXiv:2510.14865: 1,024 sequences of 2,048 tokens a step, 128B tokens in all
STEP_TOKENS = 1_024 * 2_048
CONTROL = STEPS  # a control never leaves the trunk
# Steps of the forks of each study's arms; the control comes first.
STUDIES = {
    "five mixtures": (CONTROL, 6_000, 20_000, 40_000, 40_000, 40_000),
    "… and continued pretraining": (CONTROL, 6_000, 20_000, 40_000, 40_000, 40_000, 40_000, 50_000),
    "four starts": (CONTROL, 20_000, 30_000, 40_000, 50_000),
    "five weights": (CONTROL, 40_000, 40_000, 40_000, 40_000, 40_000),
}


def make() -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per study, and one for all of them on one trunk: tokens_shared, tokens_separate, n_runs."""
    rows = [{"study": name, **cost(forks)} for name, forks in STUDIES.items()]
    together = (CONTROL, *(fork for name, forks in STUDIES.items() if name != "five mixtures" for fork in forks[1:]))
    rows.append({"study": "all of them", **cost(together)})
    return pl.DataFrame(rows), {
        "source": "arXiv:2510.14865: steps, tokens per step, starts of the mixtures, grids of starts and weights",
        "unit": "tokens, of one model and seed, without fine-tuning",
    }


def cost(forks: tuple[int, ...], steps: int = STEPS, step_tokens: int = STEP_TOKENS) -> dict[str, int]:
    """Tokens of runs that leave one trunk at these steps and go on to the last, shared and apart."""
    trunk = max(forks)
    shared = trunk + sum(steps - fork for fork in forks)
    return {
        "n_runs": len(forks),
        "tokens_shared": shared * step_tokens,
        "tokens_separate": len(forks) * steps * step_tokens,
    }
