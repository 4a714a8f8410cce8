"""Whole studies: `simtool.train_eval("quick", "studies/quick")`, and what they found."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from simtool.errors import SimtoolError
from simtool.executor import Outcome, Report
from simtool.studies import execute, prepare, presets
from simtool.studies.cost import Cost, estimate_cost
from simtool.studies.execute import StudyExecution
from simtool.studies.plan import Plan, Study
from simtool.studies.prepare import is_prepared
from simtool.tokens.store import plain_name
from simtool.tokens.tokenizer import load_tokenizer

# What counts text or makes tables is imported where it is used: a study that is prepared goes on without it
if TYPE_CHECKING:
    import polars as pl

    from simtool.profiles.resolve import Options
    from simtool.similarity.matrix import SimilarityMatrix
    from simtool.studies.conclusions import Conclusions

HERE = StudyExecution()
RESAMPLES = 100  # behind the matrix that is shown before training


def define_study(
    preset: str | None = None,
    pretrain: str | None = None,
    mid: Sequence[str] = (),
    cpt: Sequence[str] = (),
    targets: Sequence[str] = (),
    model: str = "nano",
    tokens: int = 300_000,
    seeds: int = 3,
    start: float = 0.5,
    chat_template: str | None = None,
) -> Study:
    """A study by the name of a preset, or of a pretraining corpus, arms and targets; without either, "quick".

    Parameters
    ----------
    mid, cpt
        An arm for each: midtraining mixtures ("starcoder:0.2"), and corpora for continued pretraining.
    tokens
        Of text to the end of each arm.
    seeds
        How many, from initial weights on.
    start
        Share of the text that is read before arms fork.
    chat_template
        How chats and prompts are written: a file's or a tokenizer's; None: one turn a line.
    """
    if pretrain is None and (mid or cpt or targets):
        raise SimtoolError("Say what is pretrained on, too: --pretrain c4.")
    if pretrain is not None and preset is not None:
        raise SimtoolError(f"Name a preset ({preset}) or what is pretrained on (--pretrain {pretrain}), not both.")
    if pretrain is not None:
        study = presets.study_of_flags(pretrain, mid, targets, model, tokens, seeds, cpt, start)
    else:
        study = presets.find_preset(preset or "quick")
    return replace(study, chat_template=chat_template)


def plan_study(
    study: Study,
    options: "Options | None" = None,
    execution: StudyExecution = HERE,
    report: Report = lambda message: None,
) -> tuple[Plan, Cost]:
    """The tree of a study and what it costs; nothing is run.

    Raises
    ------
    SimtoolError
        Where a file that it would read is missing, lacks the field that is read, or is too small.
    """
    from simtool.profiles.resolve import Options
    from simtool.studies.checks import check_texts

    options = prepare.options_of_study(study, options or Options())
    tokenizer = load_tokenizer(study.tokenizer, options.data)
    tree = prepare.plan_ahead(study, tokenizer, options, execution.only)
    check_texts(tree, tokenizer, options, report)
    workers = execution.workers or execute.usual_workers(execution.device)
    return tree, estimate_cost(tree, tokenizer.vocabulary_size, execution.device, workers)


def study_matrix(study: Study, options: "Options | None" = None) -> "SimilarityMatrix":
    """How similar the corpora of a study are, counted as its prediction counts them."""
    from simtool.api.compare import matrix
    from simtool.profiles.resolve import Options

    return matrix(study.corpora, resamples=RESAMPLES, options=prepare.counting_options(study, options or Options()))


def train_eval(
    study: Study | str = "quick",
    folder: Path | None = None,
    options: "Options | None" = None,
    execution: StudyExecution = HERE,
    resume: bool = False,
    report: Report = lambda message: None,
) -> "tuple[Outcome, Conclusions | None]":
    """Predict, train each arm, measure, and say what was found; tables and figures go to the folder.

    Parameters
    ----------
    study
        A study, or the name of a preset.
    folder
        Of the study, studies/NAME by default; the same call goes on in it.
    options
        How its texts are found and counted. A folder that is prepared needs none.
    execution
        How and where it runs.
    resume
        Raise SimtoolError where there is no study in the folder yet.

    Returns
    -------
    What ran and what failed, and the conclusions from whatever is done; None where no effect is measured because of
    what failed, and where the libraries that tables are made with are not installed.
    """
    study = presets.find_preset(study) if isinstance(study, str) else study
    folder = folder_of(study, folder)
    if resume and not (folder / "study.json").exists():
        raise SimtoolError(f"There is no study in {folder} to go on with. Leave --resume out, or name its --out.")
    outcome = execute.run_study(study, folder, options or options_for(folder), execution, report)
    try:
        return outcome, conclude(folder, report)
    except SimtoolError:
        if not outcome.failed:
            raise
    except ModuleNotFoundError as error:
        report(
            f"All runs of {folder} are measured. Its tables need {error.name}, which is not installed here: copy the"
            f" folder to where it is, and simtool results {folder}"
        )
    return outcome, None


def options_for(folder: Path) -> "Options | None":
    """The usual options of a study's folder: none where it is prepared."""
    if is_prepared(folder):
        return None
    from simtool.profiles.resolve import Options

    return Options()


def conclude(folder: Path, report: Report = lambda message: None) -> "Conclusions":
    """The conclusions of a study's folder, after their tables and figures are written into it."""
    from simtool.plots import COMMAND_FIGURES
    from simtool.studies.conclusions import analyze, save_conclusions

    conclusions = analyze(folder)
    paths = save_conclusions(conclusions, folder / "tables")
    for name in COMMAND_FIGURES.drawable(folder / "tables"):
        paths += COMMAND_FIGURES.draw_from_folder(name, folder / "tables", folder / "figures")
    report(f"Saved {len(paths)} tables and figures in {folder}.")
    return conclusions


def folder_of(study: Study, folder: Path | None = None) -> Path:
    """The folder named, or studies/NAME; of a name made of paths, one that stays in studies/."""
    return Path(folder or Path("studies") / plain_name(study.name))


def study_results(folder: Path) -> "Conclusions":
    """What a study found so far: losses, effects, agreement of prediction and outcome, and sentences."""
    from simtool.studies.conclusions import analyze

    return analyze(folder)


def lost_records(folder: Path) -> str:
    """A sentence where lines of a study's records were lost; "" where none is."""
    from simtool.studies.losses import n_unrecorded
    from simtool.wording import lost_records

    n = n_unrecorded(folder)
    return lost_records(n, f"{folder}/records.jsonl") if n else ""


def study_records(
    folder: Path,
    arm: str | None = None,
    target: str | None = None,
    phase: str | None = None,
    corpus: str | None = None,
    seed: int | None = None,
) -> "pl.DataFrame":
    """Each measurement of a study, one row each: only those of this arm, target, phase, corpus and seed."""
    from simtool.studies.losses import filter_records, load_records

    conditions = {"arm": arm, "target": target, "phase": phase, "corpus": corpus, "seed": seed}
    return filter_records(load_records(folder), conditions)
