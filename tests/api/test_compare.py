"""Matrices and pairs as functions: names, mixtures and repeated names."""

import numpy as np
import pytest

import simtool
from simtool.errors import SimtoolError


def test_a_mixture_is_a_corpus_between_its_parts():
    matrix = simtool.matrix(["c4", "c4:0.5+starcoder:0.5", "starcoder"], metric="js", tokens=20_000, resamples=20)
    assert matrix.corpora == ("c4", "c4:0.5+starcoder:0.5", "starcoder")
    assert matrix.values[0, 1] < matrix.values[0, 2] and matrix.values[1, 2] < matrix.values[0, 2]
    np.testing.assert_allclose(matrix.values, matrix.values.T)  # js is symmetric


def test_a_name_twice_is_refused():
    with pytest.raises(SimtoolError) as caught:
        simtool.matrix(["c4", "c4"], resamples=20)
    assert "c4" in str(caught.value)


def test_the_difference_of_a_pair_adds_up_to_its_divergence():
    comparison = simtool.compare("c4", "gsm8k", features=("token",), resamples=20)
    [difference] = comparison.differences
    assert difference.bits.sum() == pytest.approx(difference.total)


def test_long_work_says_that_it_goes_on(monkeypatch):
    messages = []
    options = simtool.Options(report=messages.append)
    simtool.matrix(["c4", "gsm8k"], metric="js", tokens=2_000, resamples=20, options=options)
    assert messages == []
    monkeypatch.setattr("simtool.api.compare.MANY", 2)
    simtool.matrix(["c4", "gsm8k"], metric="js", tokens=2_000, resamples=20, options=options)
    assert messages == ["Comparing 2 corpora by js on token: 3 pairs."]
