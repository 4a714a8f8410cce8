"""Commands that compare corpora: matrix, compare."""

from typing import Annotated

import typer

from simtool.cli.options import (
    All,
    ChatTemplate,
    Corpora,
    Data,
    Feature,
    Format,
    Full,
    MatrixMetric,
    Metric,
    OutputFormat,
    Provenance,
    Resamples,
    Save,
    Seed,
    SkipBad,
    Split,
    TextField,
    TokenizerName,
    Tokens,
    Top,
    Workers,
    options_of,
)


def matrix(
    corpora: Corpora,
    metric: MatrixMetric = None,
    feature: Feature = None,
    tokenizer: TokenizerName = "default",
    tokens: Tokens = None,
    resamples: Resamples = 200,
    seed: Seed = 0,
    data: Data = None,
    split: Split = "train",
    text_field: TextField = None,
    chat_template: ChatTemplate = "none",
    skip_bad: SkipBad = False,
    workers: Workers = 0,
    all: All = False,
    format: OutputFormat = Format.table,
    save: Save = None,
    provenance: Provenance = False,
    full: Full = False,
) -> None:
    """Compare all corpora with each other, at equal sizes, with intervals and noise ceilings.

    Without --metric: the paper's score, and below it the size-free similarity, which hardly depends on how much
    text was sampled. The score's diagonal is not 1: it is what two halves of the same corpus score, the most that any
    pair can reach at this size. A cell marked ≈ is not distinguishable from that.

    Example: simtool matrix c4 pycode gsm8k --metric js --feature skeleton3
    """
    from simtool.api import compare as api
    from simtool.display.compare import print_matrices
    from simtool.display.console import print_saved
    from simtool.display.progress import Counting

    with Counting() as progress:
        options = options_of(
            tokenizer, data, split, text_field, skip_bad, workers, progress, all=all, chat_template=chat_template
        )
        results = [
            api.matrix(corpora, name, feature, tokens, resamples, seed, options)
            for name in ([metric] if metric else api.SHOWN_METRICS)
        ]
    if save is not None:
        print_saved(
            [path for i, result in enumerate(results) for path in result.save(save / result.metric.name if i else save)]
        )
    print_matrices(results, format.value, provenance, full)


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A corpus, as in `simtool matrix`.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="Another corpus.", show_default=False)],
    metric: Metric = "token",
    feature: Annotated[
        list[str], typer.Option(help="Take apart the difference on this feature. May be given several times.")
    ] = ["token", "token2", "skeleton3"],  # noqa: B006 (typer copies it)
    top: Top = 12,
    tokenizer: TokenizerName = "default",
    tokens: Tokens = None,
    resamples: Resamples = 200,
    seed: Seed = 0,
    data: Data = None,
    split: Split = "train",
    text_field: TextField = None,
    chat_template: ChatTemplate = "none",
    skip_bad: SkipBad = False,
    workers: Workers = 0,
    all: All = False,
    format: Annotated[
        Format,
        typer.Option("--format", help="table: the side-by-side view; else every entry of every feature."),
    ] = Format.table,
    provenance: Provenance = False,
) -> None:
    """Put two corpora side by side: sizes, similarity, and the tokens and n-grams that make the difference.

    Every entry's bits are its exact part of the Jensen-Shannon divergence: they add up to all of it.

    Example: simtool compare c4 gsm8k --top 5
    """
    from simtool.api import compare as api
    from simtool.display.compare import print_comparison
    from simtool.display.progress import Counting

    with Counting() as progress:
        options = options_of(
            tokenizer, data, split, text_field, skip_bad, workers, progress, all=all, chat_template=chat_template
        )
        result = api.compare(a, b, metric, tuple(feature), tokens, resamples, seed, options)
    print_comparison(result, top, format.value, provenance)
