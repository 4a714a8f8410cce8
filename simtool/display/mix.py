"""Which data to mix in, as text: advantages, recommended mixtures, predictions and how they fared."""

import math

from simtool.display.console import console, print_data, print_notes, print_rows
from simtool.display.provenance import sources
from simtool.mixing.advice import Advice
from simtool.mixing.solver import TOLERANCE
from simtool.prediction.advantage import Advantage, share_text
from simtool.prediction.curve import Curve
from simtool.prediction.predict import Prediction
from simtool.prediction.verify import Verification
from simtool.similarity.attribution import Explanation
from simtool.similarity.metrics import METRICS
from simtool.wording import readable


def print_advantage(result: Advantage, form: str) -> None:
    table = result.to_polars()
    if form in ("csv", "json"):
        print_data(table, result.facts, form)
        return
    rows = []
    for cell in table.iter_rows(named=True):
        apart, others = cell["distinguishable_from"], len(result.mixtures) - 1
        n_apart = len(apart.split(", ")) if apart else 0
        rows.append(
            [
                cell["target"],
                cell["mixture"],
                f"{cell['proximity']:.4f}",
                f"{cell['pretrain_proximity']:.4f}",
                f"{cell['advantage']:+.4f} [{cell['low']:+.4f}, {cell['high']:+.4f}]",
                share_text(cell["share_positive"], result.resamples),
                str(cell["rank"]),
                share_text(cell["share_best"], result.resamples),
                "all" if n_apart == others else apart or "none",
            ]
        )
    header = [
        "target",
        "mixture",
        "prox(M, T)",
        "prox(P, T)",
        "advantage [95%]",
        "P(PA>0)",
        "rank",
        "P(best)",
        "told from",
    ]
    print_rows(header, rows, form)
    metric = METRICS[result.metric]
    sense = "" if metric.alike == "high" else f" {metric.name} falls as text gets alike, so the sign is turned."
    print_notes(
        form,
        [
            f"Proximity advantage over {result.pretrain} by {result.metric} on {result.feature}; above 0: closer."
            f"{sense}",
            f"Means and 95% intervals over {result.resamples} paired half-splits of {result.tokens:,} tokens a side."
            " told from: mixtures that it can be told from.",
            *(f"{name} = {mixture}" for name, mixture in result.mixtures.items()),
            *result.notes,
            *sources(result.facts),
        ],
    )


def print_curve(result: Curve, form: str) -> None:
    table = result.to_polars()
    if form in ("csv", "json"):
        print_data(table, result.facts, form)
        return
    header = ["share", *result.targets]
    rows = [
        [f"{share:g}", *(f"{v:+.4f} [{a:+.4f}, {b:+.4f}]" for v, a, b in zip(*values, strict=True))]
        for share, *values in zip(result.shares, result.value, result.low, result.high, strict=True)
    ]
    print_rows(header, rows, form)
    peaks = [
        f"{target}: largest at a share of {peak:g} (95% of half-splits: {low:g} to {high:g})."
        for target, peak, low, high in zip(result.targets, result.peak, result.peak_low, result.peak_high, strict=True)
    ]
    told = f"Advantage of {result.special} over {result.pretrain} by {result.metric} on {result.feature}."
    print_notes(form, [told, *peaks, *result.notes, *sources(result.facts)])


def print_advice(advice: Advice, form: str) -> None:
    best = advice.recommendation
    if form in ("csv", "json"):
        print_data(best.to_polars(), advice.facts, form)
        return
    rows = []
    for i, corpus in enumerate(best.corpora):
        known = math.isfinite(best.epochs[i])
        rows.append(
            [
                corpus,
                f"{best.weights[i]:.3f}",
                f"{best.low[i]:.3f} to {best.high[i]:.3f}",
                "yes" if best.above_zero[i] else "no",
                f"{best.epochs[i]:.2f}" if known else "",
                f"{best.effective[i]:,.0f}" if known else "",
            ]
        )
    print_rows(["corpus", "share", "95% interval", "told from 0", "epochs", "worth new tokens"], rows, form)
    lines = [
        f"{target}: {gain:.4f} bits a symbol less than under {best.corpora[0]} alone [{low:.4f}, {high:.4f}],"
        f" of {most:.4f} that the target's own text would gain."
        for target, gain, low, high, most in zip(
            best.targets, best.gain, best.gain_low, best.gain_high, best.max_gain, strict=True
        )
    ]
    lines.append(
        f"Predicted forgetting: text like {best.corpora[0]} costs {best.forgetting:.4f} bits a symbol more"
        f" [{best.forgetting_low:.4f}, {best.forgetting_high:.4f}]."
    )
    lines.append(
        f"By cross-entropy on {best.feature}. Certified: no mixture within the constraints is better by more than"
        f" {max(best.gap, TOLERANCE):.0e} bits. Intervals over {best.resamples} half-splits."
    )
    lines += [f"Binding: {limit}" for limit in best.binding]
    lines += [f"Shares of {a} and {b} cannot be told apart." for a, b in best.indistinguishable]
    lines += [*best.notes, *sources(advice.facts)]
    lines += [f"To train it: {best.command(target)}" for target in best.targets]
    if best.constraints.tokens is None:
        lines.append("Add --pretrain-tokens and --mid-tokens: how long to pretrain, and then to train on the mixture.")
    print_notes(form, lines)


def print_prediction(result: Prediction) -> None:
    rows = [
        [
            cell["target"],
            str(cell["rank"]),
            cell["mixture"],
            f"{cell['advantage']:+.4f} [{_signed(cell['low'])}, {_signed(cell['high'])}]",
            share_text(cell["share_best"], result.inputs["resamples"]),
        ]
        for cell in result.content["cells"]
    ]
    print_rows(["target", "rank", "mixture", "advantage [95%]", "P(best)"], rows)
    print_notes("table", [f"Predicted by {result.content['predictor']['name']}.", *result.content["notes"]])
    print_notes("table", [f"Content hash: {result.hash}. Note it elsewhere before training."])


def print_verification(result: Verification, form: str) -> None:
    if form in ("csv", "json"):
        print_data(result.to_polars(), result.facts, form)
        return
    rows = [
        [
            score.size or "all",
            target,
            score.predicted_best[target],
            score.best[target],
            f"{score.regret[target]:.2%}",
            f"{score.regret_chance[target]:.2%}",
            f"{score.spearman_by_target[target]:+.2f}",
        ]
        for score in result.scores
        for target in score.regret
    ]
    print_rows(["size", "target", "predicted best", "best", "regret", "regret of chance", "Spearman"], rows, form)
    lines = []
    for score in result.scores:
        lines += [
            f"Size {score.size or 'all'}, {score.n_cells} cells: Spearman {score.spearman:+.2f}"
            f" [{_signed(score.low, 2)}, {_signed(score.high, 2)}],"
            f" permutation p {score.p_value:.4f} (mixtures within each target).",
            f"Pairs it told apart came out in that order {_of(score.apart_right)};"
            f" the other pairs {_of(score.others_right)}."
            f" Brier score of 'it helps at all': {score.brier:.3f} (a coin: 0.250).",
        ]
    lines.append("regret: relative improvement lost by choosing the mixture predicted best.")
    print_notes(form, [*lines, f"The prediction is unedited: content hash {result.prediction_hash}."])


def print_explanations(results: list[Explanation], n: int, form: str) -> None:
    if form in ("csv", "json"):
        import polars as pl

        print_data(pl.concat([one.to_polars() for one in results]), {}, form)
        return
    for one in results:
        console().print(
            f"\n{one.target}: {one.total:+.4f} bits a symbol of {one.feature}; what the mixture adds", style="bold"
        )
        shown = one.to_polars(n).filter(one.to_polars(n)["bits"] > 0)
        rows = [
            [
                readable(cell["ngram"]),
                f"{cell['bits']:.5f}",
                f"{cell['share_target'] * 1e6:,.0f}",
                f"{cell['share_pretrain'] * 1e6:,.0f}",
                f"{cell['share_mixture'] * 1e6:,.0f}",
                "new" if cell["newly_covered"] else "",
            ]
            for cell in shown.iter_rows(named=True)
        ]
        print_rows(["n-gram", "bits", "per million in target", "in pretraining", "in mixture", ""], rows, form)


def _of(counts: tuple[int, int]) -> str:
    return f"{counts[0]} of {counts[1]} times"


def _signed(value: float | None, digits: int = 4) -> str:
    return "not known" if value is None or math.isnan(value) else f"{value:+.{digits}f}"
