"""What several commands take, named once; and how what is typed becomes what the functions want."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from simtool.errors import SimtoolError

if TYPE_CHECKING:
    from simtool.profiles.resolve import Options


class Engine(StrEnum):
    local = "local"
    ray = "ray"


class Unit(StrEnum):
    tokens = "tokens"
    documents = "documents"
    bytes = "bytes"


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
Feature = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--feature", help="What is compared: token, token2, char4, skeleton3, ... The metric's own by default."
    ),
]
Save = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--save", help="Folder for the table, its provenance and the picture (png, svg, pdf).", file_okay=False
    ),
]
Pretrain = Annotated[str, typer.Option("--pretrain", help="What the model is pretrained on: a corpus or mixture.")]
Mid = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--mid", help="A midtraining mixture: starcoder:0.2 (the rest is pretraining data). Repeatable."),
]
Targets = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--target", help="What the model is to get better at. Repeatable."),
]
OutputFormat = Annotated[Format, typer.Option("--format", help="How to print the result.")]


def options_of(
    tokenizer: str,
    data: Path | None,
    split: str = "train",
    text_field: str = "text",
    skip_bad: bool = False,
    workers: int = 0,
    progress: Any = None,
    *counting: Any,
) -> "Options":
    from simtool.profiles.count import Budget
    from simtool.profiles.resolve import Options

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


def amount(text: str | int) -> int:
    """ "2B" is 2,000,000,000; K, M, B and T are thousands, millions, billions (10^9) and trillions."""
    factor = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(str(text)[-1:].upper(), 1)
    try:
        tokens = round(float(str(text)[:-1] if factor > 1 else text) * factor)
    except (ValueError, OverflowError):  # the latter of "inf"
        tokens = 0
    if tokens < 1:
        raise SimtoolError(f"{text!r} is not an amount of tokens. Write 300M, 2B or a number.")
    return tokens
