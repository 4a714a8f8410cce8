"""Commands that run whole studies: train-eval, results."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from simtool.cli.options import (
    ChatTemplate,
    Cpt,
    Data,
    Device,
    Engine,
    EngineName,
    Format,
    Full,
    Mid,
    Model,
    OptionalPretrain,
    OutputFormat,
    Save,
    SkipBad,
    Targets,
    Workers,
    amount,
    options_of,
)
from simtool.studies.presets import PRESETS


def train_eval(
    preset: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(
            help=f"A study by name: {', '.join(PRESETS)}. quick by default.",
            show_default=False,
        ),
    ] = None,
    pretrain: OptionalPretrain = None,
    mid: Mid = None,
    cpt: Cpt = None,
    target: Targets = None,
    model: Model = "nano",
    train_tokens: Annotated[
        int,
        typer.Option(help="With --pretrain: tokens of text to the end of each arm.", parser=amount, metavar="N"),
    ] = 300_000,
    seeds: Annotated[
        int, typer.Option(help="With --pretrain: how many, from initial weights on.", parser=amount, metavar="N")
    ] = 3,
    start: Annotated[float, typer.Option(help="With --pretrain: share of the text read before arms fork.")] = 0.5,
    plan: Annotated[
        bool, typer.Option("--plan", "--dry-run", help="Show the tree and what it costs; run nothing.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a study that is there; fail where there is none.")
    ] = False,
    only: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Run what matches: 'starcoder:0.2', 'control/gsm8k', 'seed 0'; * stands for any."),
    ] = None,
    workers: Workers = 0,
    device: Device = "auto",
    engine: EngineName = Engine.local,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of the study; the same command goes on in it. studies/NAME by default."),
    ] = None,
    runs: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of runs, to share them between studies. In the study's folder by default."),
    ] = None,
    ensemble: Annotated[
        int,
        typer.Option(
            help="Runs of equally many steps trained as one batched model. 0: 16 small ones on a GPU, else 1.",
            min=0,
        ),
    ] = 0,
    keep_leaves: Annotated[bool, typer.Option("--keep-leaves", help="Keep the weights after SFT too.")] = False,
    data: Data = None,
    skip_bad: SkipBad = False,
    chat_template: ChatTemplate = "none",
    format: OutputFormat = Format.table,
) -> None:
    """Does the gap between corpora predict what midtraining is worth? Predict, train every arm, measure, and say.

    With no arguments: a study of minutes on two cores, on text that every machine has. Beginnings that arms
    share are trained once. Kill it at any time: the same command goes on, with the same result.

    Example: simtool train-eval --plan
    """
    from simtool.api import study as api
    from simtool.display.console import console
    from simtool.display.progress import Counting
    from simtool.display.study import Studying, print_conclusions, print_plan
    from simtool.errors import require
    from simtool.studies.execute import failure_of

    require("torch")
    template = None if chat_template == "none" else chat_template
    study = api.define_study(
        preset, pretrain, mid or (), cpt or (), target or (), model, train_tokens, seeds, start, template
    )
    execution = api.StudyExecution(device, workers, engine.value, runs, tuple(only or ()), ensemble, keep_leaves)
    if plan:
        options = options_of(study.tokenizer, data, skip_bad=skip_bad)
        print_plan(*api.plan_study(study, options, execution, Studying(format.value).report), format.value)
        return
    folder = api.folder_of(study, out)
    prepared = api.is_prepared(folder)  # then it needs no text, and what was shown of its corpora is not shown again
    if format is Format.table and not prepared:
        from simtool.display.compare import print_matrix

        with Counting() as progress:
            print_matrix(
                api.study_matrix(study, options_of(study.tokenizer, data, skip_bad=skip_bad, progress=progress)),
                format.value,
            )
    with Studying(format.value) as progress:
        options = None if prepared else options_of(study.tokenizer, data, skip_bad=skip_bad, progress=progress)
        outcome, conclusions = api.train_eval(study, folder, options, execution, resume, progress.report)
    if conclusions is not None:
        print_conclusions(conclusions, format.value)
    if outcome.failed:
        raise failure_of(outcome)
    console(stderr=True).print(f"Everything is in {folder}.", markup=False)


def results(
    folder: Annotated[Path, typer.Argument(help="Folder of a study.", show_default=False)],
    rows: Annotated[
        bool, typer.Option("--rows", help="Every measurement, one row each, instead of what was found.")
    ] = False,
    arm: Annotated[Optional[str], typer.Option(help="Only this arm's rows.")] = None,  # noqa: UP045
    target: Annotated[Optional[str], typer.Option(help="Only rows after SFT on this target.")] = None,  # noqa: UP045
    phase: Annotated[Optional[str], typer.Option(help="Only rows of pretrain, midtrain or sft.")] = None,  # noqa: UP045
    corpus: Annotated[Optional[str], typer.Option(help="Only rows measured on this corpus.")] = None,  # noqa: UP045
    seed: Annotated[Optional[int], typer.Option(help="Only rows of this seed.")] = None,  # noqa: UP045
    full: Full = False,
    save: Save = None,
    format: OutputFormat = Format.table,
) -> None:
    """Show what a study found so far, or every measurement of it.

    Example: simtool results studies/quick --rows --arm control
    """
    from simtool.api import study as api
    from simtool.display.console import print_saved
    from simtool.display.study import print_conclusions, print_records

    if hint := api.lost_records(folder):
        typer.echo(hint, err=True)
    conditions = (arm, target, phase, corpus, seed)
    if rows or any(value is not None for value in conditions):
        print_records(api.study_records(folder, *conditions), format.value)
        return
    conclusions = api.study_results(folder)
    if save is not None:
        from simtool.studies.conclusions import save_conclusions

        print_saved(save_conclusions(conclusions, save))
    print_conclusions(conclusions, format.value, full)
    if n := conclusions.facts.get("records_without_hash"):
        typer.echo(
            f"{n} records are of an earlier simtool and carry no hash: a change in them goes unnoticed.", err=True
        )
