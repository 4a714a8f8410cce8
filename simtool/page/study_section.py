"""The section on a study: what training gave, table by table. A table that is missing says so."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from simtool.page import charts, sentences
from simtool.page.charts import Interval, Line
from simtool.page.markup import Html, el, table
from simtool.page.parts import Section, folded, map_items, source, words_of
from simtool.page.study import StudyTables
from simtool.plots.style import color_of
from simtool.wording import number

Row = dict[str, Any]
IMPROVEMENT = ("relative_improvement", "low", "high")
LONGEST_TABLE = 20  # rows that stand open
RANKS = ("spearman", "spearman_low", "spearman_high")


def trained(study: StudyTables) -> Section:
    """What training gave, table by table."""
    body = [el("p", f"{study.name}: models trained, and their loss measured on held-out text.")]
    if study.sentences:
        words = el("ul", map_items(study.sentences), class_="words")
        body.append(folded(f"What it concludes in words ({len(study.sentences)})", words))
    parts = (
        ("study_effects", "Did it help?", _effects),
        ("study_agreement", "Did the prediction hold?", _agreement),
        ("study_losses", "Loss on targets and on general text", _losses),
        ("study_timing", "When to begin, and how much", _timing),
    )
    for name, title, draw in parts:
        rows = study.rows(name)
        body.append(el("h3", title))
        if not rows:
            body.append(el("p", f"The study has no table {name}.csv, so this is left out.", class_="note"))
            continue
        facts = study.facts[name]
        where = ", ".join(str(facts[key]) for key in ("machine", "device", "made") if facts.get(key))
        body += [*draw(rows), source(f"{name}.csv, {len(rows):,} rows" + (f"; {where}." if where else "."))]
    return Section("study", "What training gave", body)


def grouped(rows: Sequence[Row], *keys: str) -> dict[tuple, list[Row]]:
    """Rows by what they hold in these columns, in order of appearance."""
    groups: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row.get(key) for key in keys)].append(row)
    return groups


def _effects(rows: Sequence[Row]) -> list[Html]:
    drawn = []
    for (size, design, target), group in grouped(rows, "size", "design", "target").items():
        order = sorted(_known(group, "relative_improvement"), key=lambda row: -row["relative_improvement"])
        bars = [_interval(row, str(row["arm"]), IMPROVEMENT, color_of(str(row["mix"])), 100) for row in order]
        numbers = [
            [
                row["arm"],
                *(_cell(row.get(key), "+.2%") for key in IMPROVEMENT),
                _cell(row.get("p_holm"), ".3g"),
                _cell(row.get("general_difference"), "+.3f"),
                _cell(row.get("forgetting_difference"), "+.3f"),
            ]
            for row in group
        ]
        title = f"{target} ({size}, {design})"
        header = ["arm", "improvement", "low", "high", "p (Holm)", "general loss", "its rise in SFT"]
        chart = charts.intervals(title, words_of(bars), bars, "% of the control's loss", 1) if bars else Html("")
        drawn.append(charts.figure(title, chart, header, numbers, _effect_words(order or group)))
    lead = (
        "How far the loss on the target lies below the control arm's, after SFT; 95% over seeds and documents. General"
        " loss: after SFT, against the control's, in nats per token."
    )
    return [el("p", lead), el("div", drawn, class_="charts")]


def _effect_words(rows: Sequence[Row]) -> Html:
    """A sentence on the best arm of a target; those on the others are folded, as a study may have a dozen."""
    best, *others = [sentences.effect(row) for row in rows]
    folds = (
        [folded(f"The {len(others)} others in words", el("ul", map_items(others), class_="words"))] if others else []
    )
    return el("div", [el("ul", map_items([best]), class_="words"), *folds])


def _losses(rows: Sequence[Row]) -> list[Html]:
    lines = []
    for (arm, target, size, design), group in grouped(rows, "arm", "target", "size", "design").items():
        cells = []
        for column in ("loss_before", "loss", "general_before", "general_after", "forgetting"):
            values = [row[column] for row in _known(group, column)]
            spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
            cells.append(f"{sum(values) / len(values):.3f}{spread}" if values else "not measured")
        lines.append([arm, target, size, design, str(len(group)), *cells])
    header = ["arm", "target", "size", "design", "seeds", "target before SFT", "after SFT"]
    header += ["general before SFT", "after SFT", "rise in SFT"]
    lead = (
        "Nats per counted token: the mean over seeds, with the lowest and the highest; lower is better. What an arm"
        " forgets is its general loss after SFT against the control's; the rise in SFT alone leaves out what continued"
        " pretraining lost before."
    )
    losses = table(header, lines, left=4, caption="Losses")
    return [el("p", lead), losses if len(lines) <= LONGEST_TABLE else folded(f"Show table ({len(lines)} rows)", losses)]


def _timing(rows: Sequence[Row]) -> list[Html]:
    drawn = []
    for (size, design, target, mix), group in grouped(rows, "size", "design", "target", "mix").items():
        known = sorted(_known(group, "relative_improvement"), key=lambda row: row["start"])
        series = [
            _timing_line(weight, some, charts.SHADES[i % len(charts.SHADES)])
            for i, ((weight,), some) in enumerate(sorted(grouped(known, "weight").items()))
        ]
        if not series:
            continue
        title = f"{mix} for {target} ({size}, {design})"
        summary = "; ".join(f"weight {line.label}: {line.y[0]:+.1f}% to {line.y[-1]:+.1f}%" for line in series)
        chart = charts.lines(title, summary, series, "fork at % of pretraining", "% better than control")
        numbers = [
            [
                f"{row['weight']:.0%}",
                f"{row['start']:.0%}",
                *(_cell(row.get(key), "+.2%") for key in IMPROVEMENT),
                str(row["n_seeds"]),
                _cell(row.get("special_tokens"), ",.0f"),
            ]
            for row in group
        ]
        header = ["weight", "start", "improvement", "low", "high", "seeds", f"tokens of {mix}"]
        drawn.append(charts.figure(title, chart, header, numbers, f"Lines: share of {mix} in the mixture."))
    return [el("div", drawn, class_="charts")]


def _timing_line(weight: float, rows: Sequence[Row], color: str) -> Line:
    def percent(column: str) -> list[float]:
        return [100 * row[column] for row in rows]

    certain = all(len(_known(rows, end)) == len(rows) for end in ("low", "high"))
    band = (percent("low"), percent("high")) if certain else (None, None)
    return Line(f"{weight:.0%}", color, [100 * row["start"] for row in rows], percent("relative_improvement"), *band)


def _agreement(rows: Sequence[Row]) -> list[Html]:
    drawn = []
    for (size,), group in grouped(rows, "size").items():
        whole = [row for row in group if not row.get("left_out")]
        bars = [
            _interval(row, str(row["predictor"]), RANKS, charts.SHADES[1]) for row in _known(whole or group, RANKS[0])
        ]
        numbers = [
            [
                row["predictor"],
                row.get("left_out") or "nothing",
                str(row["n"]),
                *(_cell(row.get(key), "+.2f") for key in (*RANKS, "pearson")),
                _cell(row.get("p"), ".3g"),
            ]
            for row in group
        ]
        header = ["predictor", "left out", "pairs", "Spearman", "low", "high", "Pearson", "p"]
        words = el("ul", map_items([sentences.agreement(row) for row in whole or group]), class_="words")
        title = f"Rank correlation with what training gave ({size})"
        chart = charts.intervals(title, words_of(bars), bars, "Spearman's ρ") if bars else Html("")
        drawn.append(charts.figure(title, chart, header, numbers, words))
    return [el("div", drawn, class_="charts")]


def _known(rows: Sequence[Row], column: str) -> list[Row]:
    return [row for row in rows if number(row.get(column)) is not None]


def _interval(row: Row, label: str, columns: tuple[str, str, str], color: str, times: float = 1) -> Interval:
    numbers = [number(row.get(key)) for key in columns]
    value, low, high = (None if bound is None else times * bound for bound in numbers)
    assert value is not None
    return Interval(label, value, low, high, color)


def _cell(value: object, form: str) -> str:
    known = number(value)
    return "not measured" if known is None else format(known, form)
