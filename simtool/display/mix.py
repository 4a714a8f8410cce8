"""Which data to mix in, as text: advantages, recommended mixtures, predictions and how they fared."""

import math
from collections.abc import Sequence

from rich.markup import escape

from simtool import wording
from simtool.display.console import (
    console,
    print_commands,
    print_data,
    print_notes,
    print_rows,
    print_saved,
    print_warnings,
)
from simtool.display.provenance import limiting, notes_above_ceiling, provenance_lines, sample_warnings
from simtool.exports.export import Exported
from simtool.mixing.advice import Advice
from simtool.mixing.recommend import Recommendation
from simtool.mixing.solver import TOLERANCE
from simtool.mixture import Mixture, parse_midtraining
from simtool.prediction.advantage import Advantage, share_text
from simtool.prediction.curve import Curve
from simtool.prediction.predict import Prediction
from simtool.prediction.verify import Score, Verification
from simtool.profiles.features import hashed_of, symbol_of
from simtool.similarity.attribution import Explanation
from simtool.similarity.metrics import METRICS
from simtool.wording import PLACEBO, interval, readable, rounded


def print_advantage(result: Advantage, form: str, provenance: bool = False, full: bool = False) -> None:
    """A row per target and mixture, the closest first; full: with the similarities that the advantage is of."""
    table = result.to_polars()
    if form in ("csv", "json"):
        print_data(table, result.facts, form)
        return
    header = ["target", "mixture", "advantage [95%]", "placebo", "P(best)", "better than"]
    more = ["prox(M, T)", "prox(P, T)", "P(closer)", "rank"] if full or form != "table" else []
    rows = []
    for cell in table.iter_rows(named=True):
        value = f"{_estimate(cell['advantage'], cell['low'], cell['high'])}"
        closer = share_text(cell["share_positive"], result.resamples)
        extra = [rounded(cell["proximity"]), rounded(cell["pretrain_proximity"]), closer, str(cell["rank"])]
        rows.append(
            [
                cell["target"],
                cell["mixture"],
                value,
                rounded(cell["placebo"], 2, signed=True),
                share_text(cell["share_best"], result.resamples),
                _better_than(result, cell["mixture"], cell["target"]),
                *extra[: len(more)],
            ]
        )
    if form == "table":
        print_warnings(sample_warnings(result.facts, result.tokens))
    print_rows([*header, *more], rows, form, keys=2)
    print_notes([*_advantage_notes(result), *result.notes, *provenance_lines(result.facts, provenance)], form)


def _better_than(result: Advantage, mixture: str, target: str) -> str:
    """The other mixtures that it is significantly better than."""
    names, j = list(result.mixtures), result.targets.index(target)
    i = names.index(mixture)
    better = [
        name
        for k, name in enumerate(names)
        if result.distinguishable[i, k, j] and result.value[i, j] > result.value[k, j]
    ]
    return "" if len(names) == 1 else "all" if len(better) == len(names) - 1 else ", ".join(better) or "none"


def _advantage_notes(result: Advantage) -> list[str]:
    metric, unit = METRICS[result.metric].label, _unit(result.metric, result.feature)
    scarcest = limiting(result.facts, result.tokens)
    limited = f" (what was counted of {scarcest})" if scarcest else ""
    return [
        f"Proximity advantage over {result.pretrain.label}, by {metric} on {result.feature}{unit}; positive: closer.",
        PLACEBO,
        f"Means and 95% intervals over {result.resamples} paired half-splits of {result.tokens:,} tokens of each"
        f" mixture and target{limited}. better than: significantly better than these, whatever the seed.",
        *notes_above_ceiling(result.facts),
        *([wording.hashed(hashed)] if (hashed := hashed_of(result.feature)) else []),
        *(f"{name} = {mixture}" for name, mixture in result.mixtures.items() if _converted(name, mixture, result)),
    ]


def _converted(name: str, mixture: Mixture, result: Advantage) -> bool:
    """Whether the shares of a mixture are others than those that its name says: of documents or bytes."""
    return str(parse_midtraining(name, result.pretrain)) != str(mixture)


def _unit(metric: str, feature: str) -> str:
    unit = wording.in_symbols(METRICS[metric].unit, symbol_of(feature))
    return f", in {unit}" if unit else ""


def print_curve(result: Curve, form: str, provenance: bool = False) -> None:
    """The advantage at each share, and where it is largest."""
    table = result.to_polars()
    if form in ("csv", "json"):
        print_data(table, result.facts, form)
        return
    rows = [
        [f"{share:g}", *(_estimate(*cell) for cell in zip(*values, strict=True))]
        for share, *values in zip(result.shares, result.value, result.low, result.high, strict=True)
    ]
    print_rows(["share", *result.targets], rows, form)
    columns = (result.targets, result.peak, result.peak_low, result.peak_high)
    peaks = [wording.peak(target, result.special.label, *shares) for target, *shares in zip(*columns, strict=True)]
    note = (
        f"Advantage of {result.special.label} over {result.pretrain.label} by {result.metric} on"
        f" {result.feature}{_unit(result.metric, result.feature)}."
    )
    print_notes([*peaks, note, *result.notes, *provenance_lines(result.facts, provenance)], form)


def print_advice(advice: Advice, form: str, provenance: bool = False) -> None:
    """The recommended mixture, what it gains and costs, and how to train on it."""
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
                _over_placebo(best, i),
                f"{best.epochs[i]:.2f}" if known else "",
                f"{best.effective[i]:,.0f}" if known else "",
            ]
        )
    print_rows(["corpus", "share", "95% interval", "over placebo", "epochs", "worth new tokens"], rows, form)
    print_notes(_findings(best), form, style="default")
    notes = [
        wording.TEXT_ONLY,
        wording.certified(best.feature, max(best.gap, TOLERANCE), best.resamples),
        wording.over_placebo(best.corpora[0]),
        *(f"Binding: {constraint}" for constraint in best.binding),
        *best.notes,
        *provenance_lines(advice.facts, provenance),
    ]
    print_notes(notes, form)
    if form == "table":
        print_warnings(_unconstrained(best))
        if curve_command := best.curve_command():
            print_commands(wording.OTHER_MEASURE, [curve_command])
        each = ", once for each target" if len(best.targets) > 1 else ""
        print_commands(f"To train it{each}:", [best.command(target) for target in best.targets])
        print_notes([wording.training_length(best.constraints.tokens)])


def print_exported(done: Exported) -> None:
    """What was written, and how near the shares of the mixed text are to those of the mixture; on standard error."""
    print_saved([path.absolute() for path in done.paths])
    out = console(stderr=True)
    if done.shares is not None and done.passes is not None:
        for corpus, share in done.mixture.weights.items():
            passes = done.passes[corpus]
            repeated = f", its text {passes:.1f} times" if passes > 1 else ""
            out.print(escape(f"  {corpus}: {done.shares[corpus]:.2%} of the tokens ({share:.2%} asked for){repeated}"))
        out.print(f"  {done.tokens:,} tokens, in whole documents")


def _over_placebo(best: Recommendation, i: int) -> str:
    if best.corpora[i] in best.dropped:
        return "not better"
    value, *ends = (bound[i] for bound in (best.placebo_gain, best.placebo_low, best.placebo_high))
    return "" if math.isnan(value) else f"{rounded(value)} [{rounded(ends[0])}, {rounded(ends[1])}]"


def _findings(best: Recommendation) -> list[str]:
    symbol, pretrain = symbol_of(best.feature), best.corpora[0]
    columns = (best.targets, best.gain, best.gain_low, best.gain_high, best.max_gain)
    return [
        *(wording.gain(target, pretrain, *numbers, symbol) for target, *numbers in zip(*columns, strict=True)),
        wording.coding_cost(pretrain, best.forgetting, best.forgetting_low, best.forgetting_high, symbol),
    ]


def _unconstrained(best: Recommendation) -> list[str]:
    """A warning where little of the pretraining corpus is left, and nothing was asked about forgetting."""
    pretrain, constraints = best.corpora[0], best.constraints
    asked_for = pretrain in constraints.min_share or constraints.max_forgetting is not None
    if asked_for or best.weights[0] >= wording.LITTLE_LEFT:
        return []
    return [wording.forgetting_warning(pretrain, float(best.weights[0]))]


def print_prediction(result: Prediction, form: str = "table") -> None:
    """A row per target and mixture, the best first."""
    rows = [
        [
            cell["target"],
            str(cell["rank"]),
            cell["mixture"],
            _estimate(cell["advantage"], cell["low"], cell["high"]),
            share_text(cell["share_best"], result.inputs["resamples"]),
        ]
        for cell in result.content["cells"]
    ]
    print_rows(["target", "rank", "mixture", "advantage [95%]", "P(best)"], rows, form, keys=3)
    print_notes(
        [
            f"Predicted by {result.content['predictor']['name']}.",
            *result.content["notes"],
            f"Content hash {result.hash}: note it elsewhere before training.",
        ],
        form,
    )


def print_verification(result: Verification, form: str) -> None:
    """How a prediction fared: by target, and in all."""
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
            "-" if math.isnan(score.spearman_by_target[target]) else f"{score.spearman_by_target[target]:+.2f}",
        ]
        for score in result.scores
        for target in score.regret
    ]
    print_rows(["size", "target", "predicted best", "best", "regret", "by chance", "Spearman"], rows, form, keys=2)
    lines = []
    for score in result.scores:
        lines += [
            f"Size {score.size or 'all'}: "
            + wording.agreement(
                "the prediction",
                "Spearman's ρ",
                *(_known(value) for value in (score.spearman, score.low, score.high)),
                score.n_cells,
                _known(score.p_value),
            )
            + ".",
            *_beside(score),
            f"Pairs that it called distinguishable came out in that order {_of(score.apart_right)};"
            f" the other pairs {_of(score.others_right)}."
            f" Brier score of 'it helps at all': {score.brier:.3f} (a coin: 0.250).",
        ]
    lines.append("regret: relative improvement lost by training on the mixture predicted best.")
    print_notes([*lines, f"The prediction is unedited: content hash {result.prediction_hash}."], form)


def _beside(score: Score) -> list[str]:
    """What the noise of the outcomes leaves attainable, and what the prediction adds to the same-domain baseline."""
    noise = score.attainable
    ends = (noise.spearman, *map(_known, (noise.spearman_low, noise.spearman_high))) if noise else (None, None, None)
    beyond = [wording.beyond_baseline(vars(score.beyond))] if score.beyond else []
    return [wording.attainable("Spearman's ρ", *ends), *beyond]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def print_explanations(results: Sequence[Explanation], n: int, form: str) -> None:
    """The n-grams of each target that a mixture covers and the pretraining corpus does not."""
    if form in ("csv", "json"):
        import polars as pl

        print_data(pl.concat([explanation.to_polars() for explanation in results]), {}, form)
        return
    for explanation in results:
        console().print(
            f"\n{explanation.target}: {rounded(explanation.total, signed=True)} bits per"
            f" {symbol_of(explanation.feature)}; what {explanation.mixture} adds",
            style="bold",
        )
        table = explanation.to_polars(n)
        rows = [
            [
                readable(cell["ngram"]),
                rounded(cell["bits"]),
                f"{cell['share_target'] * 1e6:,.0f}",
                f"{cell['share_pretrain'] * 1e6:,.0f}",
                f"{cell['share_mixture'] * 1e6:,.0f}",
                "new" if cell["newly_covered"] else "",
            ]
            for cell in table.filter(table["bits"] > 0).iter_rows(named=True)
        ]
        print_rows(["n-gram", "bits", "per million in target", "pretraining", "mixture", "coverage"], rows, form)


def _of(counts: tuple[int, int]) -> str:
    return f"{counts[0]} of {counts[1]} times"


def _estimate(value: float, low: float | None, high: float | None) -> str:
    """A number with its interval: three significant digits, and the interval in as many decimals."""
    text = rounded(value, signed=True)
    return f"{text} {interval(low, high, len(text.partition('.')[2]), signed=True)}"
