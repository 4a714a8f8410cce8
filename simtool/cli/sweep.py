"""The command that reads a sweep of proxy runs: sweep."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from simtool.cli.options import (
    ChatTemplate,
    Data,
    Format,
    OutputFormat,
    Provenance,
    Save,
    Seed,
    SkipBad,
    TokenizerName,
    Workers,
    amount,
    options_of,
)
from simtool.errors import SimtoolError


def sweep(
    mixtures: Annotated[
        Path, typer.Option(help="Table with a row per run and a weight per domain (csv, parquet).", show_default=False)
    ],
    losses: Annotated[
        Path,
        typer.Option(help="Table with a row per run and a loss per target.", show_default=False),
    ],
    corpora: Annotated[
        Path,
        typer.Option(help='Text of each domain: a TOML file of NAME = "CORPUS", or a folder.', show_default=False),
    ],
    target: Annotated[
        Optional[list[str]],  # noqa: UP045 (typer reads it)
        typer.Option(help="Only this target of the sweep. Repeatable.", show_default=False),
    ] = None,
    test_mixtures: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Runs to rank by models fitted on the others, such as larger models.", show_default=False),
    ] = None,
    test_losses: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Their losses. Without them, runs are held out.", show_default=False),
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="The tables hold scores: higher is better.")] = False,
    fit: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Model of the curve: ridge, lightgbm, 'mixing law'. All that are installed by default."),
    ] = None,
    recommend_by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Model that recommends a mixture: lightgbm where it is installed.", show_default=False),
    ] = None,
    min_share: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Least share of a domain in it: web=0.5. Repeatable.", show_default=False),
    ] = None,
    max_share: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Largest share of a domain in it: code=0.3. Repeatable.", show_default=False),
    ] = None,
    tokenizer: TokenizerName = "default",
    resamples: Annotated[
        int, typer.Option(help="Half-samples of the documents behind each interval.", parser=amount, metavar="N")
    ] = 10,
    seed: Seed = 0,
    data: Data = None,
    skip_bad: SkipBad = False,
    chat_template: ChatTemplate = "none",
    workers: Workers = 0,
    format: OutputFormat = Format.table,
    provenance: Provenance = False,
    save: Save = None,
) -> None:
    """Say how well text ranks the runs of a sweep before any is trained, and what proxy runs add to that.

    Reads the layout of RegMix and Olmix. Needs scikit-learn and LightGBM for all models:
    pip install '.[sweep]' in a clone of simtool.

    Example: simtool sweep --mixtures ratios.csv --losses losses.csv --corpora map.toml
    """
    from simtool.api import sweep as api
    from simtool.cli.mix import shares_of
    from simtool.display.console import print_saved
    from simtool.display.progress import Counting
    from simtool.display.sweep import print_sweep
    from simtool.mixing.constraints import Constraints

    if (test_mixtures is None) != (test_losses is None):
        raise SimtoolError("Give both tables of the runs to rank: --test-mixtures and --test-losses.")
    constraints = Constraints(shares_of(min_share, "--min-share"), shares_of(max_share, "--max-share"))
    with Counting() as progress:
        result = api.sweep(
            mixtures,
            losses,
            corpora,
            target or (),
            None if test_mixtures is None or test_losses is None else (test_mixtures, test_losses),
            fit,
            recommend_by,
            constraints,
            scores,
            resamples,
            seed,
            options_of(
                tokenizer, data, skip_bad=skip_bad, workers=workers, progress=progress, chat_template=chat_template
            ),
        )
    if save is not None:
        print_saved(result.save(save))
    print_sweep(result, format.value, provenance)
