"""HTML and SVG as text in which whatever is not markup already is escaped."""

from collections.abc import Iterable
from html import escape


class Html(str):
    """Text that is markup already. Everything else is escaped where it goes in."""

    __slots__ = ()


VOID = {"br", "input", "line", "rect", "circle", "path", "polygon", "polyline"}


def el(name: str, *children: object, **attributes: object) -> Html:
    """An element: el("td", 0.5, class_="number"). None leaves an attribute or a child out, True has no value."""
    inside_tag = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    if name in VOID and not children:
        return Html(f"<{name}{inside_tag}/>")
    return Html(f"<{name}{inside_tag}>{join(children)}</{name}>")


def join(children: Iterable[object], between: str = "") -> Html:
    return Html(escape(between).join(_text(child) for child in children if child is not None))


def _text(child: object) -> str:
    if isinstance(child, Html):
        return child
    return join(child) if isinstance(child, list | tuple) else escape(str(child))


def _attribute(key: str, value: object) -> str:
    # viewBox keeps its capital; class_ and for_ are words of Python; aria_label is aria-label
    name = key if key == "viewBox" else key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(_number(value))}"'


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def table(header: list[str], rows: Iterable[list[object]], left: int = 1, caption: str | None = None) -> Html:
    """A table whose first `left` columns are words and whose others are numbers; it scrolls inside its own box."""
    head = el("tr", [el("th", name, scope="col", class_=None if i < left else "n") for i, name in enumerate(header)])
    body = [
        el(
            "tr",
            [
                el("th", cell, scope="row") if i == 0 else el("td", cell, class_=None if i < left else "n")
                for i, cell in enumerate(row)
            ],
        )
        for row in rows
    ]
    title = el("caption", caption) if caption else None
    inside = el("table", title, el("thead", head), el("tbody", body))
    return el("div", inside, class_="scroll", tabindex=0, role="region", aria_label=caption or header[0])
