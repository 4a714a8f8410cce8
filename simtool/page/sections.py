"""The sections of the page, each from what was gathered: a heading, what it says, the drawing, its provenance."""

from collections.abc import Sequence
from pathlib import Path

from simtool.mixing.frontier import Frontier
from simtool.mixing.recommend import Recommendation
from simtool.mixing.solver import TOLERANCE
from simtool.page import charts, sentences
from simtool.page.charts import Interval, Line
from simtool.page.gather import Findings
from simtool.page.markup import Html, el, table
from simtool.page.parts import Section, left_out, source, words_of
from simtool.page.study_section import trained
from simtool.plots.style import color_of
from simtool.prediction.advantage import Advantage, share_text
from simtool.prediction.curve import Curve
from simtool.similarity.metrics import METRICS

KEPT = "#9AA0A6"  # of the pretraining corpus in a mixture: grey, since it is what the others are added to


def labels(names: Sequence[str]) -> dict[str, str]:
    """What a corpus is called on the page: a path's last part, where no other is called the same."""
    short = {name: Path(name).name if "/" in name and "+" not in name else name for name in names}
    taken = list(short.values())
    return {name: label if label and taken.count(label) == 1 else name for name, label in short.items()}


def sections(found: Findings) -> list[Section]:
    called = labels(list(dict.fromkeys((*found.corpora, *found.facts))))
    made = [corpora(found, called), matrix(found)]
    made += [advantage(found, called), mixture(found, called)]
    return made if found.study is None else [*made, trained(found.study)]


# --- What was compared ---


def corpora(found: Findings, called: dict[str, str]) -> Section:
    rows = []
    for name, told in found.facts.items():
        mark = " †" if told["stand_in"] else ""
        rows.append(
            [
                called[name] + mark,
                f"{told['how']}, {told['source']}",
                f"{told['documents']:,}",
                f"{told['tokens']:,}",
                f"{told['bytes']:,}",
            ]
        )
    lead = el(
        "p",
        f"{len(found.facts)} corpora under the tokenizer {found.tokenizer}. Every similarity depends on the size of"
        f" the samples, so all were thinned to {found.matrices[0].tokens:,} tokens before they were compared.",
    )
    sizes = table(["corpus", "where it came from", "documents", "tokens", "bytes"], rows, left=2, caption="Corpora")
    stand_ins = [(called[name], told["stand_in"]) for name, told in found.facts.items() if told["stand_in"]]
    notes = [
        el("h3", "† Stand-ins"),
        el("p", "Text of the same kind, used because the named set was not at hand:"),
        el("ul", [el("li", el("b", name), f": {what}") for name, what in stand_ins]),
    ]
    skipped = [
        el("p", f"{called[name]}: {told['skipped']['count']:,} bad rows were left out.", class_="note")
        for name, told in found.facts.items()
        if (told.get("skipped") or {}).get("count")
    ]
    return Section("corpora", "What was compared", [lead, sizes, *(notes if stand_ins else []), *skipped])


def matrix(found: Findings) -> Section:
    """The box that page.js fills."""
    lead = el(
        "p",
        "Each cell compares one half of a corpus with another half of the other. The diagonal is a corpus against"
        " itself: the ceiling, since no pair can be expected to look more alike than two samples of one text."
        " A cell marked ≈ cannot be told from it.",
    )
    noscript = el(
        "noscript", el("p", "The matrix is drawn by the script inside this file, which your reader does not run.")
    )
    return Section("matrix", "How alike they are", [lead, noscript, el("div", id="matrix-view")])


# --- Proximity advantage ---


def advantage(found: Findings, called: dict[str, str]) -> Section:
    title, result = "What brings a target closer", found.advantage
    if result is None:
        return left_out("advantage", title, found.left_out["advantage"])
    before = sentences.pretrain_name(result, called)
    sense = "below the cost under" if METRICS[result.metric].alike == "low" else "above the similarity to"
    lead = el(
        "p",
        f"Proximity advantage: how far a target lies {sense} {before}, once a mixture is trained on instead."
        " Above 0 the mixture is closer to the target. Dots are means, bars 95% intervals; every target has a scale of"
        " its own.",
    )
    parts = [_advantage_chart(result, target, called) for target in result.targets]
    weights = [
        el("h3", "How much of it"),
        el(
            "p",
            "The same advantage as the share of each corpus grows from nothing to all. The dot is the share at which"
            " the target is closest. More is not free: the mixture section shows what is forgotten.",
        ),
        el("div", [_curve_chart(curve, called) for curve in found.curves], class_="charts"),
    ]
    notes = [el("p", note, class_="warning") for note in dict.fromkeys(_notes(result, found.curves))]
    of_curves = f" ({found.curves[0].resamples} for the curves)" if found.curves else ""
    told = (
        f"{result.metric} on {result.feature}; {result.resamples} paired half-splits{of_curves} of"
        f" {result.tokens:,} tokens a side; seed {found.seed}. "
        + "; ".join(f"{called.get(name, name)} = {mixed}" for name, mixed in result.mixtures.items())
        + "."
    )
    charts_of = el("div", parts, class_="charts")
    return Section("advantage", title, [lead, *notes, charts_of, *weights, source(told)])


def _notes(result: Advantage, curves: Sequence[Curve]) -> list[str]:
    return [*result.notes, *(note for curve in curves for note in curve.notes)]


def _advantage_chart(result: Advantage, target: str, called: dict[str, str]) -> Html:
    j, names = result.targets.index(target), list(result.mixtures)
    order = sorted(range(len(names)), key=lambda i: -result.value[i, j])
    words = [
        el(
            "li",
            sentences.advantage(result, names[i], target, called),
            " ",
            sentences.standing(result, names[i], target, called),
        )
        for i in order
    ]
    rows = [
        Interval(
            called.get(names[i], names[i]),
            float(result.value[i, j]),
            float(result.low[i, j]),
            float(result.high[i, j]),
            mixture_color(result, names[i]),
        )
        for i in order
    ]
    numbers = [
        [
            called.get(names[i], names[i]),
            f"{result.value[i, j]:+.4f}",
            f"{result.low[i, j]:+.4f}",
            f"{result.high[i, j]:+.4f}",
            share_text(result.share_positive[i, j], result.resamples),
            share_text(result.share_best[i, j], result.resamples),
        ]
        for i in order
    ]
    goal = called.get(target, target)
    unit = "bits a symbol" if result.metric == "cross_entropy" else f"{result.metric} on {result.feature}"
    drawn = charts.intervals(f"Advantage for {goal}", words_of(rows), rows, unit)
    header = ["mixture", "advantage", "low", "high", "P(closer)", "P(best)"]
    return charts.figure(goal, drawn, header, numbers, el("ul", words, class_="words"))


def mixture_color(result: Advantage, name: str) -> str:
    """The colour of the largest corpus that a mixture adds to the pretraining corpus."""
    added = {corpus: w for corpus, w in result.mixtures[name].weights.items() if corpus not in result.pretrain.weights}
    return color_of(max(added, key=added.__getitem__)) if added else KEPT


def _curve_chart(curve: Curve, called: dict[str, str]) -> Html:
    special = sentences.special_name(curve, called)
    series = [
        Line(
            called.get(target, target),
            color_of(target),
            curve.shares.tolist(),
            curve.value[:, j].tolist(),
            curve.low[:, j].tolist(),
            curve.high[:, j].tolist(),
            float(curve.peak[j]),
        )
        for j, target in enumerate(curve.targets)
    ]
    words = [el("li", sentences.peak(curve, target, called)) for target in curve.targets]
    numbers = [
        [f"{share:.2f}", *(f"{v:+.3f} [{a:+.3f}, {b:+.3f}]" for v, a, b in zip(*cells, strict=True))]
        for share, *cells in zip(curve.shares, curve.value, curve.low, curve.high, strict=True)
    ]
    told = "; ".join(f"{line.label} is closest at {line.at:.0%}" for line in series)
    drawn = charts.lines(
        f"Advantage against the share of {special}", told, series, f"share of {special}", "bits a symbol"
    )
    header = ["share", *(line.label for line in series)]
    return charts.figure(special, drawn, header, numbers, el("ul", words, class_="words"))


# --- A mixture ---


def mixture(found: Findings, called: dict[str, str]) -> Section:
    title = "Which mixture to train on"
    if found.advice is None:
        return left_out("mixture", title, found.left_out["mixture"])
    best, frontier = found.advice.recommendation, found.advice.frontier
    words = [
        *(sentences.share(best, i, called) for i in range(len(best.corpora))),
        *(sentences.gain(best, t, called) for t in range(len(best.targets))),
        sentences.forgetting(best, called),
        *best.notes,
    ]
    told = (
        f"Cross-entropy on {best.feature}; certified: no mixture within the constraints is better by more than"
        f" {max(best.gap, TOLERANCE):.0e} bits; {best.symbols:,} symbols a corpus; intervals over {best.resamples}"
        f" half-splits; seed {found.seed}."
    )
    command = best.command(best.targets[0])
    body = [
        el("p", sentences.recommended(best, called), class_="finding"),
        el(
            "div",
            [_share_chart(best, called), _gain_chart(best, called)],
            class_="charts",
        ),
        el("h3", "In words"),
        el("ul", [el("li", sentence) for sentence in words], class_="words"),
        el("h3", "What else could be had"),
        el(
            "p",
            "No mixture gains more for as little forgetting than one of these. At the right only the targets count.",
        ),
        el("div", _frontier_charts(frontier, best, called), class_="charts"),
        el("h3", "To train it"),
        el("pre", el("code", command), tabindex=0),
        source(told),
    ]
    return Section("mixture", title, body)


def _colors(best: Recommendation | Frontier) -> dict[str, str]:
    return {name: KEPT if i == 0 else color_of(name) for i, name in enumerate(best.corpora)}


def _share_chart(best: Recommendation, called: dict[str, str]) -> Html:
    colors = _colors(best)
    rows = [
        Interval(called.get(name, name), 100 * float(w), 100 * float(low), 100 * float(high), colors[name])
        for name, w, low, high in zip(best.corpora, best.weights, best.low, best.high, strict=True)
    ]
    numbers = [[row.label, f"{row.value:.1f}", f"{row.low:.1f}", f"{row.high:.1f}"] for row in rows]
    drawn = charts.intervals("Recommended shares", words_of(rows), rows, "% of tokens", 1, signed=False)
    return charts.figure("Recommended shares", drawn, ["corpus", "% of tokens", "low", "high"], numbers)


def _gain_chart(best: Recommendation, called: dict[str, str]) -> Html:
    rows = [
        Interval(called.get(name, name), float(value), float(low), float(high), color_of(name))
        for name, value, low, high in zip(best.targets, best.gain, best.gain_low, best.gain_high, strict=True)
    ]
    before = called.get(best.corpora[0], best.corpora[0])
    forgotten = (-best.forgetting, -best.forgetting_high, -best.forgetting_low)
    rows.append(Interval(f"{before} forgotten", *map(float, forgotten), KEPT))
    numbers = [[row.label, f"{row.value:+.3f}", f"{row.low:+.3f}", f"{row.high:+.3f}"] for row in rows]
    drawn = charts.intervals("Gains and the price", words_of(rows), rows, "bits a symbol gained")
    return charts.figure("What it gains, and the price", drawn, ["", "bits", "low", "high"], numbers)


def _frontier_charts(frontier: Frontier, best: Recommendation, called: dict[str, str]) -> list[Html]:
    forgetting = frontier.forgetting.tolist()
    series = [
        Line(
            called.get(name, name),
            color_of(name),
            forgetting,
            frontier.gain[:, t].tolist(),
            frontier.gain_low[:, t].tolist(),
            frontier.gain_high[:, t].tolist(),
        )
        for t, name in enumerate(frontier.targets)
    ]
    colors = _colors(frontier)
    layers = [
        Line(called.get(name, name), colors[name], forgetting, frontier.weights[:, k].tolist())
        for k, name in enumerate(frontier.corpora)
        if frontier.weights[:, k].max() >= 0.005  # a thinner layer cannot be seen
    ]
    before = called.get(frontier.corpora[0], frontier.corpora[0])
    x_label = f"forgetting of {before}, bits a symbol"
    told = f"From no forgetting to {forgetting[-1]:.2f} bits; " + "; ".join(
        f"{line.label} gains up to {max(line.y):.2f} bits" for line in series
    )
    above = charts.lines(
        "Gain against forgetting", told, series, x_label, "bits a symbol gained", (best.forgetting, "recommended")
    )
    used = "; ".join(f"{layer.label} {layer.y[0]:.0%} to {layer.y[-1]:.0%}" for layer in layers)
    below = charts.stack("The mixtures that give it", used, forgetting, layers, x_label)
    return [
        charts.figure("Gain against forgetting", above, *_over(before, forgetting, series)),
        charts.figure("The mixtures that give it", below, *_over(before, forgetting, layers)),
    ]


def _over(before: str, forgetting: Sequence[float], lines: Sequence[Line]) -> tuple[list[str], list[list[object]]]:
    """The table of lines over what is forgotten: its header and its rows."""
    rows = [[f"{x:.3f}", *(f"{line.y[i]:.3f}" for line in lines)] for i, x in enumerate(forgetting)]
    return [f"{before} forgotten", *(line.label for line in lines)], rows
