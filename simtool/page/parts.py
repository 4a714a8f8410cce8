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


def source(told: str) -> Html:
    return el("p", told, class_="source")


def words_of(rows: Sequence[Interval]) -> str:
    """A chart of intervals in words, for those who hear the page."""
    return "; ".join(
        f"{row.label} {row.value:.3g}" + (f" ({row.low:.3g} to {row.high:.3g})" if row.low is not None else "")
        for row in rows
    )
