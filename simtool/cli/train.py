"""Commands that train and measure models: tokenize, train, evaluate, export."""

import os
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


def _stores_folder(given: Path | None) -> Path:
    import platformdirs

    cache = os.environ.get("SIMTOOL_CACHE")
    return given or (Path(cache).expanduser() if cache else platformdirs.user_cache_path("simtool")) / "tokens"


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
    from simtool.display import console as printing
    from simtool.runs import texts

    with printing.Training() as progress:
        options = options_of(tokenizer, data, split, text_field, skip_bad, 1, progress)
        division = None if shares is None else dict(_mixture(shares).weights)
        found = texts.tokenize(corpora, _stores_folder(stores), options, division, tokens)
    header = ["corpus", "split", "documents", "tokens", "MB", "also in train", "fingerprint"]
    rows = []
    for name, splits in found.items():
        near = texts.overlaps(splits)
        for part, store in splits.items():
            doubles = f"{near[part].n_near_duplicates:,}" if part in near else ""
            size = f"{store.n_bytes.sum() / 1e6:.1f}"
            counts = [f"{store.n_documents:,}", f"{store.n_tokens:,}", size, doubles]
            rows.append([name, part, *counts, store.fingerprint])
    printing.print_rows(header, rows, format.value)


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
        Optional[str],  # noqa: UP045
        typer.Option(help="fp32 or bf16 (over fp32 weights). bf16 on a GPU, fp32 on a CPU by default."),
    ] = None,
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
    from simtool.display import console as printing
    from simtool.runs import run as single
    from simtool.runs import sweep
    from simtool.runs.request import Request, recipe_for
    from simtool.runs.texts import stores_for
    from simtool.tokens.tokenizer import load_tokenizer
    from simtool.training.recipes import recipe_to_json
    from simtool.training.tracking import mirrored
    from simtool.training.trainer import Execution, find_device

    named = load_tokenizer(tokenizer, data)
    root = _stores_folder(stores)
    base = single.selected_run(base) if base else None
    execution = Execution(device, micro_batch, compile, deterministic, save_seconds=save_seconds, shard=shard)
    rates = sft_learning_rate or [None]
    request = Request(
        model=model,
        pretrain=_mixture(pretrain),
        midtrain=_mixture(midtrain),
        cpt=_mixture(cpt),
        sft=sft,
        tokens=tokens,
        midtrain_tokens=midtrain_tokens,
        epochs=epochs,
        learning_rate=learning_rate,
        sft_learning_rate=rates[0],
        schedule=schedule,
        sequence_length=length,
        batch_size=batch_size,
        sft_batch_size=sft_batch_size,
        seed=seed,
        fresh=fresh,
        train_on=train_on,
        precision=precision or ("bf16" if find_device(device).type == "cuda" else "fp32"),
        mask_documents=mask_documents,
        max_epochs=max_epochs,
        z_loss=z_loss,
    )
    recipe = recipe_for(request, named, single.recipe_of_run(base) if base else None)
    parents = [base] if base else []
    facts = {"fingerprint": recipe.fingerprint, **recipe_to_json(recipe)}
    first = os.environ.get("RANK", "0") == "0"  # of the processes of torchrun: it does the talking
    with printing.Training() as progress, mirrored(track if first else None, out, facts) as mirror:

        def report(message: Any) -> None:
            if first:
                progress.report(message)
                mirror(message)

        options = options_of(tokenizer, data, "train", text_field, False, 1, progress)
        read = [corpus for phase in recipe.phases for corpus in phase.mixture.weights]
        held = [*read, *(name for name in evaluate_on.split(",") if name)]
        texts = stores_for(read, "train", root, named, options)
        if len(rates) > 1 and sft is not None:
            splits = [stores_for([sft], part, root, named, options)[sft] for part in ("validation", "test")]
            done = sweep.sweep_fine_tuning(recipe, texts, *splits, out, rates, (), execution, parents, report)
            rows = [
                {**row, "phase": f"lr {row['learning_rate']:g}" + (" selected" if row["selected"] else "")}
                for row in (*done.rows, *done.reported)
            ]
        else:
            measured = list(stores_for(held, evaluate_split, root, named, options).values())
            _, rows = single.train_and_measure(
                recipe, texts, measured, out, execution, parents, evaluate_documents, report
            )
    if first:
        printing.print_losses(rows, format.value)


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
    from simtool.display import console as printing
    from simtool.evaluation.loss import evaluate as measure
    from simtool.evaluation.loss import save_losses
    from simtool.runs import run as single
    from simtool.runs.texts import stores_for
    from simtool.tokens.tokenizer import load_tokenizer
    from simtool.training.trainer import find_device

    if not corpora and not lm_eval:
        raise SimtoolError("Name what to measure on: corpora (gsm8k c4), or tasks of the harness (--lm-eval arc_easy).")
    named = load_tokenizer(tokenizer, data)
    folder = single.last_checkpoint(checkpoint)
    rows = []
    with printing.Training() as progress:
        options = options_of(tokenizer, data, progress=progress)
        for store in stores_for(corpora or (), split, _stores_folder(stores), named, options).values():
            for loss_on in single.loss_parts(store):
                losses = measure(folder, store, length, find_device(device), loss_on, precision, documents)
                rows.append(losses.row())
                if save is not None:
                    save_losses(losses, save / f"{store.corpus}-{store.split}-{loss_on}.npz".replace("/", "_"))
    if rows:
        printing.print_losses(rows, format.value)
    if lm_eval:
        tasks = [task for task in lm_eval.split(",") if task]
        scores = single.harness_scores(folder, tasks, str(find_device(device)), tokenizer, data)
        printing.print_scores(scores, format.value)


def export(
    run: Annotated[Path, typer.Argument(help="A run, a sweep or a checkpoint.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Where to write it.", show_default=False)],
    tokenizer: TokenizerName = "default",
    data: Data = None,
) -> None:
    """Write a trained model and its tokenizer as a folder that transformers loads.

    Example: simtool export run my-model
    """
    from simtool.runs import run as single

    single.export(run, folder, tokenizer, data)
    typer.echo(f"Exported to {folder}: AutoModelForCausalLM.from_pretrained({str(folder)!r}).", err=True)
