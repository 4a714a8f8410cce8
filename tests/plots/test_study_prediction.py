"""The points that are drawn are those that r is over."""

import polars as pl

from simtool.plots.study_prediction import draw, finding
from tests.plots.example_tables import agreements, effects


def test_only_midtraining_is_drawn():
    points = effects().filter(size="small", kind="midtrain")
    axes = draw(effects(), agreements()).axes[-1]
    drawn = {
        (line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_marker() not in ("None", None, "")
    }
    assert drawn == {(x, y * 100) for x, y in points.select("predicted", "relative_improvement").rows()}


def test_hits_are_the_targets_whose_best_mixture_was_predicted():
    points = effects().filter(size="tiny", kind="midtrain")
    assert finding(points) == "The mixture predicted to be best came out best on 2 of 2 targets"
    wrong = points.with_columns(
        predicted=pl.when(pl.col("target") == "gsm8k").then(-pl.col("predicted")).otherwise("predicted")
    )
    assert finding(wrong) == "The mixture predicted to be best came out best on 1 of 2 targets: PyCode"
