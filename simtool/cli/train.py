"""Commands that train and measure models: tokenize, train, evaluate, export."""

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from simtool.cli.options import (
    Corpora,
    Data,
    Format,
    OutputFormat,
    Seed,
    SkipBad,
    Split,
    TextField,
    TokenizerName,
    amount,
    options_of,
)
from simtool.errors import SimtoolError


def _mixture(text: str | None) -> Any:
    from simtool.mixture import parse_mixture

    return None if text is None else parse_mixture(text)


Stores = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--stores", help="Folder of tokenized corpora. In the cache by default.", envvar="SIMTOOL_STORES"),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 ...")]
AmountOption = Optional[int]  # noqa: UP045


def tokenize(
    corpora: Corpora,
    tokenizer: TokenizerName = "default",
    tokens: Annotated[
        AmountOption, typer.Option(help="Stop at so many tokens (2M). All by default.", parser=amount, metavar="N")
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
    text_field: TextField = "text",
    skip_bad: SkipBad = False,
    format: OutputFormat = Format.table,
) -> None:
    """Turn corpora into token ids on disk once, divided into splits by the content of each document.

    Prints how much of each held-out split also stands in the training split, by shared runs of 13 tokens.

    Example: simtool tokenize c4 gsm8k --data ../shared/data
    """
    from simtool.api import train as api
    from simtool.display.progress import Training
    from simtool.display.train import print_stores

    with Training() as progress:
        options = options_of(tokenizer, data, split, text_field, skip_bad, 1, progress)
        division = None if shares is None else dict(_mixture(shares).weights)
        tokenized = api.tokenize(corpora, stores, division, tokens, options)
        print_stores(tokenized, format.value)


def train(
    pretrain: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Corpus or mixture to start on: c4, or c4:0.9+wikipedia:0.1.", show_default=False),
    ] = None,
    midtrain: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Mixture to go on with, the optimizer carried: c4:0.8+starcoder:0.2.", show_default=False),
    ] = None,
    cpt: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Corpus to go on with alone: continued pretraining.", show_default=False),
    ] = None,
    sft: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Corpus of examples to fine-tune on last: gsm8k.", show_default=False),
    ] = None,
    tokens: Annotated[
        AmountOption, typer.Option(help="Tokens of the text phase: 2M.", parser=amount, metavar="N")
    ] = None,
    midtrain_tokens: Annotated[
        AmountOption,
        typer.Option(help="Tokens of --midtrain or --cpt beside --pretrain.", parser=amount, metavar="N"),
    ] = None,
    model: Annotated[
        str, typer.Option(help="nano, micro, 14m, 31m, 70m, 160m, 410m, 1b, 1.4b, or a folder with a config.json.")
    ] = "nano",
    out: Annotated[Path, typer.Option(help="Folder of the run. The same command goes on in it.")] = Path("run"),
    base: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--from", help="A finished run to go on from: its model, length and phases are taken over."),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the examples in --sft.", min=1)] = 4,
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
    schedule: Annotated[str, typer.Option(help="cosine, wsd, constant or linear.")] = "cosine",
    length: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Tokens a sequence. 256 for nano and micro, 2048 otherwise.", min=8),
    ] = None,
    batch_size: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Sequences a step. 16 for nano and micro, 32 otherwise.", min=1),
    ] = None,
    sft_batch_size: Annotated[int, typer.Option(help="Examples a step in --sft.", min=1)] = 64,
    train_on: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="What --sft learns: response or text. As the corpus says by default."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="A new optimizer for --cpt.")] = False,
    evaluate_on: Annotated[
        str, typer.Option("--evaluate", help="More corpora to measure, with commas: gsm8k,pycode.")
    ] = "",
    evaluate_split: Annotated[str, typer.Option(help="The split that is measured.")] = "validation",
    evaluate_documents: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Measure so many documents of each. All by default.", min=1),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="fp32, bf16 (over fp32 weights), or auto: bf16 on a GPU, fp32 on a CPU.")
    ] = "auto",
    mask_documents: Annotated[
        bool, typer.Option("--mask-documents", help="Attention ends where a document does, in text phases too.")
    ] = False,
    z_loss: Annotated[float, typer.Option(help="Weight of the square of logsumexp; 1e-4 is usual.", min=0)] = 0.0,
    max_epochs: Annotated[float, typer.Option(help="More passes over a corpus than that are an error.")] = 4.0,
    device: Device = "auto",
    micro_batch: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Rows of a forward pass; halved when they do not fit.", min=1),
    ] = None,
    compile: Annotated[bool, typer.Option("--compile", help="torch.compile the model.")] = False,
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
        typer.Option(help="Mirror the metrics in tensorboard, wandb or trackio, if installed.", show_default=False),
    ] = None,
    seed: Seed = 0,
    tokenizer: TokenizerName = "default",
    stores: Stores = None,
    data: Data = None,
    text_field: TextField = "text",
    format: OutputFormat = Format.table,
) -> None:
    """Train a model through its phases, and measure held-out loss at the end of each.

    Interrupt or kill it at any time: the same command goes on from the last checkpoint, and ends with the same
    weights. Corpora that are not tokenized yet are, if their text is here. Under torchrun, all GPUs train together:
    torchrun --nproc-per-node 8 -m simtool.cli train ...

    Example: simtool train --model nano --pretrain c4 --tokens 2M --data ../shared/data
    """
    from simtool.api import train as api
    from simtool.display.progress import Training
    from simtool.display.train import print_losses

    request = api.Request(
        model=model,
        pretrain=_mixture(pretrain),
        midtrain=_mixture(midtrain),
        cpt=_mixture(cpt),
        sft=sft,
        tokens=tokens,
        midtrain_tokens=midtrain_tokens,
        epochs=epochs,
        learning_rate=learning_rate,
        sft_learning_rate=(sft_learning_rate or [None])[0],
        schedule=schedule,
        sequence_length=length,
        batch_size=batch_size,
        sft_batch_size=sft_batch_size,
        seed=seed,
        fresh=fresh,
        train_on=train_on,
        precision=precision,
        mask_documents=mask_documents,
        max_epochs=max_epochs,
        z_loss=z_loss,
    )
    execution = api.Execution(device, micro_batch, compile, deterministic, save_seconds=save_seconds, shard=shard)
    more = [name for name in evaluate_on.split(",") if name]
    with Training() as progress:
        options = options_of(tokenizer, data, "train", text_field, False, 1, progress)
        rows = api.train(
            *(request, out, base, more, evaluate_split, evaluate_documents, sft_learning_rate or (), execution, track),
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
    documents: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Measure so many documents. All by default.", min=1),
    ] = None,
    length: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Tokens a window. What the model was made for by default.", min=2),
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    device: Device = "auto",
    tokenizer: TokenizerName = "default",
    stores: Stores = None,
    data: Data = None,
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
        options = options_of(tokenizer, data, progress=progress)
        losses = api.evaluate(
            checkpoint, corpora or (), split, documents, length, precision, device, save, stores, options
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
