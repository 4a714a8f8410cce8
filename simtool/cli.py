"""The command line: parse, call, print. Nothing is computed here.

To add a command, write a function below with `@app.command()`; what several commands take is named once, above.
Imports are inside the commands, so that `--help` is quick and `matrix` never loads what it does not use.
"""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from simtool.errors import SimtoolError

if TYPE_CHECKING:
    from simtool.profiles.find import Options

app = typer.Typer(
    help="Which data to mix in, when, and how much.\n\nStart with: simtool matrix c4 pycode gsm8k",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class Engine(StrEnum):
    local = "local"
    ray = "ray"


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"
    markdown = "markdown"
    latex = "latex"


Corpora = Annotated[
    list[str],
    typer.Argument(
        metavar="CORPUS...",
        help="A name from `simtool corpora`; a file, folder, quoted glob or URL; a hub id such as "
        "openai/gsm8k:main:train; or a mixture such as c4:0.8+starcoder:0.2.",
        show_default=False,
    ),
]
TokenizerName = Annotated[
    str, typer.Option("--tokenizer", help="A name from `simtool tokenizers`, a tokenizer.json, or a hub id.")
]
Data = Annotated[
    Optional[Path],  # noqa: UP045 (typer reads it)
    typer.Option("--data", help="Folder with corpora as NAME_SPLIT.jsonl.zst and the like.", envvar="SIMTOOL_DATA"),
]
TextField = Annotated[
    str, typer.Option("--text-field", help="Field(s) of your files that hold the text: question,answer.")
]
Split = Annotated[str, typer.Option("--split", help="Which split of the named corpora.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave unreadable rows out, and count them.")]
Workers = Annotated[
    int, typer.Option("--workers", help="Processes that count. 0: one a core.", min=0, show_default=True)
]
Resamples = Annotated[int, typer.Option("--resamples", help="Random half-splits behind each interval.", min=20)]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
Metric = Annotated[str, typer.Option("--metric", help="A name from `simtool metrics`.")]
Tokens = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--tokens", help="Tokens taken of each corpus. As many as the smallest holds by default.", min=2),
]
OutputFormat = Annotated[Format, typer.Option("--format", help="How to print the result.")]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        from simtool.version import __version__

        typer.echo(f"simtool {__version__}")
        raise typer.Exit()


@app.command()
def matrix(
    corpora: Corpora,
    metric: Metric = "token",
    feature: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="What is compared: token, token2, char4, skeleton3, ... The metric's own by default."),
    ] = None,
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
    save: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for the table, its provenance and the heatmap (png, svg, pdf).", file_okay=False),
    ] = None,
) -> None:
    """Compare every corpus with every other, at equal sizes, with intervals and ceilings.

    The diagonal is not 1: it is what two halves of the same corpus score, the most that any pair can reach at
    this size. A cell marked ≈ cannot be told from that.

    Example: simtool matrix c4 pycode gsm8k --metric js --feature skeleton3
    """
    from simtool import api, printing

    with printing.Counting() as progress:
        options = _options(tokenizer, data, split, text_field, skip_bad, workers, progress)
        result = api.matrix(corpora, metric, feature, tokens, resamples, seed, options)
    if save is not None:
        _tell_saved(api.save_matrix(result, save))
    printing.print_matrix(result, format.value)


@app.command()
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
    from simtool import api, printing

    with printing.Counting() as progress:
        options = _options(tokenizer, data, split, text_field, skip_bad, workers, progress)
        result = api.compare(a, b, metric, tuple(feature), tokens, resamples, seed, options)
    printing.print_comparison(result, top, format.value)


@app.command()
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
    from simtool import api, printing
    from simtool.profiles.build import Budget

    with printing.Counting() as progress:
        options = _options(
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


@app.command()
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
    from simtool import api, printing

    options = _options(tokenizer, data)
    if name is None:
        printing.print_rows(*api.list_corpora(options), format.value)
    else:
        printing.print_facts(api.describe_corpus(name, options))


@app.command()
def metrics(format: OutputFormat = Format.table) -> None:
    """List the similarities: range, symmetry, source, and when to use which.

    Example: simtool metrics --format markdown
    """
    from simtool import api, printing

    printing.print_rows(*api.list_metrics(), format.value)


@app.command()
def tokenizers(data: Data = None, format: OutputFormat = Format.table) -> None:
    """List the tokenizers that are known by name, and whether each can be used now.

    Example: simtool tokenizers
    """
    from simtool import api, printing

    printing.print_rows(*api.list_tokenizers(data), format.value)


def _options(
    tokenizer: str,
    data: Path | None,
    split: str = "train",
    text_field: str = "text",
    skip_bad: bool = False,
    workers: int = 0,
    progress: Any = None,
    *counting: Any,
) -> "Options":
    from simtool.profiles.build import Budget
    from simtool.profiles.find import Options

    budget, engine = counting or (Budget(), "local")
    return Options(
        tokenizer=tokenizer,
        data=data,
        split=split,
        text_field=text_field,
        skip_bad=skip_bad,
        workers=workers or os.cpu_count() or 1,
        budget=budget,
        engine=engine,
        **({"report": progress.report} if progress else {}),
    )


def _tell_saved(paths: list[Path]) -> None:
    typer.echo(f"Saved {', '.join(path.name for path in paths)} in {paths[0].parent}.", err=True)


INTERRUPTED = 130  # what shells expect after Ctrl-C


def main() -> None:
    """Run the command line. What the user can mend is one message and exit code 2; Ctrl-C is 130."""
    try:
        code = app(standalone_mode=False)  # what typer.Exit was raised with; 130 where Ctrl-C was pressed
    except SimtoolError as error:
        print(f"simtool: {error}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        print(
            "simtool: interrupted. What was counted is kept: the same command goes on from there.",
            file=sys.stderr,
        )
        sys.exit(130)
    except BrokenPipeError:  # `simtool corpora | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # wrong usage; typer brings its own copy of click, whose classes have no public name
        if not (hasattr(error, "show") and hasattr(error, "exit_code")):
            raise
        error.show()
        sys.exit(error.exit_code)
    if code == INTERRUPTED:
        print("simtool: interrupted. What was counted is kept: the same command goes on from there.", file=sys.stderr)
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
