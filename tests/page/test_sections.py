"""Sections by what they hold: the map keeps distances, alerts say what a reader must know first."""

from dataclasses import replace

import numpy as np
import pytest

from simtool.page.sections import alerts_of, labels, page_color, project, sections
from simtool.plots.style import color_of


def test_the_map_keeps_distances_that_fit_in_a_plane():
    triangle = np.array([[0, 3, 4], [3, 0, 5], [4, 5, 0]], float)  # right-angled: 3, 4, 5
    places, shown = project(triangle)
    between = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert between == pytest.approx(triangle)
    assert shown == pytest.approx(1)


def test_the_map_says_how_much_of_the_distances_it_shows():
    # a regular tetrahedron has three equal dimensions, of which two are drawn
    _, shown = project(1 - np.eye(4))
    assert shown == pytest.approx(2 / 3)


def test_the_answer_comes_first_and_the_sources_last(found):
    assert [section.key for section in sections(found)] == [
        "mixture", "study", "sweep", "matrix", "advantage", "trade-off", "corpora",
    ]  # fmt: skip


def test_each_target_has_its_command_and_the_length_is_named(found):
    mixture = " ".join(map(str, sections(found)[0].body))
    best = found.advice.recommendation
    assert len(best.targets) == 2 and mixture.count('class="command"') == 2
    assert "once for each target" in mixture and "Add --pretrain-tokens and --mid-tokens" in mixture


def test_alerts_name_small_samples_proxies_and_unstable_rankings(found):
    called = labels(list(dict.fromkeys((*found.corpora, *found.facts))))
    alerts = " ".join(alerts_of(found, called))
    assert "Small sample" not in alerts
    assert "Proxy corpora *: text of the same kind stands in for starcoder" in alerts
    small = replace(found, matrices=tuple(replace(matrix, tokens=338) for matrix in found.matrices))
    assert "Small sample: 338 tokens of each corpus say little" in " ".join(alerts_of(small, called))


def test_files_of_ones_own_have_colours_of_their_own():
    called = labels(["c4", "gsm8k", *(f"data/{n}.jsonl" for n in range(9))])
    colors = [page_color(name, called) for name in called]
    assert len(set(colors)) == len(colors)
    assert page_color("gsm8k", called) == color_of("gsm8k")
