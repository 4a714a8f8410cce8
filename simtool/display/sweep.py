"""A sweep of proxy runs, as text: how text ranks its runs, what proxy runs add, the mixture that they recommend."""

import math

import polars as pl

from simtool.display.console import print_data, print_notes, print_rows
from simtool.display.provenance import provenance_lines
from simtool.prediction.proxy_runs import AVERAGE
from simtool.prediction.sweep_report import SweepReport
from simtool.prediction.text_priors import LOW_WEIGHT
from simtool.wording import extrapolates, fitted_mixture, plural

NO_SHARE = 0.0005  # a smaller share is not shown


def print_sweep(result: SweepReport, form: str, provenance: bool = False) -> None:
    if form in ("csv", "json"):
        print_data(result.curve.to_polars(), result.facts, form)
        return
    _print_ranking(result, form)
    _print_curve(result, form)
    _print_mixture(result, form)
    print_notes(provenance_lines(result.facts, provenance), form)


def _print_ranking(result: SweepReport, form: str) -> None:
    means = result.ranking.to_polars().filter(pl.col("target") == "mean")
    rows = [
        [
            row["predictor"],
            _interval(row["spearman"], row["low"], row["high"]),
            _interval(row["spearman_low_weight"], row["low_weight_low"], row["low_weight_high"]),
        ]
        for row in means.iter_rows(named=True)
    ]
    print_rows(["needs no run", "Spearman [95%]", f"own weight below {LOW_WEIGHT:.1%}"], rows, form)
    print_notes(
        [
            f"Rank correlation with the losses of {len(result.sweep.runs)} runs, mean over"
            f" {plural(len(result.sweep.targets), 'target')}; 95% intervals over documents and runs."
            " Text of sources and targets comes from opposite halves of the documents.",
            _rounding(result.sweep.rounding),
        ],
        form,
    )


def _print_curve(result: SweepReport, form: str) -> None:
    table = result.curve.to_polars()
    mean, average = (table.filter(pl.col("target") == name) for name in ("mean", AVERAGE))
    joined = mean.join(average, on=("predictor", "runs"), how="left", suffix="_average", maintain_order="left")
    rows = [
        [
            row["predictor"],
            str(row["runs"]),
            _number(row["spearman"]),
            *(_regret(row[f"regret{which}"], row[f"regret_share{which}"]) for which in ("", "_average")),
        ]
        for row in joined.iter_rows(named=True)
    ]
    print_rows(["predictor", "runs", "Spearman", "regret", "for all targets"], rows, form, keys=2)
    print_notes(
        [
            "runs: proxy runs that it was fitted on. regret: nats that the run predicted best loses against the best,"
            " and in percent of what a run picked at random loses; mean over targets, and for one mixture chosen by"
            " the mean loss of all targets.",
            f"+ text: the model is given what {result.prior} predicts. Means over {table['draws'].max()} draws.",
        ],
        form,
    )


def _print_mixture(result: SweepReport, form: str) -> None:
    best = result.mixture
    rows = [
        [domain, f"{share:.3f}", f"{of_run:.3f}"]
        for domain, share, of_run in best.to_polars().sort("share", descending=True).iter_rows()
        if max(share, of_run) >= NO_SHARE
    ]
    print_rows(["domain", "recommended", f"best run ({best.best_run})"], rows, form)
    print_notes(
        [
            fitted_mixture(best.model, best.predicted, best.error, best.best_loss),
            *filter(None, [extrapolates(best.best_loss, best.predicted, best.error)]),
        ],
        form,
    )


def _rounding(step: float) -> str:
    if not step:
        return "Weights are as exact as they are given; a weight of 0 counts as 0.0005 beside a logarithm."
    return f"Weights are rounded to {step:g}: a weight of 0 counts as {step / 2:g} beside a logarithm."


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    return "–" if value is None else f"{value:+.2f} [{_number(low)}, {_number(high)}]"


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:+.2f}"


def _regret(nats: float | None, share: float | None) -> str:
    return "–" if nats is None or share is None else f"{nats:.3f} ({share:.0%})"
