"""Commands that count corpora, and list what is known by name: profile, corpora, metrics, tokenizers."""

from typing import Annotated, Optional

import typer

from simtool.cli.options import (
    ChatTemplate,
    Corpora,
    Data,
    Documents,
    Engine,
    EngineName,
    Format,
    OutputFormat,
    SkipBad,
    Split,
    TextField,
    TokenizerName,
    Tokens,
    Workers,
    options_of,
)
from simtool.errors import SimtoolError


def profile(
    corpora: Corpora,
    feature: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Count this feature only. May be given several times. All of them by default."),
    ] = None,
    tokenizer: TokenizerName = "default",
    tokens: Tokens = None,
    documents: Documents = None,
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Take a random sample with this seed, not the first documents. Reads all the text."),
    ] = None,
    data: Data = None,
    split: Split = "train",
    text_field: TextField = None,
    chat_template: ChatTemplate = "none",
    skip_bad: SkipBad = False,
    workers: Workers = 0,
    engine: EngineName = Engine.local,
) -> None:
    """Count corpora now and keep the profiles, so that other commands find them.

    Interrupt it with Ctrl-C at any time: the same command goes on where it was.

    Example: simtool profile ./my_corpus.jsonl.zst --text-field content
    """
    from simtool.api import reference as api
    from simtool.display.progress import Counting
    from simtool.display.reference import print_profiles
    from simtool.profiles.count import Budget

    with Counting() as progress:
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
            chat_template=chat_template,
        )
        profiles = api.profile(corpora, feature or api.ALL_FEATURES, options)
    print_profiles(profiles)


def corpora(
    words: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            metavar="[show CORPUS | add NAME CORPUS]",
            help="show: any corpus as it will be read and masked (one of the list may be named alone). add: write it"
            " into the corpora file under a name.",
            show_default=False,
        ),
    ] = None,
    tokenizer: TokenizerName = "default",
    data: Data = None,
    chat_template: ChatTemplate = "none",
    format: OutputFormat = Format.table,
) -> None:
    """List the corpora that are known by name; show any corpus as it will be read; name one of your own.

    Example: simtool corpora show gsm8k
    """
    from simtool.api import reference as api
    from simtool.display.reference import print_corpora, print_facts

    options = options_of(tokenizer, data, chat_template=chat_template)
    match words or []:
        case []:
            print_corpora(*api.list_corpora(options), format.value)
        case ["show", corpus] | [corpus]:
            print_facts(api.describe_corpus(corpus, options))
        case ["add", name, corpus]:
            print_facts(api.add_corpus(name, corpus, options))
        case _:
            raise SimtoolError("Write `corpora`, `corpora show CORPUS`, or `corpora add NAME CORPUS`.")


def metrics(format: OutputFormat = Format.table) -> None:
    """List the similarities: range, symmetry, source, and when to use which.

    Example: simtool metrics --format markdown
    """
    from simtool.api import reference as api
    from simtool.display.console import print_rows

    print_rows(*api.list_metrics(), format.value, prose=("when to use it", "source"))


def tokenizers(data: Data = None, format: OutputFormat = Format.table) -> None:
    """List the tokenizers that are known by name, and whether each can be used now.

    Example: simtool tokenizers
    """
    from simtool.api import reference as api
    from simtool.display.console import print_rows

    print_rows(*api.list_tokenizers(data), format.value, prose=("what it is",))
