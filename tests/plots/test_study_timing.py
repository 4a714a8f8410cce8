"""Every line is named by its weight, at its beginning."""

from matplotlib.figure import Figure

from simtool.plots.study_timing import curves
from tests.plots.example_tables import timing


def test_each_line_is_named_by_its_weight():
    axes = Figure().subplots()
    curves(timing().filter(design="confounded", target="pycode"), axes, [0.1, 0.2, 0.5])
    assert [text.get_text() for text in axes.texts] == ["10%", "20%", "50%"]
    assert len(axes.containers) == 3  # a line with its bars per weight
