"""Every learning-rate schedule: progress in [0, 1] -> share of the peak. To add one, write the function and name it.

A schedule says what comes after warm-up, which is the same for all: `share_of_peak`. Progress is counted in tokens (in
steps where a phase is counted in steps), never in wall-clock or devices, so that a fork, a resumed run and a run on
other hardware have the same rate at the same token.
"""

import math
from collections.abc import Callable

from simtool.errors import unknown

Schedule = Callable[[float, float, float, float], float]  # progress, warmup_fraction, min_lr_ratio, decay_fraction


def share_of_peak(
    schedule: str, progress: float, warmup_fraction: float, min_lr_ratio: float, decay_fraction: float
) -> float:
    """The learning rate as a share of its peak.

    Parameters
    ----------
    schedule : str
        A name from `SCHEDULES`.
    progress, warmup_fraction, decay_fraction : float
        Shares of the whole schedule: what is done; linear warm-up at its beginning; decay at its end, for `wsd`.
    min_lr_ratio : float
        Share of the peak that a decay ends at.

    Raises
    ------
    SimtoolError
        When there is no such schedule; it names the nearest.
    """
    after_warmup = find_schedule(schedule)
    if progress < warmup_fraction:
        return progress / warmup_fraction
    return after_warmup(progress, warmup_fraction, min_lr_ratio, decay_fraction)


def cosine(progress: float, warmup_fraction: float, min_lr_ratio: float, decay_fraction: float) -> float:
    """Half a cosine from the peak to the minimum (arXiv:1608.03983). `decay_fraction` is not used."""
    turned = (progress - warmup_fraction) / (1 - warmup_fraction) if warmup_fraction < 1 else 1.0
    return min_lr_ratio + (1 - min_lr_ratio) * (1 + math.cos(math.pi * turned)) / 2


def wsd(progress: float, warmup_fraction: float, min_lr_ratio: float, decay_fraction: float) -> float:
    """Warm-up, stable, decay: at the peak until the last `decay_fraction` of the run, then linearly to the minimum
    (arXiv:2404.06395, with the linear decay of arXiv:2405.18392)."""
    left = (1 - progress) / decay_fraction if decay_fraction else 1.0
    return min_lr_ratio + (1 - min_lr_ratio) * min(1.0, left)


def constant(progress: float, warmup_fraction: float, min_lr_ratio: float, decay_fraction: float) -> float:
    """At the peak: the trunk that a warm-up-stable-decay run forks from."""
    return 1.0


def linear(progress: float, warmup_fraction: float, min_lr_ratio: float, decay_fraction: float) -> float:
    """Linearly from the peak to the minimum: with no warm-up, the decay from a fork."""
    left = (1 - progress) / (1 - warmup_fraction) if warmup_fraction < 1 else 0.0
    return min_lr_ratio + (1 - min_lr_ratio) * left


SCHEDULES: dict[str, Schedule] = {"cosine": cosine, "wsd": wsd, "constant": constant, "linear": linear}


def find_schedule(name: str) -> Schedule:
    """The schedule of this name; SimtoolError with the nearest names if there is none."""
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    return SCHEDULES[name]
