"""Commands that say which data to mix in: advantage, mix, predict, verify, explain."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from simtool.cli.options import (
    All,
    ChatTemplate,
    Data,
    Feature,
    Format,
    Full,
    MaxEpochs,
    Mid,
    MidTokens,
    OutputFormat,
    Pretrain,
    Provenance,
    Resamples,
    Save,
    Seed,
    SkipBad,
    Targets,
    TokenizerName,
    Tokens,
    Top,
    Unit,
    Workers,
    amount,
    options_of,
)
from simtool.errors import SimtoolError
from simtool.exports.exporters import EXPORTERS

EXPORT = "Hand it on"


def advantage(
    pretrain: Pretrain = "c4",
    mid: Mid = None,
    target: Targets = None,
    paper: Annotated[bool, typer.Option("--paper", help="The paper's five mixtures and four targets.")] = False,
    curve: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Instead of --mid: the advantage of this corpus as its share goes from 0 to 1."),
    ] = None,
    metric: Annotated[str, typer.Option(help="A name from `simtool metrics`, or auto: what did best.")] = "auto",
    feature: Feature = None,
    unit: Annotated[Unit, typer.Option(help="What the shares in --mid are shares of; shown as tokens.")] = Unit.tokens,
    tokenizer: TokenizerName = "default",
    tokens: Tokens = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    data: Data = None,
    skip_bad: SkipBad = False,
    chat_template: ChatTemplate = "none",
    workers: Workers = 0,
    all: All = False,
    format: OutputFormat = Format.table,
    save: Save = None,
    provenance: Provenance = False,
    full: Full = False,
) -> None:
    """Say how much closer each midtraining mixture is to each target than the pretraining corpus is.

    Every comparison is paired: the same halves of the documents on both sides. auto is exposure on skeleton3.

    Example: simtool advantage --pretrain c4 --mid starcoder:0.2 --mid math:0.12 --target pycode --target gsm8k
    """
    from simtool.api import mix as api
    from simtool.display.console import print_saved
    from simtool.display.mix import print_advantage, print_curve
    from simtool.display.progress import Counting

    if paper:
        pretrain, mid, target = api.PAPER["pretrain"], list(api.PAPER["mid"]), list(api.PAPER["targets"])
    with Counting() as progress:
        options = options_of(
            tokenizer, data, skip_bad=skip_bad, workers=workers, progress=progress, all=all, chat_template=chat_template
        )
        how = (metric, feature, tokens, resamples, seed, options)
        if curve is not None:
            result = api.advantage_curve(pretrain, curve, target or [], *how)
        else:
            result = api.advantage(pretrain, mid or [], target or [], *how, unit.value)
    if save is not None:
        print_saved(result.save(save))
    if curve is None:
        print_advantage(result, format.value, provenance, full)
    else:
        print_curve(result, format.value, provenance)


def mix(
    more: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="[CANDIDATE]...", help="Corpora that may be mixed in.", show_default=False),
    ] = None,
    pretrain: Pretrain = "c4",
    candidates: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="The same: a corpus that may be mixed in; more may follow.", show_default=False),
    ] = None,
    target: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="What the model is to get better at, with a weight if there are several: gsm8k:0.5.",
            show_default=False,
        ),
    ] = None,
    min_share: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Least share of a corpus: c4=0.5. Repeatable.", show_default=False),
    ] = None,
    max_share: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Largest share of a corpus: starcoder=0.3. Repeatable.", show_default=False),
    ] = None,
    mid_tokens: MidTokens = None,
    available: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="How many tokens there are of a corpus: starcoder=300M. With --mid-tokens it limits repetition.",
            show_default=False,
        ),
    ] = None,
    max_epochs: MaxEpochs = 4,
    max_forgetting: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Bits per symbol that text like the pretraining corpus may cost more.", min=0),
    ] = None,
    feature: Annotated[str, typer.Option(help="What is compared, as in `simtool matrix`.")] = "token",
    tokenizer: TokenizerName = "default",
    resamples: Resamples = 100,
    seed: Seed = 0,
    data: Data = None,
    skip_bad: SkipBad = False,
    chat_template: ChatTemplate = "none",
    workers: Workers = 0,
    all: All = False,
    format: OutputFormat = Format.table,
    save: Save = None,
    provenance: Provenance = False,
    export: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help=f"Write the mixture for a trainer, or the mixed text itself: {', '.join(EXPORTERS)}.",
            show_default=False,
            rich_help_panel=EXPORT,
        ),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="File to export to; its provenance is written beside it. By default mixture-trl.yaml, mixture.jsonl.",
            dir_okay=False,
            show_default=False,
            rich_help_panel=EXPORT,
        ),
    ] = None,
    tokens: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            help="Length of the mixed text, or of the run; that of --mid-tokens by default.",
            parser=amount,
            metavar="N",
            show_default=False,
            rich_help_panel=EXPORT,
        ),
    ] = None,
    mixture: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Export this mixture, c4:0.8+starcoder:0.2, instead of recommending one.",
            show_default=False,
            rich_help_panel=EXPORT,
        ),
    ] = None,
    prediction: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="The prediction that --mixture is one of; its hash goes along.",
            show_default=False,
            rich_help_panel=EXPORT,
        ),
    ] = None,
) -> None:
    """Recommend the mixture that makes the targets cost the fewest bits, within constraints, certified to be the best.

    --save draws the frontier of what is gained on the targets against what is forgotten. --export hands the mixture on.

    Example: simtool mix --pretrain c4 --candidates starcoder math flan --target pycode --min-share c4=0.5
    """
    from simtool.api import mix as api
    from simtool.api.export import export_mixture
    from simtool.display.console import print_saved
    from simtool.display.mix import print_advice, print_exported
    from simtool.display.progress import Counting
    from simtool.exports.export import find_exporter
    from simtool.mixing.constraints import Constraints

    if export is not None:
        find_exporter(export)
    elif mixture is not None or out is not None or tokens is not None:
        raise SimtoolError("Name the form to export to: --export trl, or jsonl for the mixed text itself.")
    length = tokens or mid_tokens
    if mixture is not None and export is not None:
        with Counting() as progress:
            options = options_of(
                tokenizer,
                data,
                skip_bad=skip_bad,
                workers=workers,
                progress=progress,
                all=all,
                chat_template=chat_template,
            )
            done = export_mixture(mixture, export, out, length, prediction, seed, max_epochs, options)
        print_exported(done)
        return
    if prediction is not None:
        raise SimtoolError("--prediction says where --mixture is from: name that one, too.")
    named = [*(candidates or []), *(more or [])]
    if not named or not target:
        example = "simtool mix --candidates starcoder math --target pycode"
        raise SimtoolError(f"Name at least one candidate (--candidates) and one target (--target).\nExample: {example}")
    constraints = Constraints(
        min_share=shares_of(min_share, "--min-share"),
        max_share=shares_of(max_share, "--max-share"),
        tokens=mid_tokens,
        available=amounts_of(available, "--available"),
        max_epochs=max_epochs,
        max_forgetting=max_forgetting,
    )
    with Counting() as progress:
        options = options_of(
            tokenizer, data, skip_bad=skip_bad, workers=workers, progress=progress, all=all, chat_template=chat_template
        )
        result = api.mix(pretrain, named, target, constraints, feature, resamples, seed, options)
        if export is not None:
            done = export_mixture(result, export, out, length, None, seed, max_epochs, options)
    if save is not None:
        print_saved(result.save(save))
    print_advice(result, format.value, provenance)
    if export is not None:
        print_exported(done)


def predict(
    out: Annotated[Path, typer.Option(help="File to write the prediction to.", dir_okay=False)],
    pretrain: Pretrain = "c4",
    mid: Mid = None,
    target: Targets = None,
    predictor: Annotated[
        str, typer.Option(help="METRIC.FEATURE such as js.token, witten_bell.skeleton3, kneser_ney, ...; or auto.")
    ] = "auto",
    tokenizer: TokenizerName = "default",
    tokens: Tokens = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    data: Data = None,
    skip_bad: SkipBad = False,
    chat_template: ChatTemplate = "none",
    workers: Workers = 0,
    all: All = False,
) -> None:
    """Write down, before training, which mixture will help which target most, so that it can be verified.

    Example: simtool predict --mid starcoder:0.2 --mid math:0.12 --target pycode --out prediction.json
    """
    from simtool.api import mix as api
    from simtool.display.console import print_saved
    from simtool.display.mix import print_prediction
    from simtool.display.progress import Counting
    from simtool.prediction.predict import save_prediction

    with Counting() as progress:
        options = options_of(
            tokenizer, data, skip_bad=skip_bad, workers=workers, progress=progress, all=all, chat_template=chat_template
        )
        prediction = api.predict(pretrain, mid or [], target or [], predictor, tokens, resamples, seed, options)
    save_prediction(prediction, out)
    print_saved([out])
    print_prediction(prediction)


def verify(
    prediction: Annotated[Path, typer.Argument(help="A file that `simtool predict` wrote.", show_default=False)],
    results: Annotated[
        Path,
        typer.Argument(
            help="csv or parquet: mix, target, and relative_improvement, or loss and control_loss; size, seed if any.",
            show_default=False,
        ),
    ],
    size: Annotated[Optional[str], typer.Option(help="Only results of this size of model.")] = None,  # noqa: UP045
    seed: Seed = 0,
    format: OutputFormat = Format.table,
) -> None:
    """Score a prediction by what training gave, and say whether the file was edited since it was made.

    Example: simtool verify prediction.json results.csv --size 410m
    """
    from simtool.api import mix as api
    from simtool.display.mix import print_verification

    print_verification(api.verify(prediction, results, size, seed), format.value)


def explain(
    prediction: Annotated[Path, typer.Argument(help="A file that `simtool predict` wrote.", show_default=False)],
    target: Annotated[Optional[str], typer.Option(help="Only this target.")] = None,  # noqa: UP045
    mixture: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="This mixture. By default the one that was predicted to be best for the target."),
    ] = None,
    feature: Feature = None,
    top: Top = 12,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Open the URLs that the prediction names, whoever wrote them into it.")
    ] = False,
    tokenizer: TokenizerName = "default",
    data: Data = None,
    skip_bad: SkipBad = False,
    chat_template: ChatTemplate = "none",
    format: OutputFormat = Format.table,
) -> None:
    """Show which tokens or n-grams of a target a predicted mixture covers that pretraining does not.

    Example: simtool explain prediction.json --target pycode
    """
    from simtool.api import mix as api
    from simtool.display.mix import print_explanations

    options = options_of(tokenizer, data, skip_bad=skip_bad, chat_template=chat_template)
    result = api.explain(prediction, target, mixture, feature, options, fetch)
    print_explanations(result, top, format.value)


def _pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """{"c4": "0.5"} of ["c4=0.5"]."""
    pairs = {}
    for text in texts or []:
        name, sign, value = text.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise SimtoolError(f"{option} {text!r} is not of the form NAME=VALUE.")
        pairs[name.strip()] = value.strip()
    return pairs


def amounts_of(texts: list[str] | None, option: str) -> dict[str, int]:
    """{"c4": 300_000_000} of ["c4=300M"]."""
    amounts = {}
    for name, text in _pairs(texts, option).items():
        try:
            amounts[name] = amount(text)
        except typer.BadParameter as error:
            raise SimtoolError(f"{option} {name}={text}: {error.message}") from None
    return amounts


def shares_of(texts: list[str] | None, option: str) -> dict[str, float]:
    shares = {}
    for name, value in _pairs(texts, option).items():
        try:
            shares[name] = float(value)
        except ValueError:
            raise SimtoolError(f"{option} {name}={value}: {value!r} is not a number.") from None
    return shares
