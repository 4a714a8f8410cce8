"""What sections are made of: a title that its section is named by, and text that stays text."""

from simtool.page.charts import Interval
from simtool.page.parts import Section, command, folded, left_out, map_items, words_of


def test_a_section_is_named_by_its_heading():
    assert Section("map", "A < B", ["x"]).html() == (
        '<section id="map" aria-labelledby="map-title"><h2 id="map-title">A &lt; B</h2>x</section>'
    )


def test_what_is_left_out_says_why():
    assert '<p class="note">Left out. No study.</p>' in left_out("study", "Study", "No study.").html()


def test_text_is_escaped_in_lists_and_commands():
    assert map_items(["<b>"]) == ["<li>&lt;b&gt;</li>"]
    assert command("a > b") == '<pre tabindex="0" class="command"><code>a &gt; b</code></pre>'
    assert folded("More & more", command("x")).startswith("<details><summary>More &amp; more</summary><pre")


def test_a_chart_in_words():
    rows = [Interval("code", 1.23456, 1, 2, "red"), Interval("math", -0.5, None, None, "blue")]
    assert words_of(rows) == "code 1.23 (1 to 2); math -0.5"
