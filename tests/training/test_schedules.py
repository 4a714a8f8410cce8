"""Schedules are tables of (progress, share of the peak)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simtool.errors import SimtoolError
from simtool.training.schedules import SCHEDULES, find_schedule, share_of_peak

TABLES = {  # warm-up 0.1, floor 0.2, decay 0.25
    "cosine": [(0, 0), (0.05, 0.5), (0.1, 1), (0.55, 0.6), (1, 0.2)],  # half-way of the cosine: (1 + 0.2) / 2
    "wsd": [(0, 0), (0.05, 0.5), (0.1, 1), (0.75, 1), (0.875, 0.6), (1, 0.2)],  # half-way of the decay
    "constant": [(0, 0), (0.05, 0.5), (0.1, 1), (0.5, 1), (1, 1)],
    "linear": [(0, 0), (0.05, 0.5), (0.1, 1), (0.55, 0.6), (1, 0.2)],
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_shares_of_the_peak(name):
    for progress, share in TABLES[name]:
        assert share_of_peak(name, progress, 0.1, 0.2, 0.25) == pytest.approx(share), progress


@given(st.sampled_from(sorted(SCHEDULES)), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_every_share_is_between_nothing_and_the_peak(name, progress, warmup, minimum, decay):
    assert -1e-12 <= share_of_peak(name, progress, warmup, minimum, decay) <= 1 + 1e-12


def test_an_unknown_schedule_names_the_nearest():
    with pytest.raises(SimtoolError) as error:
        find_schedule("cosin")
    message = "Unknown schedule 'cosin'. Did you mean 'cosine'?\nKnown: constant, cosine, linear, wsd."
    assert str(error.value) == message
