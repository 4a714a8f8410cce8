"""A sweep as text: how text ranks, what runs add, and a doubt where the model promises too much."""

import pytest

from simtool.display.sweep import print_sweep
from tests.prediction.toys import sweep_report


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "10000")


def test_ranks_mixture_and_rounding_are_shown(capsys):
    print_sweep(sweep_report(), "table")
    shown = capsys.readouterr().out
    text = " ".join(shown.split())
    assert "+1.00 [" in shown and "-1.00 [" in shown
    assert "Rank correlation with the losses of 40 runs, mean over 1 target" in text
    assert "Weights are rounded to 0.001: a weight of 0 counts as 0.0005 beside a logarithm." in text
    assert "mean loss 2.900 by the model, whose error on runs held out is 0.100; the best run has 3.000." in text
    shares = [line.split()[:2] for line in shown.splitlines() if line.split()[:1] in (["web"], ["code"])]
    assert shares == [["code", "0.750"], ["web", "0.250"]]  # the largest first


@pytest.mark.parametrize(("predicted", "doubted"), [(2.81, False), (2.79, True)])
def test_a_promise_beyond_twice_the_error_is_doubted(predicted, doubted, capsys):
    print_sweep(sweep_report(predicted, error=0.1), "table")  # the best run has 3.0
    assert ("it extrapolates" in " ".join(capsys.readouterr().out.split())) is doubted


def test_data_is_the_curve(capsys):
    report = sweep_report()
    print_sweep(report, "csv")
    assert capsys.readouterr().out.splitlines()[0] == ",".join(report.curve.to_polars().columns)
