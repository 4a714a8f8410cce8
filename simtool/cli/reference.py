"""Commands that count corpora, and list what is known by name: profile, corpora, metrics, tokenizers."""

from typing import Annotated, Optional

import typer

from simtool.cli.options import (
    ChatTemplate,
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
    Workers,
    at_least,
    options_of,
)
from simtool.errors import SimtoolError


def profile(
    corpora: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="CORPUS...", help="Corpora, as in `simtool matrix`.", show_default=False),
    ] = None,
    feature: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Count this feature only. May be given several times. All of them by default."),
    ] = None,
    tokenizer: TokenizerName = "default",
    tokens: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            help="Tokens taken of each corpus. All by default; of a set of the hub 10 million.",
            parser=at_least(2),
            metavar="N",
        ),
    ] = None,
    documents: Documents = None,
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Take a random sample with this seed, not the first documents: of blocks, little more read."),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="With --seed: sample single documents, whatever their order. Reads all the text."),
    ] = False,
    all: Annotated[
        bool, typer.Option("--all", help="Count all of a set of the hub; its first 10 million tokens otherwise.")
    ] = False,
    data: Data = None,
    split: Split = "train",
    text_field: TextField = None,
    chat_template: ChatTemplate = "none",
    skip_bad: SkipBad = False,
    workers: Workers = 0,
    engine: EngineName = Engine.local,
    part: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--part",
            help="Count this part only, i/n with i from 0 to n - 1: a task of an array job. Needs --parts.",
            metavar="I/N",
        ),
    ] = None,
    parts: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--parts", help="Folder that all parts go to, or a URL such as s3://bucket/parts.", metavar="URL"),
    ] = None,
    merge: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--merge", help="Add up the parts in this folder or URL; no corpus is named.", metavar="URL"),
    ] = None,
) -> None:
    """Count corpora now and keep the profiles, so that other commands find them.

    Interrupt it with Ctrl-C at any time: the same command goes on where it was. On many machines: --part, --parts and
    --merge.

    Example: simtool profile ./my_corpus.jsonl.zst --text-field content
    """
    from simtool.api import reference as api
    from simtool.display.progress import Counting
    from simtool.display.reference import print_profiles
    from simtool.profiles.count import Budget

    _check_parts(corpora, part, parts, merge)
    with Counting() as progress:
        options = options_of(
            tokenizer,
            data,
            split,
            text_field,
            skip_bad,
            workers,
            progress,
            Budget(tokens, documents, seed, exact=exact),
            engine.value,
            all=all,
            chat_template=chat_template,
        )
        features = feature or api.ALL_FEATURES
        if part is not None:
            api.profile_part(corpora or [], *_numbers(part), parts or "", features, options)
            return
        profiles = api.merge_profiles(merge, options) if merge else api.profile(corpora or [], features, options)
    print_profiles(profiles)


def _check_parts(corpora: list[str] | None, part: str | None, parts: str | None, merge: str | None) -> None:
    """What goes together: corpora, with or without --part and --parts; or --merge alone."""
    if bool(corpora) == bool(merge):
        raise SimtoolError("Name the corpora to count, or the parts to add up: --merge URL.")
    if (part is None) != (parts is None) or (merge and part):
        raise SimtoolError("Write --part i/n and --parts URL together, and --merge URL once all are counted.")


def _numbers(part: str) -> tuple[int, int]:
    index, _, of = part.partition("/")
    if not (index.isdecimal() and of.isdecimal()):
        raise SimtoolError(f"--part {part!r} is no part. Write i/n, such as 0/8.")
    return int(index), int(of)


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
        case ["show", corpus] | [corpus] if corpus not in ("show", "add"):
            print_facts(api.describe_corpus(corpus, options))
        case ["add", name, corpus]:
            print_facts(api.add_corpus(name, corpus, options))
        case _:
            raise SimtoolError(
                "Write simtool corpora, simtool corpora show CORPUS, or simtool corpora add NAME CORPUS."
            )


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
