"""Markup in which whatever is not markup already is escaped."""

from simtool.page.markup import Html, el, join, table


def test_text_is_escaped_and_markup_is_not():
    assert el("p", "<b>", Html("<i>x</i>")) == "<p>&lt;b&gt;<i>x</i></p>"
    assert join(["a", None, "b"], "<") == "a&lt;b"


def test_attributes():
    made = el("td", 0.5, class_="number", aria_label='say "hi"', hidden=True, id=None, tabindex=0)
    assert made == '<td class="number" aria-label="say &quot;hi&quot;" hidden tabindex="0">0.5</td>'
    assert el("br") == "<br/>" and el("rect", width=1.50, viewBox="0 0 1 1") == '<rect width="1.5" viewBox="0 0 1 1"/>'


def test_a_table_says_what_its_rows_and_columns_are():
    html = table(["corpus", "tokens"], [["<c4>", 1]], caption="Sizes")
    assert '<th scope="row">&lt;c4&gt;</th><td class="n">1</td>' in html
    assert 'role="region" aria-label="Sizes"' in html
