"""Commands that run whole studies: train-eval, results."""

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from simtool.cli.options import Data, Engine, Format, OutputFormat, Save, amount, options_of, tell_saved
from simtool.cli.train import Device
from simtool.errors import SimtoolError


def train_eval(
    preset: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(
            help="quick (the default), mini, mini-timing, graded, shared-mini, timing-weight, paper-70m, paper-160m,"
            " paper-410m or paper-1b.",
            show_default=False,
        ),
    ] = None,
    pre: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Instead of a preset: what is pretrained on, a corpus or mixture.", show_default=False),
    ] = None,
    mid: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="A midtraining arm: starcoder:0.2. Repeatable.", show_default=False),
    ] = None,
    cpt: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="A corpus for continued pretraining, alone. Repeatable.", show_default=False),
    ] = None,
    target: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="What is fine-tuned on and measured. Repeatable.", show_default=False),
    ] = None,
    model: Annotated[str, typer.Option(help="With --pre: nano, micro, 14m, 31m, 70m, 160m, 410m, 1b, 1.4b.")] = "nano",
    tokens: Annotated[
        int, typer.Option(help="With --pre: tokens of text to an arm's end.", parser=amount, metavar="N")
    ] = 300_000,
    seeds: Annotated[int, typer.Option(help="With --pre: how many, from initial weights on.", min=1)] = 3,
    start: Annotated[float, typer.Option(help="With --pre: share of the text read before arms fork.")] = 0.5,
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
    workers: Annotated[int, typer.Option(help="Runs at a time. 0: one a core, or one a GPU.", min=0)] = 0,
    device: Device = "auto",
    engine: Annotated[Engine, typer.Option(help="Where runs run: local, or a Ray cluster.")] = Engine.local,
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
            help="SFT runs of one checkpoint trained as one batched model. 0: 16 small ones on a GPU, else 1.",
            min=0,
        ),
    ] = 0,
    keep_leaves: Annotated[bool, typer.Option("--keep-leaves", help="Keep the weights after SFT too.")] = False,
    data: Data = None,
    format: OutputFormat = Format.table,
) -> None:
    """Does the gap between corpora predict what midtraining is worth? Predict, train every arm, measure, and say.

    With no arguments: a study of minutes on two cores, on text that every machine has. Beginnings that arms
    share are trained once. Kill it at any time: the same command goes on, with the same result.

    Example: simtool train-eval --plan
    """
    from simtool.display import console as printing
    from simtool.display import study as printing_study
    from simtool.studies import execute as run
    from simtool.studies import presets
    from simtool.studies.conclusions import analyze
    from simtool.studies.prepare import plan_ahead
    from simtool.tokens.tokenizer import load_tokenizer

    if pre is None and (mid or cpt or target):
        raise SimtoolError("Say what is pretrained on, too: --pre c4.")
    if pre is not None and preset is not None:
        raise SimtoolError(f"Name a preset ({preset}) or what is pretrained on (--pre {pre}), not both.")
    if pre is not None:
        study = presets.study_of_flags(pre, mid or [], target or [], model, tokens, seeds, cpt or [], start)
    else:
        study = presets.find_preset(preset or "quick")
    folder = out or Path("studies") / study.name
    options = options_of(study.tokenizer, data)
    if plan:
        from simtool.studies.cost import estimate_cost

        named = load_tokenizer(study.tokenizer, data)
        tree = plan_ahead(study, named, options, only or ())
        n_workers = workers or run.usual_workers(device)
        printing_study.print_plan(tree, estimate_cost(tree, named.vocabulary_size, device, n_workers), format.value)
        return
    if resume and not (folder / "study.json").exists():
        raise SimtoolError(f"There is no study in {folder} to go on with. Leave --resume out, or name its --out.")
    _before(study, folder, options, format)
    with printing_study.Studying(format.value) as progress:
        options = options_of(study.tokenizer, data, progress=progress)
        execution = run.StudyExecution(device, workers, engine.value, runs, tuple(only or ()), ensemble, keep_leaves)
        outcome = run.run_study(study, folder, options, execution, progress.report)
    conclusions = analyze(folder)
    _save(conclusions, folder)
    printing_study.print_conclusions(conclusions, format.value)
    if outcome.failed:
        raise SimtoolError(
            f"{len(outcome.failed)} runs failed, {len(outcome.skipped)} could not be tried; the others are measured."
            " The same command tries them again."
        )
    printing.console(stderr=True).print(f"Everything is in {folder}.", markup=False)


def _before(study: Any, folder: Path, options: Any, format: Format) -> None:
    """How alike the corpora are, shown before anything is trained."""
    from simtool.api import compare as api
    from simtool.display import console as printing
    from simtool.studies.prepare import bind_folder, counting_options

    bind_folder(study, folder)
    if format is Format.table:
        with printing.Counting() as progress:
            counting = counting_options(study, options_of(study.tokenizer, options.data, progress=progress))
            printing.print_matrix(api.matrix(study.corpora, resamples=100, options=counting), format.value)


def _save(conclusions: Any, folder: Path) -> None:
    """The tables of a study, and the figures that they are drawn as."""
    from simtool.plots import COMMAND_FIGURES
    from simtool.studies.conclusions import save_conclusions

    tables = folder / "tables"
    tell_saved(save_conclusions(conclusions, tables))
    drawable = COMMAND_FIGURES.drawable(tables)
    tell_saved(
        [path for name in drawable for path in COMMAND_FIGURES.draw_from_folder(name, tables, folder / "figures")]
    )


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
    save: Save = None,
    format: OutputFormat = Format.table,
) -> None:
    """Show what a study found so far, or every measurement of it.

    Example: simtool results studies/quick --rows --arm control
    """
    from simtool.display import console as printing
    from simtool.display import study as printing_study
    from simtool.studies.conclusions import analyze, save_conclusions
    from simtool.studies.losses import filter_records, load_records

    values = {"arm": arm, "target": target, "phase": phase, "corpus": corpus, "seed": seed}
    if not rows and not any(value is not None for value in values.values()):
        conclusions = analyze(folder)
        if save is not None:
            tell_saved(save_conclusions(conclusions, save))
        printing_study.print_conclusions(conclusions, format.value)
        return
    table = filter_records(load_records(folder), values)
    columns = ["size", "arm", "target", "seed", "phase", "corpus", "split", "loss_on", "nats_per_token"]
    columns += ["bits_per_byte", "n_documents", "tokens", "learning_rate"]
    cells = [["" if cell is None else str(cell) for cell in row] for row in table.select(columns).iter_rows()]
    printing.print_rows(columns, cells, format.value)
