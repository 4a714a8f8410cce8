"""Curves are named at their ends, and the title says where they peak."""

from simtool.plots.advantage_curve import draw, finding
from tests.plots.example_tables import curve


def test_peaks_are_in_the_title_and_names_at_the_ends():
    assert finding(curve()) == "Closest at a share of 100% for PyCode, 100% for GSM8K"
    axes = draw(curve()).axes[0]
    assert [text.get_text() for text in axes.texts] == ["PyCode", "GSM8K"]
    assert axes.get_xlabel() == "share of StarCoder"
