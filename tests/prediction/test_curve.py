"""The curve of advantage against share: its ends, and its peak by hand."""

import numpy as np
import pytest

from simtool.mixture import Mixture
from simtool.prediction.advantage import advantage
from simtool.prediction.curve import curve
from tests.prediction.toys import C4, exactly


def test_the_curve_runs_from_pretraining_to_continued_pretraining(corpora):
    special = Mixture({"starcoder": 1.0})
    result = curve(corpora, C4, special, ["code", "prose"], "js", "token", resamples=60)
    assert (result.value[0] == 0).all()
    at_end = advantage(corpora, C4, {"all": special}, ["code"], "js", "token", resamples=60)
    assert result.value[-1, 0] == pytest.approx(at_end.value[0, 0], abs=0.01)  # other samples of the same text
    assert result.peak[0] > 0.7 and result.peak[1] < 0.1
    assert (result.peak_low <= result.peak).all() and (result.peak <= result.peak_high).all()
    assert result.to_polars().shape == (2 * 21, 13)


def test_the_peak_by_hand():
    """T = (1/2, 1/2) between P = (1, 0) and S = (0, 1): half of each is exactly the target."""
    profiles = {"p": exactly("p", 200, 0), "s": exactly("s", 0, 200), "t": exactly("t", 100, 100)}
    result = curve(profiles, Mixture({"p": 1.0}), Mixture({"s": 1.0}), ["t"], "overlap", "token", resamples=10)
    assert (result.peak[0], result.peak_low[0], result.peak_high[0]) == (0.5, 0.5, 0.5)
    expected = [min(w, 0.5) + min(1 - w, 0.5) - 0.5 for w in result.shares]  # sum of min(p, q), less that of P
    np.testing.assert_allclose(result.value[:, 0], expected, atol=1e-3)  # shares are right to within a token
