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
def advantage(
    pretrain: Pretrain = "c4",
    mid: Mid = None,
    target: Targets = None,
    paper: Annotated[bool, typer.Option("--paper", help="The paper's five mixtures and four targets.")] = False,
    curve: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Instead of --mid: the advantage of this corpus as its share goes from 0 to 1."),
    ] = None,
    metric: Annotated[str, typer.Option(help="A name from `simtool metrics`, or auto: what did best.")] = "auto",
    feature: Feature = None,
    tokenizer: TokenizerName = "default",
    tokens: Tokens = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    data: Data = None,
    workers: Workers = 0,
    format: OutputFormat = Format.table,
    save: Save = None,
) -> None:
    """Say how much closer each midtraining mixture is to each target than the pretraining corpus is.

    Every comparison is paired: the same halves of the documents on both sides. auto is cross-entropy on skeleton2.

    Example: simtool advantage --pretrain c4 --mid starcoder:0.2 --mid math:0.12 --target pycode --target gsm8k
    """
    from simtool import advice, api, printing, printing_advice

    if paper:
        pretrain, mid, target = advice.PAPER["pretrain"], list(advice.PAPER["mid"]), list(advice.PAPER["targets"])
    with printing.Counting() as progress:
        options = _options(tokenizer, data, workers=workers, progress=progress)
        how = (metric, feature, tokens, resamples, seed, options)
        if curve is not None:
            result = advice.advantage_curve(pretrain, curve, target or [], *how)
        else:
            result = advice.advantage(pretrain, mid or [], target or [], *how)
    name = "advantage" if curve is None else "advantage_curve"
    if save is not None:
        _tell_saved(api.save_result({name: result.to_polars()}, result.facts, save))
    (printing_advice.print_advantage if curve is None else printing_advice.print_curve)(result, format.value)


@app.command()
def mix(
    more: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="[CANDIDATE]...", help="Corpora that may be mixed in.", show_default=False),
    ] = None,
    pretrain: Pretrain = "c4",
    candidates: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="The same: a corpus that may be mixed in; more may follow."),
    ] = None,
    target: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="What the model is to get better at, with a weight if there are several: gsm8k:0.5."),
    ] = None,
    keep: Annotated[Optional[list[str]], typer.Option(help='A floor: "c4>=0.5".')] = None,  # noqa: UP045
    cap: Annotated[Optional[list[str]], typer.Option(help='A cap: "starcoder<=0.3".')] = None,  # noqa: UP045
    tokens: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Length of the midtraining phase, such as 2B; with --available it limits repetition."),
    ] = None,
    available: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="How many tokens there are of a corpus: starcoder=300M."),
    ] = None,
    epochs: Annotated[float, typer.Option(help="How often a corpus may be repeated (arXiv:2305.16264).", min=0)] = 4,
    forgetting: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Budget: bits a symbol that text like the pretraining corpus may cost more.", min=0),
    ] = None,
    feature: Annotated[str, typer.Option(help="What is compared, as in `simtool matrix`.")] = "token",
    tokenizer: TokenizerName = "default",
    resamples: Resamples = 100,
    seed: Seed = 0,
    data: Data = None,
    workers: Workers = 0,
    format: OutputFormat = Format.table,
    save: Save = None,
) -> None:
    """Recommend the mixture that makes the targets cost the fewest bits, within limits, certified to be the best.

    --save draws the frontier of what is gained on the targets against what is forgotten.

    Example: simtool mix --pretrain c4 --candidates starcoder math flan --target pycode --keep "c4>=0.5"
    """
    from simtool import advice, api, printing, printing_advice
    from simtool.similarity.mixing import Limits

    named = [*(candidates or []), *(more or [])]
    if not named or not target:
        raise SimtoolError("Name at least one candidate (--candidates) and one target (--target).")
    limits = Limits(
        keep=_shares(keep, ">=", "--keep"),
        cap=_shares(cap, "<=", "--cap"),
        tokens=_amount(tokens) if tokens else None,
        available={name: _amount(amount) for name, amount in _pairs(available, "=", "--available").items()},
        max_epochs=epochs,
        forgetting=forgetting,
    )
    with printing.Counting() as progress:
        options = _options(tokenizer, data, workers=workers, progress=progress)
        result = advice.mix(pretrain, named, _weighted(target), limits, feature, resamples, seed, options)
    if save is not None:
        tables = {
            "mixture": result.recommendation.to_polars(),
            "mixture_targets": result.recommendation.targets_to_polars(),
            "mixture_frontier": result.frontier.to_polars(),
        }
        _tell_saved(api.save_result(tables, result.facts, save))
    printing_advice.print_advice(result, format.value)


@app.command()
def predict(
    out: Annotated[Path, typer.Option(help="File to write the prediction to.", dir_okay=False)],
    pretrain: Pretrain = "c4",
    mid: Mid = None,
    target: Targets = None,
    predictor: Annotated[
        str, typer.Option(help="METRIC.FEATURE such as js.token, witten_bell.skeleton3, kneser_ney, ...; or auto.")
    ] = "auto",
    tokenizer: TokenizerName = "default",
    tokens: Tokens = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    data: Data = None,
    workers: Workers = 0,
) -> None:
    """Write down, before training, which mixture will help which target most, so that it can be verified.

    Example: simtool predict --mid starcoder:0.2 --mid math:0.12 --target pycode --out prediction.json
    """
    from simtool import advice, printing, printing_advice
    from simtool.similarity.prediction import save_prediction

    with printing.Counting() as progress:
        options = _options(tokenizer, data, workers=workers, progress=progress)
        made = advice.predict(pretrain, mid or [], target or [], predictor, tokens, resamples, seed, options)
    save_prediction(made, out)
    _tell_saved([out])
    printing_advice.print_prediction(made)


@app.command()
def verify(
    prediction: Annotated[Path, typer.Argument(help="A file that `simtool predict` wrote.", show_default=False)],
    results: Annotated[
        Path,
        typer.Argument(
            help="csv or parquet: mix, target, and relative_improvement, or loss and control_loss; size, seed if any.",
            show_default=False,
        ),
    ],
    size: Annotated[Optional[str], typer.Option(help="Only results of this size of model.")] = None,  # noqa: UP045
    seed: Seed = 0,
    format: OutputFormat = Format.table,
) -> None:
    """Score a prediction by what training gave, and say whether the file was edited since it was made.

    Example: simtool verify prediction.json results.csv --size 410m
    """
    from simtool import advice, printing_advice

    printing_advice.print_verification(advice.verify(prediction, results, size, seed), format.value)


@app.command()
def explain(
    prediction: Annotated[Path, typer.Argument(help="A file that `simtool predict` wrote.", show_default=False)],
    target: Annotated[Optional[str], typer.Option(help="Only this target.")] = None,  # noqa: UP045
    mixture: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="This mixture. By default the one that was predicted to be best for the target."),
    ] = None,
    feature: Feature = None,
    top: Annotated[int, typer.Option(help="Rows a target.", min=1)] = 12,
    tokenizer: TokenizerName = "default",
    data: Data = None,
    format: OutputFormat = Format.table,
) -> None:
    """Show which tokens or n-grams of a target a predicted mixture covers that pretraining does not.

    Example: simtool explain prediction.json --target pycode
    """
    from simtool import advice, printing_advice

    result = advice.explain(prediction, target, mixture, feature, _options(tokenizer, data))
    printing_advice.print_explanations(result, top, format.value)


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


# ---- training ----


def _amount(text: str | int) -> int:
    """ "2M" is 2,000,000; k, M, B and T are known."""
    scales = {"k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
    told = str(text).strip().lower().replace("_", "").replace(",", "")
    try:
        return round(float(told[:-1]) * scales[told[-1]] if told[-1:] in scales else float(told))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a number of tokens such as 2000000, 500k or 2M.") from error


def _mixture(text: str | None) -> Any:
    from simtool.mixture import Mixture, parse_mixture

    return None if text is None else parse_mixture(text) or Mixture({text: 1.0})


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


@app.command()
def tokenize(
    corpora: Corpora,
    tokenizer: TokenizerName = "default",
    tokens: Annotated[
        AmountOption, typer.Option(help="Stop at so many tokens (2M). All by default.", parser=_amount, metavar="N")
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
    from simtool import printing
    from simtool.studies import single

    with printing.Training() as progress:
        options = _options(tokenizer, data, split, text_field, skip_bad, 1, progress)
        division = None if shares is None else dict(_mixture(shares).weights)
        found = single.tokenize(corpora, _stores_folder(stores), options, division, tokens)
    header = ["corpus", "split", "documents", "tokens", "MB", "also in train", "fingerprint"]
    rows = []
    for name, splits in found.items():
        near = single.overlaps(splits)
        for part, store in splits.items():
            doubles = f"{near[part].n_near_duplicates:,}" if part in near else ""
            size = f"{store.n_bytes.sum() / 1e6:.1f}"
            counts = [f"{store.n_documents:,}", f"{store.n_tokens:,}", size, doubles]
            rows.append([name, part, *counts, store.fingerprint])
    printing.print_rows(header, rows, format.value)


@app.command()
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
        AmountOption, typer.Option(help="Tokens of the text phase: 2M.", parser=_amount, metavar="N")
    ] = None,
    midtrain_tokens: Annotated[
        AmountOption,
        typer.Option(help="Tokens of --midtrain or --cpt beside --pretrain.", parser=_amount, metavar="N"),
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
            " chosen, and reported on the test split."
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
    seed: Seed = 0,
    tokenizer: TokenizerName = "default",
    stores: Stores = None,
    data: Data = None,
    text_field: TextField = "text",
    format: OutputFormat = Format.table,
) -> None:
    """Train a model through its phases, and measure held-out loss at the end of each.

    Interrupt or kill it at any time: the same command goes on from the last checkpoint, and ends with the same
    weights. Corpora that are not tokenized yet are, if their text is here. Under torchrun, all GPUs train together.

    Example: simtool train --model nano --pretrain c4 --tokens 2M --data ../shared/data
    """
    from simtool import printing
    from simtool.studies import single, sweep
    from simtool.tokens.tokenizer import load_tokenizer
    from simtool.training.loop import Execution, find_device

    named = load_tokenizer(tokenizer, data)
    root = _stores_folder(stores)
    execution = Execution(device, micro_batch, compile, deterministic, save_seconds=save_seconds)
    rates = sft_learning_rate or [None]
    asked = single.Asked(
        model,
        _mixture(pretrain),
        _mixture(midtrain),
        _mixture(cpt),
        sft,
        tokens,
        midtrain_tokens,
        epochs,
        learning_rate,
        rates[0],
        schedule,
        length,
        batch_size,
        sft_batch_size,
        seed,
        fresh,
        train_on,
        precision or ("bf16" if find_device(device).type == "cuda" else "fp32"),
        mask_documents,
        max_epochs,
        z_loss,
    )
    recipe = single.recipe_for(asked, named, single.recipe_of_run(base) if base else None)
    parents = [base] if base else []
    with printing.Training() as progress:
        options = _options(tokenizer, data, "train", text_field, False, 1, progress)
        read = [corpus for phase in recipe.phases for corpus in phase.mixture.weights]
        held = [*read, *(name for name in evaluate_on.split(",") if name)]
        texts = single.stores_for(read, "train", root, named, options)
        if len(rates) > 1 and sft is not None:
            splits = [single.stores_for([sft], part, root, named, options)[sft] for part in ("validation", "test")]
            done = sweep.sweep_fine_tuning(recipe, texts, *splits, out, rates, (), execution, parents, progress.report)
            rows = [
                {**row, "phase": f"lr {row['learning_rate']:g}" + (" chosen" if row["chosen"] else "")}
                for row in (*done.rows, *done.reported)
            ]
        else:
            measured = list(single.stores_for(held, evaluate_split, root, named, options).values())
            _, rows = single.train_and_measure(
                recipe, texts, measured, out, execution, parents, evaluate_documents, progress.report
            )
    printing.print_losses(rows, format.value)


@app.command()
def evaluate(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="A run, a checkpoint, or any causal model folder of transformers.", show_default=False),
    ],
    corpora: Corpora,
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
    format: OutputFormat = Format.table,
) -> None:
    """Measure a model's loss on held-out documents: nats per token and bits per byte, text and responses.

    Example: simtool evaluate run gsm8k c4
    """
    from simtool import printing
    from simtool.evaluation.loss import evaluate as measure
    from simtool.evaluation.loss import save_losses
    from simtool.studies import single
    from simtool.tokens.tokenizer import load_tokenizer
    from simtool.training.loop import find_device

    named = load_tokenizer(tokenizer, data)
    folder = single.last_checkpoint(checkpoint)
    rows = []
    with printing.Training() as progress:
        options = _options(tokenizer, data, progress=progress)
        for store in single.stores_for(corpora, split, _stores_folder(stores), named, options).values():
            for counted in single.counted_parts(store):
                losses = measure(folder, store, length, find_device(device), counted, precision, documents)
                rows.append(losses.row())
                if save is not None:
                    save_losses(losses, save / f"{store.corpus}-{store.split}-{counted}.npz".replace("/", "_"))
    printing.print_losses(rows, format.value)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run or a checkpoint.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Where to write it.", show_default=False)],
    tokenizer: TokenizerName = "default",
    data: Data = None,
) -> None:
    """Write a trained model and its tokenizer as a folder that transformers loads.

    Example: simtool export run my-model
    """
    from simtool.studies import single

    single.export(run, folder, tokenizer, data)
    typer.echo(f"Exported to {folder}: AutoModelForCausalLM.from_pretrained({str(folder)!r}).", err=True)


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


def _pairs(texts: list[str] | None, sign: str, option: str) -> dict[str, str]:
    """{"c4": "0.5"} of ["c4>=0.5"]."""
    found = {}
    for text in texts or []:
        name, between, value = text.partition(sign)
        if not between or not name.strip() or not value.strip():
            raise SimtoolError(f"{option} {text!r} is not of the form NAME{sign}VALUE.")
        found[name.strip()] = value.strip()
    return found


def _shares(texts: list[str] | None, sign: str, option: str) -> dict[str, float]:
    found = {}
    for name, value in _pairs(texts, sign, option).items():
        try:
            found[name] = float(value)
        except ValueError:
            raise SimtoolError(f"{option} {name}{sign}{value}: {value!r} is not a number.") from None
    return found


def _amount(text: str) -> int:
    """2_000_000_000 of "2B"; K, M, B and T are thousands, millions, billions (10^9) and trillions."""
    factor = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(text[-1:].upper(), 1)
    try:
        return round(float(text[:-1] if factor > 1 else text) * factor)
    except ValueError:
        raise SimtoolError(f"{text!r} is not an amount of tokens. Write 300M, 2B or a number.") from None


def _weighted(targets: list[str]) -> dict[str, float]:
    """{"gsm8k": 0.5} of ["gsm8k:0.5"]; without a weight it is 1."""
    from simtool.mixture import SHARE

    found = {}
    for text in targets:
        match = SHARE.match(text)
        found[match["corpus"] if match else text] = float(match["share"]) if match else 1.0
    return found


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
