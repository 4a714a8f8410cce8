"""Charts as inline SVG, drawn at the width of a phone so that their text stays legible; each with its table.

Colours of series are `plots.style.color_of`; everything else takes its colour from the page's style, light or dark.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from simtool.page.markup import Html, el, join, table

WIDTH = 340  # px: the text column of a phone of 390
LABEL_HEIGHT = 13.0  # px, of the name of a dot
CHARACTER = 8.2  # px: a character of the labels in DejaVu Sans Bold, the widest of the fonts that a page may find
ROW = 26  # px: of an interval chart
SHADES = ("#56B4E9", "#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7")  # of what is not a corpus
Scale = Callable[[float], float]


@dataclass(frozen=True)
class Interval:
    """A row of an interval chart; without an interval low and high are None."""

    label: str
    value: float
    low: float | None
    high: float | None
    color: str


@dataclass(frozen=True)
class Line:
    """A line with its band (low and high, or neither); `at` is a place on it that is marked."""

    label: str
    color: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    at: float | None = None


def figure(title: str, drawing: Html, header: list[str], rows: list[list[object]], note: object = None) -> Html:
    """A chart with its title above, a note below, and the same numbers as a table behind a switch."""
    numbers = el("details", el("summary", "Show table"), table(header, rows))
    below = el("div", note, class_="note") if note else None
    return el("figure", el("figcaption", title), drawing, below, numbers, class_="chart")


def intervals(
    title: str, summary: str, rows: Sequence[Interval], unit: str, digits: int = 2, signed: bool = True
) -> Html:
    """One row per value: a dot on its interval, the number at the right; a line at 0."""
    ends = [end for row in rows for end in (row.value, row.low, row.high) if end is not None and math.isfinite(end)]
    left = min(max((len(row.label) for row in rows), default=0) * CHARACTER + 10, 150.0)
    numbers = [_number(row.value, digits, signed) for row in rows]
    right = WIDTH - max((len(text) for text in numbers), default=0) * 7.2 - 12
    low, high = min([0.0, *ends]), max([0.0, *ends])
    ticks = ticks_of(low, high, 4)
    x = scale(min(low, ticks[0]), max(high, ticks[-1]), left + 10, right - 8)
    bottom = len(rows) * ROW + 8
    parts: list[Html] = []
    for tick in ticks:
        parts.append(el("line", x1=x(tick), x2=x(tick), y1=4.0, y2=float(bottom), class_="grid" if tick else "zero"))
        parts.append(_text(x(tick), bottom + 14.0, _tick(tick), "middle", "tick"))
    for i, (row, number) in enumerate(zip(rows, numbers, strict=True)):
        y = i * ROW + ROW / 2 + 4
        parts.append(_text(left, y + 4, shortened(row.label, left), "end", "label"))
        if row.low is not None and row.high is not None and math.isfinite(row.low) and math.isfinite(row.high):
            parts.append(
                el("line", x1=x(row.low), x2=x(row.high), y1=y, y2=y, class_="interval", style=f"--c:{row.color}")
            )
        parts.append(el("circle", cx=x(row.value), cy=y, r=4.5, class_="dot", style=f"--c:{row.color}"))
        parts.append(_text(WIDTH - 2.0, y + 4, number, "end", "number"))
    parts.append(_text((left + right) / 2, bottom + 30.0, unit, "middle", "axis"))
    return drawing(title, summary, bottom + 36, parts)


def lines(
    title: str,
    summary: str,
    series: Sequence[Line],
    x_label: str,
    y_label: str,
    mark: tuple[float, str] | None = None,
    height: int = 220,
    x_ticks: Mapping[float, str] | None = None,
) -> Html:
    """Lines with bands, labelled at their ends; mark: an upright line at (x, what it is); x_ticks: round by default."""
    xs = [x for line in series for x in line.x] + ([mark[0]] if mark else [])
    ys = [y for line in series for some in (line.y, line.low or (), line.high or ()) for y in some]
    y_ticks = ticks_of(min([0.0, *ys]), max([0.0, *ys]), 4)
    x_ticks = x_ticks or {tick: _tick(tick) for tick in ticks_of(min(xs), max(xs), 4)}
    left = max(len(_tick(tick)) for tick in y_ticks) * CHARACTER + 10
    right = WIDTH - min(max(len(line.label) for line in series) * CHARACTER + 10, 110.0)
    top, bottom = 38.0 if mark else 24.0, height - 40.0  # a mark is named above the plot
    x = scale(min(xs), max(xs), left, right)
    y = scale(min([0.0, *ys, y_ticks[0]]), max([0.0, *ys, y_ticks[-1]]), bottom, top)
    parts = [_text(2.0, 13.0, y_label, "start", "axis")]
    for tick in y_ticks:
        parts.append(el("line", x1=left, x2=right, y1=y(tick), y2=y(tick), class_="grid" if tick else "zero"))
        parts.append(_text(left - 6, y(tick) + 4, _tick(tick), "end", "tick"))
    for tick, name in x_ticks.items():
        parts.append(_text(x(tick), bottom + 16, name, "middle", "tick"))
    parts.append(_text((left + right) / 2, height - 6.0, x_label, "middle", "axis"))
    if mark:
        parts.append(el("line", x1=x(mark[0]), x2=x(mark[0]), y1=top, y2=bottom, class_="mark"))
        # its name begins at the line, or as far to the left as it takes to end inside
        begin = max(min(x(mark[0]), WIDTH - len(mark[1]) * CHARACTER), 0.0)
        parts.append(_text(begin, top - 5, mark[1], "start", "tick"))
    for line in series:
        if line.low and line.high:
            forth = [(x(a), y(b)) for a, b in zip(line.x, line.high, strict=True)]
            back = [(x(a), y(b)) for a, b in zip(line.x, line.low, strict=True)]
            parts.append(el("polygon", points=_points(forth + back[::-1]), class_="band", style=f"--c:{line.color}"))
    for line in series:
        points = [(x(a), y(b)) for a, b in zip(line.x, line.y, strict=True)]
        parts.append(el("polyline", points=_points(points), class_="line", style=f"--c:{line.color}"))
        if line.at is not None:
            i = min(range(len(line.x)), key=lambda i: abs(line.x[i] - line.at))
            parts.append(el("circle", cx=points[i][0], cy=points[i][1], r=4.0, class_="dot", style=f"--c:{line.color}"))
    for line, place in zip(series, spread([y(line.y[-1]) for line in series], 14, top, bottom), strict=True):
        parts.append(_text(right + 6, place + 4, shortened(line.label, WIDTH - right), "start", "name", line.color))
    return drawing(title, summary, height, parts)


def stack(
    title: str, summary: str, x: Sequence[float], layers: Sequence[Line], x_label: str, height: int = 150
) -> Html:
    """Shares that sum to 1, one upon the other; a layer is named where it is thickest."""
    left, right, top, bottom = 40.0, WIDTH - 8.0, 6.0, height - 40.0
    across, up = scale(min(x), max(x), left, right), scale(0.0, 1.0, bottom, top)
    parts, below = [], [0.0] * len(x)
    for layer in layers:
        above = [a + b for a, b in zip(below, layer.y, strict=True)]
        forth = [(across(a), up(b)) for a, b in zip(x, above, strict=True)]
        back = [(across(a), up(b)) for a, b in zip(x, below, strict=True)]
        parts.append(el("polygon", points=_points(forth + back[::-1]), class_="layer", style=f"--c:{layer.color}"))
        below = above
    for tick in (0.0, 0.5, 1.0):
        parts.append(_text(left - 6, up(tick) + 4, f"{tick:.0%}", "end", "tick"))
    for tick in ticks_of(min(x), max(x), 4):
        parts.append(_text(across(tick), bottom + 16, _tick(tick), "middle", "tick"))
    parts.append(_text((left + right) / 2, height - 6.0, x_label, "middle", "axis"))
    key = el("p", [_swatch(layer) for layer in reversed(layers)], class_="key")
    return join([drawing(title, summary, height, parts), key])


def points(
    title: str, summary: str, places: Sequence[tuple[float, float]], labels: Sequence[str], colors: Sequence[str]
) -> Html:
    """Named dots on a plane whose two axes have one scale and no meaning of their own."""
    margin, span = 14.0, max((abs(value) for place in places for value in place), default=0.0) or 1.0
    side = WIDTH - 2 * margin
    spots = [(margin + side * (x / span + 1) / 2, margin + side * (1 - y / span) / 2) for x, y in places]
    heights = _label_heights(spots)
    parts: list[Html] = []
    for (x, y), height, label, color in zip(spots, heights, labels, colors, strict=True):
        parts.append(el("circle", cx=x, cy=y, r=5.0, class_="dot", style=f"--c:{color}"))
        anchor, shift = ("end", -8.0) if x > WIDTH / 2 else ("start", 8.0)
        room = x - 8 if anchor == "end" else WIDTH - x - 8
        parts.append(_text(x + shift, height + 4, shortened(label, room), anchor, "label"))
    return drawing(title, summary, WIDTH, parts)


def _label_heights(spots: Sequence[tuple[float, float]]) -> list[float]:
    """Of the names of dots: beside them, and apart where two of one half would lie over each other."""
    heights = [y for _, y in spots]
    for is_right in (False, True):
        half = [i for i, (x, _) in enumerate(spots) if (x > WIDTH / 2) is is_right]
        moved = spread([heights[i] for i in half], LABEL_HEIGHT, LABEL_HEIGHT, WIDTH - LABEL_HEIGHT)
        for i, height in zip(half, moved, strict=True):
            heights[i] = height
    return heights


def _swatch(line: Line) -> Html:
    return el("span", el("i", style=f"--c:{line.color}"), line.label)


# --- What they share ---


def drawing(title: str, summary: str, height: float, parts: Sequence[Html]) -> Html:
    name = [el("title", title), el("desc", summary)]
    return el("svg", name, parts, viewBox=f"0 0 {WIDTH} {height:g}", role="img", aria_label=f"{title}. {summary}")


def scale(low: float, high: float, start: float, end: float) -> Scale:
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def ticks_of(low: float, high: float, n: int) -> list[float]:
    """Round numbers within low .. high, about n of them; steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    power = 10 ** math.floor(math.log10(span / n))
    step = next(power * times for times in (1, 2, 5, 10) if power * times * n >= span * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def spread(places: Sequence[float], distance: float, top: float, bottom: float) -> list[float]:
    """The places moved as little as it takes for neighbours to be `distance` from each other, within top and bottom."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + distance)
    overshoot = max(moved[order[-1]] - bottom, 0.0) if order else 0.0
    last = math.inf
    for i in reversed(order):
        moved[i] = min(moved[i], last - distance, bottom) if overshoot else moved[i]
        last = moved[i]
    return moved


def shortened(label: str, width: float) -> str:
    """The label, or as much of its beginning and of its end, where a mixture has its share, as there is room for."""
    room = max(int((width - 6) / CHARACTER), 3)
    end = room // 3
    return label if len(label) <= room else f"{label[: room - end - 1]}…{label[-end:]}"


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _text(x: float, y: float, text: str, anchor: str, kind: str, color: str | None = None) -> Html:
    style = f"--c:{color}" if color else None
    return el("text", text, x=x, y=y, text_anchor=anchor, class_=kind, style=style)


def _number(value: float, digits: int, signed: bool) -> str:
    return (f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}").replace("-", "−")


def _tick(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")
