"""The power of a study's agreement: it grows with the study, and is that of cells as uneven as real ones."""

import math

import numpy as np

from simtool.studies import power
from simtool.studies.power import agreement_power


def test_larger_studies_show_a_true_agreement_more_often():
    small, middle, large = (agreement_power(*size) for size in ((5, 4), (8, 6), (10, 8)))
    assert small == agreement_power(5, 4)  # seeded
    # 39, 76 and 86% by another program's simulations; of normal cells it would be 72, 90 and 96%
    np.testing.assert_allclose([small, middle, large], [0.39, 0.76, 0.86], atol=0.07)
    assert math.isnan(agreement_power(5, 1))


def test_where_nothing_agrees_no_study_shows_it(monkeypatch):
    monkeypatch.setattr(power, "TRUE_R", 0.0)
    assert agreement_power(5, 4) < 0.01
