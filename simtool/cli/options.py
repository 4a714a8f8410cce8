"""Every option that more than one command takes, by the one name and meaning that it has everywhere.

A number may be written 300k, 2M or 2B wherever one is taken. To add an option for several commands, name it here.
"""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from simtool.training.sizes import SIZES

if TYPE_CHECKING:
    from simtool.profiles.count import Budget
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


def amount(text: str | int) -> int:
    """ "2B" is 2,000,000,000; k, M, B and T are thousands, millions, billions (10^9) and trillions.

    Raises
    ------
    typer.BadParameter
        Where it is no number, or below 1; it is shown with the name of its option.
    """
    factor = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(str(text)[-1:].upper(), 1)
    try:
        number = round(float(str(text)[:-1] if factor > 1 else text) * factor)
    except (ValueError, OverflowError):  # the latter of "inf"
        number = 0
    if number < 1:
        raise typer.BadParameter(f"{text!r} is not an amount. Write 300k, 2M, 2B or a number.")
    return number


def at_least(least: int, most: int | None = None) -> Callable[[str | int], int]:
    """`amount`, where fewer than so many make no sense, or more."""

    def parse(text: str | int) -> int:
        number = amount(text)
        if number < least:
            raise typer.BadParameter(f"{text!r} is too few: {least} or more.")
        if most is not None and number > most:
            raise typer.BadParameter(f"{text!r} is too many: {most:,} or fewer.")
        return number

    return parse


# --- What is compared ---

Corpora = Annotated[
    list[str],
    typer.Argument(
        metavar="CORPUS...",
        help="A name from `simtool corpora`; a file, folder, quoted glob, pipe (-) or URL; a hub id such as "
        "openai/gsm8k:main:train; each with its FIELDS, view and split where they are needed: "
        "chat.jsonl#messages[assistant]; or a mixture such as c4:0.8+starcoder:0.2.",
        show_default=False,
    ),
]
Metric = Annotated[str, typer.Option("--metric", help="A name from `simtool metrics`.")]
MatrixMetric = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--metric", help="A name from `simtool metrics`. By default the paper's score (token) and size_free."),
]
Feature = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--feature", help="What is compared: token, token2, char4, skeleton3, ... The metric's own by default."
    ),
]
Tokens = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--tokens",
        help="Tokens taken of each corpus. As many as the smallest holds by default.",
        parser=at_least(2),
        metavar="N",
    ),
]
Resamples = Annotated[
    int,
    typer.Option(
        "--resamples", help="Random half-splits behind each interval.", parser=at_least(20, 100_000), metavar="N"
    ),
]
Documents = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--documents", help="Documents taken of each corpus. All by default.", parser=amount, metavar="N"),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]

# --- What is trained on ---

PRETRAIN, MID, CPT, TARGET = ("--pretrain", "--pre"), ("--mid",), ("--cpt",), ("--target",)
Pretrain = Annotated[str, typer.Option(*PRETRAIN, help="What the model is pretrained on: a corpus or mixture.")]
OptionalPretrain = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(*PRETRAIN, help="What the model is pretrained on: a corpus or mixture.", show_default=False),
]
Mid = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        *MID,
        help="A midtraining mixture: starcoder:0.2 (the rest is pretraining data). Repeatable.",
        show_default=False,
    ),
]
Cpt = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(*CPT, help="A corpus of continued pretraining, without any other. Repeatable.", show_default=False),
]
Targets = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(*TARGET, help="What the model is to get better at. Repeatable.", show_default=False),
]
MidTokens = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--mid-tokens", help="Length of midtraining in tokens, such as 2B.", parser=amount, metavar="N"),
]
Model = Annotated[str, typer.Option("--model", help=f"{', '.join(SIZES)}, or a folder with a config.json.")]
MaxEpochs = Annotated[
    float, typer.Option("--max-epochs", help="How often a corpus may be repeated (arXiv:2305.16264).", min=0.01)
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 ...")]
SequenceLength = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--sequence-length", help="Tokens of a window. The model's own by default.", parser=at_least(2), metavar="N"
    ),
]

# --- Where text is found, and how it is read ---

TokenizerName = Annotated[
    str,
    typer.Option(
        "--tokenizer",
        help="A name from `simtool tokenizers`; a tokenizer.json, .model, .tiktoken or folder; or a hub id.",
    ),
]
Data = Annotated[
    Optional[Path],  # noqa: UP045 (typer reads it)
    typer.Option("--data", help="Folder with corpora as NAME_SPLIT.jsonl.zst and the like.", envvar="SIMTOOL_DATA"),
]
Stores = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--stores", help="Folder of tokenized corpora. In the cache by default.", envvar="SIMTOOL_STORES"),
]
TextField = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--text-field",
        help="Field(s) of your files that hold the text: question,answer, or question->answer where the first is the"
        " prompt. Repeatable. By default what the first rows show; of one corpus alone: FILE#FIELD.",
    ),
]
ChatTemplate = Annotated[
    str,
    typer.Option(
        "--chat-template",
        help="How chats and prompts are written: none (one turn a line, as in the paper), a file, or a tokenizer's.",
        metavar="none|FILE|TOKENIZER",
    ),
]
Split = Annotated[str, typer.Option("--split", help="Which split of the named corpora.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave unreadable rows out, and count them.")]
All = Annotated[bool, typer.Option("--all", help="Count all of a large corpus; its first 10 million tokens otherwise.")]
Workers = Annotated[
    int,
    typer.Option(
        "--workers", help="Processes beside each other. 0: one per core, or per GPU; on Ray of all nodes.", min=0
    ),
]
EngineName = Annotated[Engine, typer.Option("--engine", help="local: processes on this machine. ray: a Ray cluster.")]

# --- What comes out ---

Save = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--save", help="Folder for the table, its provenance and the picture (png, svg, pdf).", file_okay=False
    ),
]
Top = Annotated[int, typer.Option("--top", help="Rows of each table.", parser=amount, metavar="N")]
Provenance = Annotated[
    bool, typer.Option("--provenance", help="Show sources and hashes of all text; they are always saved and in json.")
]
Full = Annotated[bool, typer.Option("--full", help="Show every column and interval, however wide.")]
OutputFormat = Annotated[Format, typer.Option("--format", help="How to print the result.")]


def options_of(
    tokenizer: str,
    data: Path | None,
    split: str = "train",
    text_field: list[str] | None = None,
    skip_bad: bool = False,
    workers: int = 0,
    progress: Any = None,
    budget: "Budget | None" = None,
    engine: str = "local",
    all: bool = False,
    chat_template: str = "none",
) -> "Options":
    """The options of counting, from what is typed."""
    from simtool.executor import n_processors
    from simtool.profiles.count import Budget
    from simtool.profiles.resolve import Options

    return Options(
        tokenizer=tokenizer,
        data=data,
        split=split,
        text_field=",".join(text_field) if text_field else None,
        chat_template=None if chat_template == "none" else chat_template,
        skip_bad=skip_bad,
        workers=workers or (0 if engine == Engine.ray.value else n_processors()),  # the cluster has its own number
        budget=budget or Budget(),
        engine=engine,
        **({"report": progress.report} if progress else {}),
        **({"sample": None} if all else {}),
    )
