"""Studies as text: the plan and its cost, how far it is, and what it concludes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simtool.display.console import console, print_rows
from simtool.display.progress import Training, time_left
from simtool.progress import NodeFailed, NodeFinished, PredictionWritten
from simtool.studies.cost import Cost
from simtool.studies.plan import DESIGNS, Plan

if TYPE_CHECKING:
    import polars as pl

    from simtool.studies.conclusions import Conclusions


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
            super().report(f"{message.n_done}/{message.n_nodes}  {message.label}  loss {message.loss:.3f}{left}")
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
    header = ["arm", "kind", "design", "fork", "mixture", "tokens from its parent on", "runs", "SFT runs"]
    print_rows(header, rows, form)
    if form != "table":
        return
    out = console()
    tell = [
        f"{study.name}: {study.about}",
        f"{', '.join(study.models)}; {study.tokens:,} tokens of text to an arm's end; seeds {len(study.seeds)}"
        f" ({'from initial weights on' if study.seeds_from == 'start' else 'of SFT only'}); SFT on"
        f" {', '.join(study.targets)} at {', '.join(f'{rate:g}' for rate in study.sft_rates)}.",
        f"{cost.n_nodes:,} nodes, {cost.n_leaves:,} of them SFT. Tokens: {cost.tokens:,}. Without shared beginnings"
        f" {cost.tokens_by_run:,} as one run a configuration ({cost.tokens_by_run / cost.tokens:.1f} times as many),"
        f" or {cost.tokens_by_arm:,} as one run an arm ({cost.tokens_by_arm / cost.tokens:.1f} times).",
        f"{cost.flops:.2e} operations: {_long(cost.seconds)} on {cost.workers} {cost.device} worker(s) here, at"
        f" {cost.utilisation:.0%} of the {cost.peak / 1e9:,.0f} GFLOP/s of a matrix product measured now;"
        f" {_long(cost.h100_seconds)} on one H100 at 40% of its data sheet (assumed, not measured)."
        " Measuring comes on top.",
        f"Checkpoints that stay: {cost.bytes / 1e9:,.1f} GB.",
        *(f"{name}: {DESIGNS[name][1]}." for name in dict.fromkeys(arm.design for arm in study.arms)),
    ]  # fmt: skip
    for line in tell:
        out.print(line, style="dim", markup=False)


def _long(seconds: float) -> str:
    if seconds < 7_200:
        return f"{seconds / 60:,.0f} minutes" if seconds > 90 else f"{seconds:,.0f} seconds"
    return f"{seconds / 3_600:,.1f} hours" if seconds < 4 * 86_400 else f"{seconds / 86_400:,.0f} days"


def print_conclusions(conclusions: "Conclusions", form: str) -> None:
    """Losses, effects, agreement and sentences."""
    if form in ("csv", "json"):
        table = conclusions.tables["study_effects"]
        print(table.write_csv() if form == "csv" else table.write_json())
        return
    print_losses(conclusions, form)
    print_effects(conclusions, form)
    lines = [*conclusions.sentences, *notes(conclusions)]
    for line in lines:
        if form == "table":
            console().print(line, markup=False)
        else:
            print(("% " if form == "latex" else "") + line)


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
    means = table.agg(pl.col("loss", "loss_before", "general_before", "general_after", "forgetting").mean(), n=pl.len())
    rows = [
        [
            row["target"], row["size"], row["arm"], f"{row['loss_before']:.4f}", f"{row['loss']:.4f}",
            f"{row['general_before']:.4f}", f"{row['general_after']:.4f}", f"{row['forgetting']:+.4f}", str(row["n"]),
        ]
        for row in means.iter_rows(named=True)
    ]  # fmt: skip
    header = ["target", "size", "arm", "before SFT", "after", "general before", "after", "forgetting", "seeds"]
    print_rows(header, rows, form)


def print_effects(conclusions: "Conclusions", form: str) -> None:
    """Relative improvement over the control and forgetting, with intervals, beside what had been predicted."""
    rows = [
        [
            row["target"], row["size"], row["arm"],
            f"{row['relative_improvement']:+.2%} {_interval(row['low'], row['high'], 100, '%')}",
            _p(row["p_holm"]),
            f"{row['forgetting_difference']:+.3f} {_interval(row['forgetting_low'], row['forgetting_high'])}",
            "not predicted" if row["predicted"] is None else f"{row['predicted']:+.4f}",
            f"{row['predicted_rank'] or '?'} -> {row['observed_rank']}",
            "not known" if row["minimum_detectable"] is None else f"{row['minimum_detectable']:.1%}",
        ]
        for row in conclusions.tables["study_effects"].sort("size", "target", "design", "start").iter_rows(named=True)
    ]  # fmt: skip
    header = [
        *("target", "size", "arm", "improvement [95%]", "p (Holm)", "forgets more, nats [95%]", "predicted"),
        *("rank", "detectable"),
    ]
    print_rows(header, rows, form)


def notes(conclusions: "Conclusions") -> list[str]:
    facts: Mapping[str, Any] = conclusions.facts
    return [
        "improvement: (control loss - loss) / control loss, on held-out documents after SFT, paired by seed and by"
        " document.",
        f"Intervals: {facts['intervals']}. detectable: what {len(facts['seeds'])} seeds could tell from 0 (80% power).",
        f"Predicted before training by {facts['predictor']} (content hash {facts['prediction'][:16]}).",
        f"Measured on {', '.join(facts['devices'])}, torch {', '.join(facts['torch'])}.",
    ]


def _interval(low: float | None, high: float | None, scale: float = 1.0, unit: str = "") -> str:
    if low is None or high is None:
        return "[not known]"
    digits = 1 if unit else 3
    return f"[{low * scale:+.{digits}f}{unit}, {high * scale:+.{digits}f}{unit}]"


def _p(value: float | None) -> str:
    return "not known" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"
