"""The command that puts everything on one page: report."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from simtool.cli.options import (
    All,
    ChatTemplate,
    Corpora,
    Data,
    Mid,
    OptionalPretrain,
    Resamples,
    Seed,
    SkipBad,
    Split,
    Targets,
    TextField,
    TokenizerName,
    Workers,
    options_of,
)


def report(
    corpora: Corpora,
    out: Annotated[Path, typer.Option(help="File to write the page to.")] = Path("report.html"),
    study: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of a study (`simtool train-eval --out`), to show what training gave as well."),
    ] = None,
    sweep: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of a sweep (`simtool sweep --save`), to show what proxy runs say."),
    ] = None,
    pretrain: OptionalPretrain = None,
    mid: Mid = None,
    target: Targets = None,
    view: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="METRIC.FEATURE of a matrix to switch to, such as js.token2. Repeatable; five by default."),
    ] = None,
    examples: Annotated[
        int,
        typer.Option(
            help="Documents to excerpt behind each n-gram, where text is at hand: the page then holds their text.",
            min=0,
        ),
    ] = 0,
    tokenizer: TokenizerName = "default",
    resamples: Resamples = 200,
    seed: Seed = 0,
    data: Data = None,
    split: Split = "train",
    text_field: TextField = None,
    chat_template: ChatTemplate = "none",
    skip_bad: SkipBad = False,
    workers: Workers = 0,
    all: All = False,
) -> None:
    """Write one self-contained page: similarities, what brings a target closer, which mixture to train on.

    It opens from disk, loads nothing from a network, and says of every number what it means and how sure it is.
    Without --pretrain it is the first general corpus named; without --mid each specialised corpus, and each of your
    own files, is mixed in at 0.2; without --target every SFT set is one.

    Example: simtool report c4 starcoder math pycode gsm8k --out report.html
    """
    from simtool.api import report as api
    from simtool.display.progress import Counting
    from simtool.display.report import print_page

    with Counting() as progress:
        options = options_of(
            tokenizer, data, split, text_field, skip_bad, workers, progress, all=all, chat_template=chat_template
        )
        path = api.report(
            *(corpora, out, pretrain, mid or (), target or (), study, sweep),
            *(view or api.VIEWS, resamples, seed, options, examples),
        )
    print_page(path)
