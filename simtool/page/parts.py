"""What the sections of a page are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from simtool.page.charts import Interval
from simtool.page.markup import Html, el


@dataclass(frozen=True)
class Section:
    """A part of the page. title: as in the contents, too."""

    key: str
    title: str
    body: list[Html]

    def html(self) -> Html:
        heading = el("h2", self.title, id=f"{self.key}-title")
        return el("section", heading, self.body, id=self.key, aria_labelledby=f"{self.key}-title")


def left_out(key: str, title: str, why: str) -> Section:
    return Section(key, title, [el("p", f"Left out. {why}", class_="note")])


def source(text: str) -> Html:
    """What the numbers above rest on."""
    return el("p", text, class_="source")


def folded(title: str, body: Html) -> Html:
    """What is shown on demand."""
    return el("details", el("summary", title), body)


def command(text: str) -> Html:
    """A command line, which page.js gives a button to copy it."""
    return el("pre", el("code", text), tabindex=0, class_="command")


def map_items(lines: Sequence[str]) -> list[Html]:
    """The items of a list."""
    return [el("li", line) for line in lines]


def words_of(rows: Sequence[Interval]) -> str:
    """A chart of intervals in words, for those who hear the page."""
    return "; ".join(
        f"{row.label} {row.value:.3g}" + (f" ({row.low:.3g} to {row.high:.3g})" if row.low is not None else "")
        for row in rows
    )
