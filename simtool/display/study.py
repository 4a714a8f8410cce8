"""Studies as text: the plan and its cost, how far it is, and what it concludes."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simtool.display.console import print_notes, print_rows
from simtool.display.progress import Training, time_left
from simtool.progress import NodeFailed, NodeFinished, PredictionWritten
from simtool.studies.cost import Cost
from simtool.studies.plan import DESIGNS, Plan, compared_arms
from simtool.studies.power import LOWEST_BOUND, LOWEST_WITHOUT_TARGET, TRUE_R
from simtool.wording import SIGNIFICANT, UNKNOWN, interval, p_value, plural, rounded

if TYPE_CHECKING:
    import polars as pl

    from simtool.studies.conclusions import Conclusions


MANY = 24  # effects; more than this are shown as a table of improvements, unless all is asked for


class Studying(Training):
    """Shows a study while it goes on: its prediction, then a line for each node that is done."""

    def __init__(self, form: str = "table") -> None:
        super().__init__()
        self.form = form

    def report(self, message: Any) -> None:
        if isinstance(message, PredictionWritten):
            if self.form == "table":
                # here: a study that is prepared goes on where neither of them can be had
                from simtool.display.mix import print_prediction
                from simtool.prediction.predict import load_prediction

                print_prediction(load_prediction(message.path))
        elif isinstance(message, NodeFailed):
            super().report(f"{message.label} failed: {message.error}")
        elif isinstance(message, NodeFinished):
            left = "" if message.seconds_left is None else f"  {time_left(message.seconds_left)} left"
            loss = f"loss on {message.corpus} {message.loss:.3f}"
            super().report(f"{message.n_done}/{message.n_nodes}  {message.label}  {loss}{left}")
        else:
            super().report(message)


def print_plan(plan: Plan, cost: Cost, form: str) -> None:
    """A row for every arm, and what the whole costs."""
    study = plan.study
    rows = []
    for arm in study.arms:
        ending = [n for n in plan.nodes.values() if arm.name in n.ends and not n.target]
        leaves = [n for n in plan.nodes.values() if arm.name in n.ends and n.target]
        if ending:
            rows.append(
                [
                    arm.name, arm.kind, arm.design, f"{arm.start:.0%}", str(arm.mixture),
                    f"{ending[0].tokens:,}", str(len(ending)), str(len(leaves)),
                ]
            )  # fmt: skip
    header = ["arm", "kind", "design", "fork", "mixture", "own tokens", "runs", "SFT runs"]
    print_rows(header, rows, form)
    if form == "table":
        print_notes([*_plan_notes(plan), *_cost_notes(cost), _power_note(plan, cost)])


def _plan_notes(plan: Plan) -> list[str]:
    study = plan.study
    seeded = "from initial weights on" if study.seeds_from == "start" else "of SFT only"
    return [
        f"{study.name}: {study.about}",
        f"{', '.join(study.models)}; {study.tokens:,} tokens of text to the end of each arm;"
        f" {plural(len(study.seeds), 'seed')} ({seeded});"
        f" SFT on {', '.join(study.targets)} at {', '.join(f'{rate:g}' for rate in study.sft_rates)}.",
        "own tokens: trained after the fork from what arms share.",
        *(f"{name}: {DESIGNS[name][1]}." for name in dict.fromkeys(arm.design for arm in study.arms)),
    ]


def _cost_notes(cost: Cost) -> list[str]:
    return [
        f"{cost.n_nodes:,} nodes, {cost.n_leaves:,} of them SFT. Tokens: {cost.tokens:,}; without shared beginnings"
        f" {cost.tokens_by_run:,} ({cost.tokens_by_run / cost.tokens:.1f} times as many) with one run per"
        f" configuration, {cost.tokens_by_arm:,} ({cost.tokens_by_arm / cost.tokens:.1f} times) with one run per arm.",
        f"{cost.flops:.2e} operations: {_long(cost.seconds)} on {plural(cost.workers, f'{cost.device} worker')} here,"
        f" at {cost.utilisation:.0%} of the {cost.peak / 1e9:,.0f} GFLOP/s of a matrix product measured now;"
        f" {_long(cost.h100_seconds)} on one H100 at 40% of its data sheet (assumed, not measured). Measuring comes on"
        " top.",
        f"Checkpoints that stay: {cost.bytes / 1e9:,.1f} GB.",
    ]


def _power_note(plan: Plan, cost: Cost) -> str:
    """What the study's size lets it show."""
    cells = f"{plural(len(compared_arms(plan.study)), 'mixture')} x {plural(len(plan.study.targets), 'target')}"
    if math.isnan(cost.power):
        return f"Power: {cells} cannot show that the prediction agrees; it needs two of each at least."
    return (
        f"Power: with {cells}, a true r of {TRUE_R:.2f} is shown (lower bound above {LOWEST_BOUND:g}, and"
        f" {LOWEST_WITHOUT_TARGET:g} or more without any one target) by {cost.power:.0%} of simulated studies."
    )


def _long(seconds: float) -> str:
    if seconds < 7_200:
        return f"{seconds / 60:,.0f} minutes" if seconds > 90 else f"{seconds:,.0f} seconds"
    return f"{seconds / 3_600:,.1f} hours" if seconds < 4 * 86_400 else f"{seconds / 86_400:,.0f} days"


def print_conclusions(conclusions: "Conclusions", form: str, full: bool = False) -> None:
    """Sentences first, then the effects, then what they rest on.

    Parameters
    ----------
    full
        Each effect with its interval, prediction and rank, and the losses, where there are so many that a terminal
        shows improvements only, mixtures by targets.
    """
    if form in ("csv", "json"):
        table = conclusions.tables["study_effects"]
        print(table.write_csv() if form == "csv" else table.write_json())
        return
    print_notes(conclusions.sentences, form, style="default")
    if form == "table" and not full and conclusions.tables["study_effects"].height > MANY:
        print_improvements(conclusions)
    else:
        print_effects(conclusions, form)
        print_losses(conclusions, form)
    print_notes(notes(conclusions), form)


RECORD_COLUMNS = (
    *("size", "arm", "target", "seed", "phase", "corpus", "split", "loss_on", "nats_per_token"),
    *("bits_per_byte", "n_documents", "tokens", "learning_rate"),
)


def print_records(table: "pl.DataFrame", form: str) -> None:
    """One row per measurement."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in table.select(RECORD_COLUMNS).iter_rows()]
    print_rows([*RECORD_COLUMNS], cells, form)


def print_losses(conclusions: "Conclusions", form: str) -> None:
    """Loss on each target after SFT, and general loss before and after: means over seeds."""
    import polars as pl

    table = conclusions.tables["study_losses"].group_by("size", "arm", "target", maintain_order=True)
    columns = ("loss", "loss_before", "general_unigram", "general_before", "general_after", "forgetting")
    means = table.agg(pl.col(columns).mean(), n=pl.len())
    rows = [
        [
            row["target"], row["arm"], row["size"], f"{row['loss_before']:.3f}", f"{row['loss']:.3f}",
            "not known" if row["general_unigram"] is None else f"{row['general_unigram']:.3f}",
            f"{row['general_before']:.3f}", f"{row['general_after']:.3f}", f"{row['forgetting']:+.3f}", str(row["n"]),
        ]
        for row in means.iter_rows(named=True)
    ]  # fmt: skip
    header = ["target", "arm", "size", "loss before SFT", "after"]
    header += ["general: unigram entropy", "before SFT", "after", "rise", "seeds"]
    print_rows(header, rows, form, keys=3)


def print_improvements(conclusions: "Conclusions") -> None:
    """Relative improvements in percent, an arm per row and a target per column."""
    import polars as pl

    table = conclusions.tables["study_effects"]
    targets = table["target"].unique(maintain_order=True).to_list()
    many_sizes = table["size"].n_unique() > 1
    rows = []
    for (size, arm), cells in table.group_by("size", "arm", maintain_order=True):
        of_target = {row["target"]: row for row in cells.iter_rows(named=True)}
        mean = cells["general_difference"].cast(pl.Float64).mean()
        general = UNKNOWN if mean is None else f"{mean:+.2f}"
        improvements = [_improvement(of_target.get(target)) for target in targets]
        rows.append([str(arm), str(size) if many_sizes else "", *improvements, general])
    print_rows(["arm", "size", *targets, "general"], rows, keys=2)
    print_notes(
        [
            "Improvement of the loss on each target in percent; * significant after Holm's correction. general: mean"
            " over the targets. --full shows intervals, predictions, ranks and losses."
        ]
    )


def _improvement(row: Mapping[str, Any] | None) -> str:
    if row is None or row["relative_improvement"] is None:
        return UNKNOWN
    p = row["p_holm"]
    return f"{100 * row['relative_improvement']:+.1f}{'*' if p is not None and p < SIGNIFICANT else ''}"


def print_effects(conclusions: "Conclusions", form: str) -> None:
    """Relative improvement and general loss against the control, with intervals, beside what had been predicted."""
    table = conclusions.tables["study_effects"].sort("size", "target", "design", "start")
    rows = [
        [
            row["target"], row["arm"], row["size"],
            f"{row['relative_improvement']:+.1%} {_percent(row['low'], row['high'])}",
            p_value(row["p_holm"]),
            _nats(row, "general"), _nats(row, "forgetting"),
            UNKNOWN if row["predicted"] is None else rounded(row["predicted"], signed=True),
            f"{row['predicted_rank'] or '?'} -> {row['observed_rank']}",
            UNKNOWN if row["minimum_detectable"] is None else f"{row['minimum_detectable']:.1%}",
        ]
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    header = [
        *("target", "arm", "size", "improvement [95%]", "p (Holm)", "general loss [95%]", "its rise in SFT [95%]"),
        *("predicted", "rank", "detectable"),
    ]
    print_rows(header, rows, form, keys=3)


def notes(conclusions: "Conclusions") -> list[str]:
    """How the numbers of a study are read, and what they rest on."""
    facts: Mapping[str, Any] = conclusions.facts
    return [
        "improvement: (control loss - loss) / control loss, on held-out documents after SFT, paired by seed and by"
        " document. general loss: after SFT, against the control's, in nats per token.",
        f"Intervals: {facts['intervals']}. detectable: minimum detectable effect with"
        f" {plural(len(facts['seeds']), 'seed')} (80% power), from the paired differences at Holm's strictest step.",
        f"Predicted before training by {facts['predictor']} (content hash {facts['prediction'][:16]}).",
        f"Measured on {', '.join(facts['devices'])}, torch {', '.join(facts['torch'])}.",
    ]


def _nats(row: Mapping[str, Any], name: str) -> str:
    value, low, high = (row[f"{name}_{part}"] for part in ("difference", "low", "high"))
    return f"{value:+.3f} {interval(low, high, 3, signed=True)}"


def _percent(low: float | None, high: float | None) -> str:
    bounds = [None if bound is None else 100 * bound for bound in (low, high)]
    return interval(*bounds, 1, signed=True, unit="%")
