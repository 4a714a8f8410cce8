"""Corpora of which some are alike."""

import pytest

from simtool.profiles.profile import Profile
from tests.prediction.toys import corpus_of, zipf


@pytest.fixture(scope="session")
def corpora() -> dict[str, Profile]:
    """The target `code` is like `starcoder`, and `prose` like `c4`."""
    shifts = {"c4": 0, "starcoder": 60, "math": 150, "code": 62, "prose": 1}
    return {name: corpus_of(name, zipf(shift), 16_000, seed) for seed, (name, shift) in enumerate(shifts.items())}
