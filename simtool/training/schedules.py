"""Every learning-rate schedule: progress in [0, 1] -> share of the peak. To add one, write the function and name it.

Progress is counted in tokens (in steps where a phase is counted in steps), never in wall-clock or devices, so that
a fork, a resumed run and a run on other hardware have the same rate at the same token.
"""

import math
from collections.abc import Callable

from simtool.errors import unknown

Schedule = Callable[[float, float, float, float], float]


def cosine(progress: float, warmup: float, floor: float, decay: float) -> float:
    """Linear warm-up, then half a cosine from the peak to the floor (arXiv:1608.03983). `decay` is not used."""
    if progress < warmup:
        return progress / warmup
    turned = (progress - warmup) / (1 - warmup) if warmup < 1 else 1.0
    return floor + (1 - floor) * (1 + math.cos(math.pi * turned)) / 2


def wsd(progress: float, warmup: float, floor: float, decay: float) -> float:
    """Warm-up, stable, decay: at the peak until the last `decay` of the run, then linearly to the floor
    (arXiv:2404.06395, with the linear decay of arXiv:2405.18392)."""
    if progress < warmup:
        return progress / warmup
    left = (1 - progress) / decay if decay else 1.0
    return floor + (1 - floor) * min(1.0, left)


def constant(progress: float, warmup: float, floor: float, decay: float) -> float:
    """Linear warm-up, then the peak: the trunk that a warm-up-stable-decay run forks from."""
    return progress / warmup if progress < warmup else 1.0


def linear(progress: float, warmup: float, floor: float, decay: float) -> float:
    """Linear warm-up, then linearly from the peak to the floor: with no warm-up, the decay from a fork."""
    if progress < warmup:
        return progress / warmup
    return floor + (1 - floor) * ((1 - progress) / (1 - warmup) if warmup < 1 else 0.0)


SCHEDULES: dict[str, Schedule] = {"cosine": cosine, "wsd": wsd, "constant": constant, "linear": linear}


def find_schedule(name: str) -> Schedule:
    """The schedule of this name; SimtoolError with the nearest names if there is none."""
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    return SCHEDULES[name]
