"""Charts by what they show, and sentences by what they say."""

import re

import numpy as np
import pytest

from simtool.page import charts
from simtool.page.markup import Html, el


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 5.3, [0, 2, 4]), (0, 1, [0, 0.5, 1]), (-0.4, 0.4, [-0.4, -0.2, 0, 0.2, 0.4]), (2, 2, [2])],
)
def test_ticks_are_round(low, high, ticks):
    assert charts.ticks_of(low, high, 4) == pytest.approx(ticks)


def test_labels_are_spread_within_the_chart():
    moved = charts.spread([10, 11, 12, 100], 14, 0, 100)
    assert moved == [10, 24, 38, 100]
    moved = charts.spread([90, 95, 100], 14, 0, 100)
    assert min(np.diff(sorted(moved))) >= 14
    assert max(moved) == 100


def test_what_is_not_markup_is_escaped():
    assert el("p", "<b>", Html("<i></i>"), title='"') == '<p title="&quot;">&lt;b&gt;<i></i></p>'
    assert el("td", ["a", None, 1], class_=None) == "<td>a1</td>"


def test_an_interval_chart_holds_every_row():
    rows = [charts.Interval("one", 1.0, 0.5, 1.5, "#000000"), charts.Interval("two", -2.0, None, None, "#000000")]
    drawn = charts.intervals("title", "told", rows, "bits")
    assert drawn.count('class="dot"') == 2
    assert drawn.count('class="interval"') == 1
    assert "+1.00" in drawn
    assert "−2.00" in drawn


def test_a_long_label_keeps_its_end_where_the_share_stands():
    assert charts.shortened("python_source:0.3", 1000) == "python_source:0.3"
    assert charts.shortened("python_source:0.3", 132) == "python_so…e:0.3"


def test_names_of_two_dots_at_one_place_do_not_lie_over_each_other():
    drawn = str(
        charts.points("Map", "", [(0.9, 0.1), (0.9, 0.11), (-0.9, 0.1)], ["a", "b", "c"], ["red", "blue", "green"])
    )
    a, b, c = (float(y) for y in re.findall(r'<text[^>]* y="([\d.]+)"', drawn))
    assert abs(a - b) >= charts.LABEL_HEIGHT
    assert abs(c - a) < charts.LABEL_HEIGHT  # far to the left, it stays beside its dot
