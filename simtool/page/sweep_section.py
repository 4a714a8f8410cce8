"""The section on a sweep of proxy runs, from the tables that `simtool sweep --save` wrote."""

from collections.abc import Mapping
from math import log2
from typing import TYPE_CHECKING, Any

from simtool import wording
from simtool.page import charts
from simtool.page.charts import Interval, Line
from simtool.page.markup import Html, el
from simtool.page.parts import Section, source, words_of
from simtool.page.sweep import SweepTables
from simtool.plots.style import color_of
from simtool.wording import number, plural

if TYPE_CHECKING:
    import polars as pl

MEAN, AVERAGE = "mean", "average"  # targets of the tables: the mean over targets, and the mean loss of all
SHOWN_SHARE = 0.005  # a domain below it in both mixtures is in the table alone
TEXT_ONLY, PROXY_RUNS = "#0072B2", "#9AA0A6"  # predictors that read text; what reads the weights alone
BASELINES = ("own-domain weight", "largest source")


def swept(sweep: SweepTables) -> Section:
    """How text ranks the runs, what proxy runs add to that, and the mixture that they recommend."""
    ranking = sweep.tables["sweep_ranking"]
    targets = [name for name in ranking["target"].unique(maintain_order=True) if name != MEAN]
    lead = (
        f"{sweep.name}: runs that differ in their mixture alone, and their losses on {plural(len(targets), 'target')}."
        " Text ranks them before any is trained; models fitted on some of the runs rank those held out."
    )
    drawings = [_ranking(ranking), _curve(sweep.tables["proxy_runs"]), _mixture(sweep.tables["sweep_mixture"])]
    facts = sweep.facts["sweep_ranking"]
    basis = f"{facts.get('mixtures', 'mixtures')} and {facts.get('losses', 'losses')}; seed {facts.get('seed', '?')}."
    recommended = [el("p", text) for text in _recommended(sweep.facts["sweep_mixture"])]
    body = [el("p", lead), el("div", drawings, class_="charts"), *recommended, source(basis)]
    return Section("sweep", "What proxy runs say", body)


def _ranking(table: "pl.DataFrame") -> Html:
    """Spearman of what needs no run, mean over targets; the table has the targets one by one."""
    bars = [
        Interval(
            row["predictor"],
            row["spearman"],
            row["low"],
            row["high"],
            PROXY_RUNS if row["predictor"] in BASELINES else TEXT_ONLY,
        )
        for row in table.filter(target=MEAN).sort("spearman", descending=True, nulls_last=True).iter_rows(named=True)
        if number(row["spearman"]) is not None
    ]
    columns = ("spearman", "low", "high", "spearman_low_weight")
    rows = [
        [row["predictor"], row["target"], row["n"], *(_cell(row[name], "+.2f") for name in columns)]
        for row in table.iter_rows(named=True)
    ]
    title = "What needs no run"
    drawn = charts.intervals(title, words_of(bars), bars, "Spearman with the losses, mean over targets")
    header = ["predictor", "target", "runs", "Spearman", "low", "high", "where its own domain is below 0.5%"]
    return charts.figure(title, drawn, header, rows, "95% over documents and runs. Grey: the weights alone.")


def _curve(table: "pl.DataFrame") -> Html:
    """Spearman against the proxy runs that models were fitted on, with text and without."""
    means = table.filter(target=MEAN)
    fitted = means.filter(means["runs"] > 0)
    names = fitted["predictor"].unique(maintain_order=True).to_list()
    models = list(dict.fromkeys(name.removesuffix(" + text") for name in names))
    series = []
    for name in names:
        of_name = fitted.filter(predictor=name).sort("runs")
        shade = charts.SHADES[(2 * models.index(name.removesuffix(" + text")) + name.endswith(" + text")) % 6]
        series.append(Line(name, shade, [log2(n) for n in of_name["runs"]], of_name["spearman"].to_list()))
    rows = [
        [row["predictor"], row["runs"], row["target"], _cell(row["spearman"], "+.2f"), _cell(row["regret"], ".3f")]
        for row in table.iter_rows(named=True)
        if row["target"] in (MEAN, AVERAGE)
    ]
    title = "What proxy runs add"
    ticks = {log2(n): str(n) for n in fitted["runs"].unique().sort()}
    summary = "; ".join(f"{line.label} {line.y[0]:+.2f} to {line.y[-1]:+.2f}" for line in series)
    axes = ("proxy runs", "Spearman, mean over targets")
    drawn = charts.lines(title, summary, series, *axes, x_ticks=ticks) if series else Html("")
    note = "+ text: the model is given what text predicts. Means over draws of the runs."
    return charts.figure(title, drawn, ["predictor", "runs", "target", "Spearman", "regret, nats"], rows, note)


def _mixture(table: "pl.DataFrame") -> Html:
    """The recommended shares; the table has those of the best run beside them."""
    ordered = table.sort("share", descending=True)
    bars = [
        Interval(domain, 100 * share, None, None, color_of(domain))
        for domain, share, of_best in ordered.iter_rows()
        if max(share, of_best) >= SHOWN_SHARE
    ]
    rows = [[domain, *(f"{100 * value:.1f}" for value in values)] for domain, *values in ordered.iter_rows()]
    title = "The mixture that they recommend"
    drawn = charts.intervals(title, words_of(bars), bars, "% of tokens", 1, signed=False)
    return charts.figure(title, drawn, ["domain", "recommended, %", "best run, %"], rows)


def _recommended(facts: Mapping[str, Any]) -> list[str]:
    """By which model, how large its error is, and whether it can be believed; nothing where the table has no facts."""
    if "model" not in facts:
        return []
    doubt = wording.extrapolates(facts["best_loss"], facts["predicted"], facts["error"])
    basis = wording.fitted_mixture(facts["model"], facts["predicted"], facts["error"], facts["best_loss"])
    return [basis, *([doubt] if doubt else [])]


def _cell(value: object, form: str) -> str:
    known = number(value)
    return "–" if known is None else format(known, form)
