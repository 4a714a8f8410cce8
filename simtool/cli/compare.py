"""Commands that count and compare: matrix, compare, profile, and the lists of what is known by name."""

from typing import Annotated, Optional

import typer

from simtool.cli.options import (
    Corpora,
    Data,
    Engine,
    Feature,
    Format,
    Metric,
    OutputFormat,
    Resamples,
    Save,
    Seed,
    SkipBad,
    Split,
    TextField,
    TokenizerName,
    Tokens,
    Workers,
    options_of,
    tell_saved,
)


def matrix(
    corpora: Corpora,
    metric: Metric = "token",
    feature: Feature = None,
    tokenizer: TokenizerName = "default",
    tokens: Tokens = None,
    resamples: Resamples = 200,
    seed: Seed = 0,
    data: Data = None,
    split: Split = "train",
    text_field: TextField = "text",
    skip_bad: SkipBad = False,
    workers: Workers = 0,
    format: OutputFormat = Format.table,
    save: Save = None,
) -> None:
    """Compare every corpus with every other, at equal sizes, with intervals and ceilings.

    The diagonal is not 1: it is what two halves of the same corpus score, the most that any pair can reach at
    this size. A cell marked ≈ cannot be told from that.

    Example: simtool matrix c4 pycode gsm8k --metric js --feature skeleton3
    """
    from simtool.api import compare as api
    from simtool.display import console as printing

    with printing.Counting() as progress:
        options = options_of(tokenizer, data, split, text_field, skip_bad, workers, progress)
        result = api.matrix(corpora, metric, feature, tokens, resamples, seed, options)
    if save is not None:
        tell_saved(api.save_matrix(result, save))
    printing.print_matrix(result, format.value)


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A corpus, as in `simtool matrix`.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="Another corpus.", show_default=False)],
    metric: Metric = "token",
    feature: Annotated[
        list[str], typer.Option(help="Take apart the difference on this feature. May be given several times.")
    ] = ["token", "token2", "skeleton3"],  # noqa: B006 (typer copies it)
    top: Annotated[int, typer.Option(help="Rows a side.", min=1)] = 12,
    tokenizer: TokenizerName = "default",
    tokens: Tokens = None,
    resamples: Resamples = 200,
    seed: Seed = 0,
    data: Data = None,
    split: Split = "train",
    text_field: TextField = "text",
    skip_bad: SkipBad = False,
    workers: Workers = 0,
    format: Annotated[
        Format,
        typer.Option("--format", help="table: the side-by-side view; else every entry of every feature."),
    ] = Format.table,
) -> None:
    """Put two corpora side by side: sizes, similarity, and the tokens and n-grams that make the difference.

    Every entry's bits are its exact part of the Jensen-Shannon divergence: they add up to all of it.

    Example: simtool compare c4 gsm8k --top 5
    """
    from simtool.api import compare as api
    from simtool.display import console as printing

    with printing.Counting() as progress:
        options = options_of(tokenizer, data, split, text_field, skip_bad, workers, progress)
        result = api.compare(a, b, metric, tuple(feature), tokens, resamples, seed, options)
    printing.print_comparison(result, top, format.value)


def profile(
    corpora: Corpora,
    feature: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Count this feature only. May be given several times. All of them by default."),
    ] = None,
    tokenizer: TokenizerName = "default",
    tokens: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Count whole documents up to so many tokens. All of them by default.", min=1),
    ] = None,
    documents: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Count so many documents. All of them by default.", min=1),
    ] = None,
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Take a random sample with this seed, not the first documents. Reads all the text."),
    ] = None,
    data: Data = None,
    split: Split = "train",
    text_field: TextField = "text",
    skip_bad: SkipBad = False,
    workers: Workers = 0,
    engine: Annotated[
        Engine, typer.Option(help="local: processes on this machine. ray: a Ray cluster.")
    ] = Engine.local,
) -> None:
    """Count corpora now and keep the profiles, so that other commands find them.

    Interrupt it with Ctrl-C at any time: the same command goes on where it was.

    Example: simtool profile ./my_corpus.jsonl.zst --text-field content
    """
    from simtool.api import compare as api
    from simtool.display import console as printing
    from simtool.profiles.count import Budget

    with printing.Counting() as progress:
        options = options_of(
            tokenizer,
            data,
            split,
            text_field,
            skip_bad,
            workers,
            progress,
            Budget(tokens, documents, seed),
            engine.value,
        )
        found = api.profile(corpora, feature or api.ALL_FEATURES, options)
    printing.print_profiles(found)


def corpora(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="One of them: what it is, and how a document of it looks.", show_default=False),
    ] = None,
    tokenizer: TokenizerName = "default",
    data: Data = None,
    format: OutputFormat = Format.table,
) -> None:
    """List the corpora that are known by name, or show one of them with an example document.

    Example: simtool corpora gsm8k
    """
    from simtool.api import compare as api
    from simtool.display import console as printing

    options = options_of(tokenizer, data)
    if name is None:
        printing.print_rows(*api.list_corpora(options), format.value)
    else:
        printing.print_facts(api.describe_corpus(name, options))


def metrics(format: OutputFormat = Format.table) -> None:
    """List the similarities: range, symmetry, source, and when to use which.

    Example: simtool metrics --format markdown
    """
    from simtool.api import compare as api
    from simtool.display import console as printing

    printing.print_rows(*api.list_metrics(), format.value)


def tokenizers(data: Data = None, format: OutputFormat = Format.table) -> None:
    """List the tokenizers that are known by name, and whether each can be used now.

    Example: simtool tokenizers
    """
    from simtool.api import compare as api
    from simtool.display import console as printing

    printing.print_rows(*api.list_tokenizers(data), format.value)
