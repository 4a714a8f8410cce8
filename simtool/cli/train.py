"""Commands that train and measure models: tokenize, train, evaluate, export."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from simtool.cli.options import (
    CPT,
    MID,
    TARGET,
    ChatTemplate,
    Corpora,
    Data,
    Device,
    Documents,
    Format,
    MaxEpochs,
    MidTokens,
    Model,
    OptionalPretrain,
    OutputFormat,
    Seed,
    SequenceLength,
    SkipBad,
    Split,
    Stores,
    TextField,
    TokenizerName,
    amount,
    options_of,
)
from simtool.errors import SimtoolError
from simtool.training.schedules import SCHEDULES
from simtool.training.tracking import TRACKERS


def tokenize(
    corpora: Corpora,
    tokenizer: TokenizerName = "default",
    tokens: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            help="Tokens taken of each corpus. All by default; 10 million of text that is made here.",
            parser=amount,
            metavar="N",
        ),
    ] = None,
    shares: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="How documents are divided. train:0.9+validation:0.05+test:0.05 by default; any other --split"
            " stays whole."
        ),
    ] = None,
    stores: Stores = None,
    data: Data = None,
    split: Split = "train",
    text_field: TextField = None,
    chat_template: ChatTemplate = "none",
    skip_bad: SkipBad = False,
    format: OutputFormat = Format.table,
) -> None:
    """Turn corpora into token ids on disk once, divided into splits by the content of each document.

    Prints how much of each held-out split also stands in the training split, by shared runs of 13 tokens.

    Example: simtool tokenize c4 gsm8k --data ../shared/data
    """
    from simtool.api import tokenize as api
    from simtool.display.progress import Training
    from simtool.display.train import print_stores
    from simtool.mixture import parse_mixture

    with Training() as progress:
        options = options_of(tokenizer, data, split, text_field, skip_bad, 1, progress, chat_template=chat_template)
        division = None if shares is None else parse_mixture(shares).weights
        tokenized = api.tokenize(corpora, stores, division, tokens, options)
        print_stores(tokenized, format.value)


def train(
    pretrain: OptionalPretrain = None,
    mid: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            *MID,
            help="What to go on with, the optimizer carried: starcoder:0.2 (the rest is pretraining data).",
            show_default=False,
        ),
    ] = None,
    cpt: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(*CPT, help="A corpus to go on with, without any other.", show_default=False),
    ] = None,
    sft: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--sft", *TARGET, help="Corpus of examples to fine-tune on last: gsm8k.", show_default=False),
    ] = None,
    pretrain_tokens: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Length of pretraining in tokens, such as 2M.", parser=amount, metavar="N"),
    ] = None,
    mid_tokens: MidTokens = None,
    model: Model = "nano",
    out: Annotated[Path, typer.Option(help="Folder of the run. The same command goes on in it.")] = Path("run"),
    base: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--from", help="A finished run to go on from: its model, length and phases are taken over."),
    ] = None,
    sft_epochs: Annotated[int, typer.Option(help="Passes over the examples in --sft.", parser=amount, metavar="N")] = 4,
    learning_rate: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Peak rate of text phases. The size's own by default."),
    ] = None,
    sft_learning_rate: Annotated[
        Optional[list[float]],  # noqa: UP045
        typer.Option(
            help="Peak rate of --sft; a tenth of the text's by default. Several: the best on the validation split is"
            " selected, and reported on the test split."
        ),
    ] = None,
    schedule: Annotated[str, typer.Option(help=f"{', '.join(SCHEDULES)}.")] = "cosine",
    sequence_length: SequenceLength = None,
    batch_size: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Sequences of a step. The model's own by default.", parser=amount, metavar="N"),
    ] = None,
    sft_batch_size: Annotated[int, typer.Option(help="Examples of a step in --sft.", parser=amount, metavar="N")] = 64,
    train_on: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="What --sft learns: response or text. As the corpus says by default."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="A new optimizer for --cpt.")] = False,
    evaluate_on: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--evaluate", help="One more corpus to measure. Repeatable.", show_default=False),
    ] = None,
    evaluate_split: Annotated[str, typer.Option(help="The split that is measured.")] = "validation",
    evaluate_documents: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Documents measured of each corpus. All by default.", parser=amount, metavar="N"),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="fp32, bf16 (over fp32 weights), or auto: bf16 on a GPU, fp32 on a CPU.")
    ] = "auto",
    residual_precision: Annotated[
        str, typer.Option(help="What layers hand on: fp32, or bf16 where that is the precision.")
    ] = "fp32",
    mask_documents: Annotated[
        bool, typer.Option("--mask-documents", help="Attention ends where a document does, in text phases too.")
    ] = False,
    z_loss: Annotated[float, typer.Option(help="Weight of the square of logsumexp; 1e-4 is usual.", min=0)] = 0.0,
    max_epochs: MaxEpochs = 4,
    device: Device = "auto",
    micro_batch: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Rows of a forward pass; halved when they do not fit.", parser=amount, metavar="N"),
    ] = None,
    compile: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="torch.compile the layers; usual on a GPU.")
    ] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Same seed, same device, same bits, on a GPU too.")
    ] = False,
    save_seconds: Annotated[float, typer.Option(help="Seconds between checkpoints.")] = 120.0,
    shard: Annotated[
        bool,
        typer.Option("--shard", help="Under torchrun, divide weights and optimizer between the processes (FSDP2)."),
    ] = False,
    track: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help=f"Mirror the metrics in {', '.join(TRACKERS)}, if installed.", show_default=False),
    ] = None,
    seed: Seed = 0,
    tokenizer: TokenizerName = "default",
    stores: Stores = None,
    data: Data = None,
    skip_bad: SkipBad = False,
    text_field: TextField = None,
    chat_template: ChatTemplate = "none",
    format: OutputFormat = Format.table,
) -> None:
    """Train a model through its phases, and measure held-out loss at the end of each.

    Interrupt or kill it at any time: the same command goes on from the last checkpoint, and ends with the same
    weights. Corpora that are not tokenized yet are, if their text is here. Under torchrun, all GPUs train together:
    torchrun --nproc-per-node 8 -m simtool.cli train ...

    Example: simtool train --model nano --pretrain c4 --pretrain-tokens 2M --data ../shared/data
    """
    from simtool.api import train as api
    from simtool.display.progress import Training
    from simtool.display.train import print_losses

    request = api.Request(
        model=model,
        pretrain=pretrain,
        mid=mid,
        cpt=cpt,
        sft=sft,
        pretrain_tokens=pretrain_tokens,
        mid_tokens=mid_tokens,
        sft_epochs=sft_epochs,
        learning_rate=learning_rate,
        sft_learning_rate=(sft_learning_rate or [None])[0],
        schedule=schedule,
        sequence_length=sequence_length,
        batch_size=batch_size,
        sft_batch_size=sft_batch_size,
        seed=seed,
        fresh=fresh,
        train_on=train_on,
        precision=precision,
        residual_precision=residual_precision,
        mask_documents=mask_documents,
        max_epochs=max_epochs,
        z_loss=z_loss,
    )
    execution = api.Execution(device, micro_batch, compile, deterministic, save_seconds=save_seconds, shard=shard)
    with Training() as progress:
        options = options_of(tokenizer, data, "train", text_field, skip_bad, 1, progress, chat_template=chat_template)
        rows = api.train(
            *(
                request,
                out,
                base,
                evaluate_on or (),
                evaluate_split,
                evaluate_documents,
                sft_learning_rate or (),
                execution,
                track,
            ),
            *(stores, options),
        )
    if api.is_main_process():
        print_losses(rows, format.value)


def evaluate(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="A run, a sweep, a checkpoint, or any causal model folder of transformers.", show_default=False
        ),
    ],
    corpora: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="[CORPUS]...", help="Corpora by name, or files.", show_default=False),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Which split of the tokenized corpora.")] = "validation",
    documents: Documents = None,
    sequence_length: SequenceLength = None,
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    device: Device = "auto",
    tokenizer: TokenizerName = "default",
    stores: Stores = None,
    data: Data = None,
    skip_bad: SkipBad = False,
    text_field: TextField = None,
    chat_template: ChatTemplate = "none",
    save: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for the losses of every document (npz).", file_okay=False),
    ] = None,
    lm_eval: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--lm-eval", help="Tasks of lm-evaluation-harness, with commas, if it is installed.", show_default=False
        ),
    ] = None,
    format: OutputFormat = Format.table,
) -> None:
    """Measure a model's loss on held-out documents: nats per token and bits per byte, text and responses.

    Example: simtool evaluate run gsm8k c4
    """
    from simtool.api import train as api
    from simtool.display.progress import Training
    from simtool.display.train import print_losses, print_scores

    if not corpora and not lm_eval:
        raise SimtoolError("Name what to measure on: corpora (gsm8k c4), or tasks of the harness (--lm-eval arc_easy).")
    with Training() as progress:
        options = options_of(
            tokenizer, data, text_field=text_field, skip_bad=skip_bad, progress=progress, chat_template=chat_template
        )
        losses = api.evaluate(
            checkpoint, corpora or (), split, documents, sequence_length, precision, device, save, stores, options
        )
    if losses:
        print_losses([measured.row() for measured in losses], format.value)
    if lm_eval:
        tasks = [task for task in lm_eval.split(",") if task]
        print_scores(api.scores(checkpoint, tasks, device, tokenizer, data), format.value)


def export(
    run: Annotated[Path, typer.Argument(help="A run, a sweep or a checkpoint.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Where to write it.", show_default=False)],
    tokenizer: TokenizerName = "default",
    data: Data = None,
) -> None:
    """Write a trained model and its tokenizer as a folder that transformers loads.

    Example: simtool export run my-model
    """
    from simtool.api import train as api

    api.export(run, folder, tokenizer, data)
    typer.echo(f"Exported to {folder}: AutoModelForCausalLM.from_pretrained({str(folder)!r}).", err=True)
