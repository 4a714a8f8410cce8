"""The legend of weights has each of them once, from small to large."""

from matplotlib.figure import Figure

from simtool.plots.study_timing import weight_legend


def test_each_weight_is_in_the_legend_once():
    first, second = Figure().subplots(1, 2)
    first.plot([0], label="20%")
    first.plot([0], label="5%")
    second.plot([0], label="100%")
    second.plot([0], label="5%")
    lines, labels = weight_legend([first, second])
    assert labels == ["5%", "20%", "100%"] and len(lines) == 3
