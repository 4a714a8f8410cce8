"""The sections of the page, each from what was gathered: a heading, what it says, the drawing, its provenance."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simtool import wording
from simtool.corpora.catalogue import CATALOGUE
from simtool.mixing.frontier import Frontier
from simtool.mixing.recommend import Recommendation
from simtool.mixing.solver import TOLERANCE
from simtool.page import charts, sentences
from simtool.page.charts import Interval, Line
from simtool.page.examples import DOCUMENTS
from simtool.page.gather import Findings
from simtool.page.markup import Html, el, table
from simtool.page.parts import Section, command, folded, left_out, map_items, source, words_of
from simtool.page.study_section import trained
from simtool.page.sweep_section import swept
from simtool.plots.style import color_of, colors_of
from simtool.prediction.advantage import Advantage, share_text
from simtool.prediction.curve import Curve
from simtool.profiles.features import symbol_of
from simtool.similarity.metrics import METRICS
from simtool.wording import PLACEBO, SMALL_SAMPLE, listed

GENERAL = "#9AA0A6"  # the pretraining corpus in a mixture: grey, since it is what the others are added to
Called = dict[str, str]


def labels(names: Sequence[str]) -> Called:
    """What a corpus is called on the page: a path's last part, where no other is called the same."""
    short = {name: Path(name).name if "/" in name and "+" not in name else name for name in names}
    taken = list(short.values())
    return {name: label if label and taken.count(label) == 1 else name for name, label in short.items()}


def page_color(name: str, called: Called) -> str:
    """The colour of a corpus in all charts of a page; two share one only where there are more than colours."""
    return colors_of(called).get(name) or color_of(name)


def sections(findings: Findings) -> list[Section]:
    """The answer first, then what training gave, the matrix, and how the answer came about; sources last."""
    called = labels(list(dict.fromkeys((*findings.corpora, *findings.facts))))
    measured = [] if findings.study is None else [trained(findings.study)]
    proxy_runs = [] if findings.sweep is None else [swept(findings.sweep)]
    parts = [answer(findings, called), *measured, *proxy_runs, matrix(findings), advantage(findings, called)]
    return [*parts, trade_off(findings, called), corpora(findings, called)]


# --- The answer ---


def answer(findings: Findings, called: Called) -> Section:
    """What to train on, what it gains and costs, how sure that is, and what a reader must know before."""
    title = "Which mixture to train on"
    alerts = [el("li", text) for text in alerts_of(findings, called)]
    warned = [el("ul", alerts, class_="alerts", aria_label="Alerts")] if alerts else []
    if findings.advice is None:
        reason = el("p", f"Left out. {findings.left_out['mixture']}", class_="note")
        return Section("mixture", title, [reason, *warned])
    best = findings.advice.recommendation
    basis = wording.TEXT_ONLY if findings.study is None else "Predicted from text; below is what training gave."
    words = [
        *(sentences.gain(best, t, called) for t in range(len(best.targets))),
        sentences.coding_cost(best, called),
    ]
    shares = [sentences.share(best, i, called) for i in range(len(best.corpora))]
    body = [
        el("p", sentences.recommended(best, called), class_="finding"),
        el("p", basis, class_="basis"),
        el("div", [_share_chart(best, called), _gain_chart(best, called)], class_="charts"),
        el("ul", [el("li", sentence) for sentence in (*words, *best.notes)], class_="words"),
        folded("Every share in words", el("ul", [el("li", sentence) for sentence in shares], class_="words")),
        *warned,
        el("h3", "To train it, once for each target" if len(best.targets) > 1 else "To train it"),
        *(command(best.command(target)) for target in best.targets),
        el("p", wording.training_length(best.constraints.tokens), class_="note"),
        source(
            f"{wording.certified(best.feature, max(best.gap, TOLERANCE), best.resamples)} {best.symbols:,}"
            f" {symbol_of(best.feature)}s of each corpus; seed {findings.seed}."
        ),
    ]
    return Section("mixture", title, body)


def alerts_of(findings: Findings, called: Called) -> list[str]:
    """What a reader must know before the numbers."""
    matrix = findings.matrices[0]
    tokens = {name: facts["tokens"] for name, facts in findings.facts.items()}
    smallest = min(tokens, key=lambda name: tokens[name])
    alerts = []
    if matrix.tokens < SMALL_SAMPLE:
        alerts.append(f"Small sample: {wording.small_sample(matrix.tokens, called[smallest])}")
    if proxies := [called[name] for name, facts in findings.facts.items() if facts["stand_in"]]:
        alerts.append(
            f"Proxy corpora {wording.PROXY}: text of the same kind stands in for {listed(proxies)}; see the sources."
        )
    n = len(matrix.corpora)
    alike = [(i, j) for i in range(n) for j in range(i + 1, n) if matrix.at_ceiling[i, j]]
    for i, j in alike:
        a, b = called.get(matrix.corpora[i], matrix.corpora[i]), called.get(matrix.corpora[j], matrix.corpora[j])
        alerts.append(f"{a} and {b} are not distinguishable: check them for documents in common.")
    for pair in matrix.facts.get("above_ceiling", []):
        names = (called.get(name, name) for name in pair["corpora"])
        alerts.append(wording.above_ceiling(*names, pair["documents"], pair["near_duplicates"]))
    if findings.advantage is not None:
        alerts += unstable(findings.advantage, called)
    return alerts


def unstable(result: Advantage, called: Called) -> list[str]:
    """Targets whose closest mixture is not significantly better than the next."""
    alerts = []
    for j, target in enumerate(result.targets):
        best = list(result.mixtures)[int(result.value[:, j].argmax())]
        others = [name for name in result.mixtures if name != best]
        if any(name not in result.distinguishable_from(best, target) for name in others):
            goal = called.get(target, target)
            alerts.append(f"Ranking unstable for {goal}: the closest mixtures are not distinguishable.")
    return alerts


# --- Similarity ---


def matrix(findings: Findings) -> Section:
    """The box that page.js fills."""
    lead = el(
        "p",
        "Size-free: how alike the texts are, whatever the size of the samples; the diagonal is 1. In the other views a"
        " cell compares one half of a corpus with another half of the other, and the diagonal is a corpus against"
        " itself: the noise ceiling, since no pair can be expected to look more similar than two samples of one text."
        f" {wording.INDISTINGUISHABLE}: not distinguishable from the diagonal.",
    )
    noscript = el(
        "noscript", el("p", "The matrix is drawn by the script inside this file, which your reader does not run.")
    )
    body = [lead, noscript, el("div", id="matrix-view")]
    return Section("matrix", "How similar they are", [*body, *_map(findings)])


def _map(findings: Findings) -> list[Html]:
    """Where the corpora lie by their distances; of three or more, since two lie on a line."""
    distances = findings.distances
    if len(distances.corpora) < 3:
        return []
    called = labels(list(dict.fromkeys((*findings.corpora, *findings.facts))))
    names = [called.get(name, name) for name in distances.corpora]
    places, shown = project(distances.values)
    nearest = _nearest(distances.values, names)
    title = "Map of the corpora"
    drawn = charts.points(
        title, "; ".join(nearest), places.tolist(), names, [page_color(n, called) for n in distances.corpora]
    )
    rows = [[name, *(f"{value:.3f}" for value in row)] for name, row in zip(names, distances.values, strict=True)]
    note = f"Near: similar. Hellinger distances in two dimensions (classical scaling), which show {shown:.0%} of them."
    return [el("div", charts.figure(title, drawn, ["Hellinger distance", *names], rows, note), class_="charts")]


def project(distances: np.ndarray) -> tuple[np.ndarray, float]:
    """Places in a plane whose distances are like these (Torgerson 1952, doi:10.1007/BF02288916).

    Returns
    -------
    float64 (n, 2), and the share of the squared distances that two dimensions hold.
    """
    square = np.square((distances + distances.T) / 2)
    np.fill_diagonal(square, 0)
    center = np.eye(len(square)) - 1 / len(square)
    values, vectors = np.linalg.eigh(-center @ square @ center / 2)
    largest = np.argsort(-values)[:2]
    sizes = np.maximum(values[largest], 0)
    # a sign that does not depend on the machine: the place farthest out is positive
    signs = np.sign(vectors[np.abs(vectors[:, largest]).argmax(axis=0), largest])
    return vectors[:, largest] * signs * np.sqrt(sizes), float(sizes.sum() / np.maximum(values, 0).sum())


def _nearest(distances: np.ndarray, names: Sequence[str]) -> list[str]:
    """Which corpus is nearest to each, in words."""
    others = distances + np.diag(np.full(len(names), np.inf))
    return [f"{name} is nearest to {names[int(row.argmin())]}" for name, row in zip(names, others, strict=True)]


# --- Proximity advantage ---


def advantage(findings: Findings, called: Called) -> Section:
    """How far each mixture brings each target closer, and the curve over its share."""
    title, result = "What brings a target closer", findings.advantage
    if result is None:
        return left_out("advantage", title, findings.left_out["advantage"])
    pretrain = sentences.pretrain_name(result, called)
    lead = el(
        "p",
        f"Proximity advantage: how much closer a target lies to a mixture than to {pretrain}, by {result.metric} on"
        f" {result.feature}; positive: closer. {PLACEBO} Dots are means, bars 95% intervals; each target"
        " has a scale of its own.",
    )
    by_target = el("ul", [el("li", sentences.best_for(result, target, called)) for target in result.targets])
    curves = [
        el("h3", "How much of it"),
        el(
            "p",
            "The same advantage as the share of each corpus grows from nothing to all. The dot is the share at which"
            " the target is closest. More is not free: the trade-off curve shows what it costs.",
        ),
        el("div", [_curve_chart(curve, called) for curve in findings.curves], class_="charts"),
    ]
    notes = dict.fromkeys([*result.notes, *(note for curve in findings.curves for note in curve.notes)])
    of_curves = f" ({findings.curves[0].resamples} for the curves)" if findings.curves else ""
    basis = (
        f"{result.resamples} paired half-splits{of_curves} of {result.tokens:,} tokens of each mixture and target; seed"
        f" {findings.seed}. "
        + "; ".join(f"{called.get(name, name)} = {mixture}" for name, mixture in result.mixtures.items())
        + "."
    )
    charts_of = el("div", [_advantage_chart(result, target, called) for target in result.targets], class_="charts")
    warnings = [el("p", note, class_="warning") for note in notes]
    return Section("advantage", title, [lead, by_target, *warnings, charts_of, *curves, source(basis)])


def _advantage_chart(result: Advantage, target: str, called: Called) -> Html:
    j, names = result.targets.index(target), list(result.mixtures)
    order = sorted(range(len(names)), key=lambda i: -result.value[i, j])
    words = [
        " ".join(say(result, names[i], target, called) for say in (sentences.advantage, sentences.standing))
        for i in order
    ]
    rows = [
        Interval(
            called.get(names[i], names[i]),
            *(float(array[i, j]) for array in (result.value, result.low, result.high)),
            mixture_color(result, names[i], called),
        )
        for i in order
    ]
    numbers = [
        [
            called.get(names[i], names[i]),
            *(f"{array[i, j]:+.4f}" for array in (result.value, result.low, result.high, result.placebo)),
            share_text(result.share_positive[i, j], result.resamples),
            share_text(result.share_best[i, j], result.resamples),
        ]
        for i in order
    ]
    goal = called.get(target, target)
    drawn = charts.intervals(f"Advantage for {goal}", words_of(rows), rows, _unit(result))
    header = ["mixture", "advantage", "low", "high", "placebo", "P(closer)", "P(best)"]
    return charts.figure(goal, drawn, header, numbers, folded("In words", el("ul", map_items(words), class_="words")))


def _unit(result: Advantage | Curve) -> str:
    unit = wording.in_symbols(METRICS[result.metric].unit, symbol_of(result.feature))
    return unit or f"{result.metric} on {result.feature}"


def mixture_color(result: Advantage, name: str, called: Called) -> str:
    """The colour of the largest corpus that a mixture adds to the pretraining corpus."""
    added = {corpus: w for corpus, w in result.mixtures[name].weights.items() if corpus not in result.pretrain.weights}
    return page_color(max(added, key=added.__getitem__), called) if added else GENERAL


def _curve_chart(curve: Curve, called: Called) -> Html:
    special = sentences.special_name(curve, called)
    series = [
        Line(
            called.get(target, target),
            page_color(target, called),
            curve.shares.tolist(),
            *(array[:, j].tolist() for array in (curve.value, curve.low, curve.high)),
            float(curve.peak[j]),
        )
        for j, target in enumerate(curve.targets)
    ]
    words = [sentences.peak(curve, target, called) for target in curve.targets]
    numbers = [
        [f"{share:.2f}", *(f"{v:+.3f} [{a:+.3f}, {b:+.3f}]" for v, a, b in zip(*cells, strict=True))]
        for share, *cells in zip(curve.shares, curve.value, curve.low, curve.high, strict=True)
    ]
    summary = "; ".join(f"{line.label} is closest at {line.at:.0%}" for line in series)
    drawn = charts.lines(
        f"Advantage against the share of {special}", summary, series, f"share of {special}", _unit(curve)
    )
    header = ["share", *(line.label for line in series)]
    return charts.figure(special, drawn, header, numbers, el("ul", map_items(words), class_="words"))


# --- A mixture ---


def trade_off(findings: Findings, called: Called) -> Section:
    """The mixtures that no other beats in both gain and cost."""
    title = "Trade-off curve"
    if findings.advice is None:
        return left_out("trade-off", title, findings.left_out["mixture"])
    best, frontier = findings.advice.recommendation, findings.advice.frontier
    lead = (
        "No mixture gains more for as small a cost on general text than one of these. At the right only the targets"
        " count."
    )
    drawn = el("div", _frontier_charts(frontier, best, called), class_="charts")
    basis = f"Cross-entropy on {best.feature}; {best.resamples} half-splits; seed {findings.seed}."
    return Section("trade-off", title, [el("p", lead), drawn, source(basis)])


def _colors(best: Recommendation | Frontier, called: Called) -> dict[str, str]:
    return {name: GENERAL if i == 0 else page_color(name, called) for i, name in enumerate(best.corpora)}


def _share_chart(best: Recommendation, called: Called) -> Html:
    colors = _colors(best, called)
    rows = [
        Interval(called.get(name, name), 100 * float(w), 100 * float(low), 100 * float(high), colors[name])
        for name, w, low, high in zip(best.corpora, best.weights, best.low, best.high, strict=True)
    ]
    numbers = [[row.label, f"{row.value:.1f}", f"{row.low:.1f}", f"{row.high:.1f}"] for row in rows]
    drawn = charts.intervals("Recommended shares", words_of(rows), rows, "% of tokens", 1, signed=False)
    return charts.figure("Recommended shares", drawn, ["corpus", "% of tokens", "low", "high"], numbers)


def _gain_chart(best: Recommendation, called: Called) -> Html:
    rows = [
        Interval(called.get(name, name), float(value), float(low), float(high), page_color(name, called))
        for name, value, low, high in zip(best.targets, best.gain, best.gain_low, best.gain_high, strict=True)
    ]
    pretrain = called.get(best.corpora[0], best.corpora[0])
    cost = (-best.forgetting, -best.forgetting_high, -best.forgetting_low)
    rows.append(Interval(f"{pretrain} (cost)", *map(float, cost), GENERAL))
    numbers = [[row.label, f"{row.value:+.3f}", f"{row.low:+.3f}", f"{row.high:+.3f}"] for row in rows]
    title = "What it gains, and its coding cost"
    drawn = charts.intervals(title, words_of(rows), rows, f"bits per {symbol_of(best.feature)}")
    return charts.figure(title, drawn, ["", "bits", "low", "high"], numbers)


def _frontier_charts(frontier: Frontier, best: Recommendation, called: Called) -> list[Html]:
    cost = frontier.forgetting.tolist()
    series = [
        Line(
            called.get(name, name),
            page_color(name, called),
            cost,
            *(array[:, t].tolist() for array in (frontier.gain, frontier.gain_low, frontier.gain_high)),
        )
        for t, name in enumerate(frontier.targets)
    ]
    colors = _colors(frontier, called)
    layers = [
        Line(called.get(name, name), colors[name], cost, frontier.weights[:, k].tolist())
        for k, name in enumerate(frontier.corpora)
        if frontier.weights[:, k].max() >= 0.005  # a thinner layer cannot be seen
    ]
    pretrain = called.get(frontier.corpora[0], frontier.corpora[0])
    unit = f"bits per {symbol_of(best.feature)}"
    x_label = f"coding cost on {pretrain}, {unit}"
    gains = "; ".join(f"{line.label} gains up to {max(line.y):.2f} bits" for line in series)
    summary = f"From no cost to {cost[-1]:.2f} bits; {gains}"
    mark = (best.forgetting, "recommended")
    above = charts.lines("Gain against coding cost", summary, series, x_label, f"{unit} gained", mark)
    shares = "; ".join(f"{layer.label} {layer.y[0]:.0%} to {layer.y[-1]:.0%}" for layer in layers)
    below = charts.stack("The mixtures that give it", shares, cost, layers, x_label)
    return [
        charts.figure("Gain against coding cost", above, *_over(pretrain, cost, series)),
        charts.figure("The mixtures that give it", below, *_over(pretrain, cost, layers)),
    ]


def _over(pretrain: str, cost: Sequence[float], lines: Sequence[Line]) -> tuple[list[str], list[list[object]]]:
    """The table of lines over the cost: its header and its rows."""
    rows = [[f"{x:.3f}", *(f"{line.y[i]:.3f}" for line in lines)] for i, x in enumerate(cost)]
    return [f"cost on {pretrain}", *(line.label for line in lines)], rows


# --- Sources ---


def corpora(findings: Findings, called: Called) -> Section:
    """Where all text came from, with what it is."""
    rows = []
    for name, facts in findings.facts.items():
        about = CATALOGUE[name].about if name in CATALOGUE else ""
        rows.append(
            [
                called[name] + (f" {wording.PROXY}" if facts["stand_in"] else ""),
                about,
                f"{facts['how']}, {facts['source']}",
                f"{facts['documents']:,}",
                f"{facts['tokens']:,}",
                f"{facts['bytes']:,}",
            ]
        )
    lead = el(
        "p",
        f"{wording.plural(len(findings.facts), 'corpus', 'corpora')} under the tokenizer {findings.tokenizer}. Every"
        f" similarity depends on the size of the samples, so all were thinned to {findings.matrices[0].tokens:,} tokens"
        " before they were compared.",
    )
    header = ["corpus", "what it is", "where it came from", "documents", "tokens", "bytes"]
    sizes = table(header, rows, left=3, caption="Corpora")
    proxies = [(called[name], facts["stand_in"]) for name, facts in findings.facts.items() if facts["stand_in"]]
    notes = [
        el("h3", f"{wording.PROXY} Proxy corpora"),
        el("p", "Text of the same kind, used because the named set was not at hand:"),
        el("ul", [el("li", el("b", name), f": {text}") for name, text in proxies]),
    ]
    skipped = [
        el("p", f"{called[name]}: {facts['skipped']['count']:,} bad rows were left out.", class_="note")
        for name, facts in findings.facts.items()
        if (facts.get("skipped") or {}).get("count")
    ]
    return Section(
        "corpora", "Sources", [lead, sizes, *(notes if proxies else []), *skipped, *_excerpts(findings, called)]
    )


def _excerpts(findings: Findings, called: Called) -> list[Html]:
    """Whose text stands on the page, which whoever passes it on must know; and whose could not."""
    names = {k: called[name] for k, name in enumerate(findings.corpora)}
    shown, missing = ([names[k] for k, texts in findings.examples.items() if bool(texts) is so] for so in (True, False))
    lines = []
    if shown:
        lines.append(
            f"This page holds excerpts of {listed(shown)}: of each, the documents among its first {DOCUMENTS} that have"
            " an n-gram most often. A click on an n-gram shows them."
        )
    if missing:
        lines.append(f"No text of {listed(missing)} is at hand, so no document is shown behind its n-grams.")
    return [el("p", line, class_="note") for line in lines]
