"""One run: from names of corpora to tokens, a recipe, a trained model, and losses before and after every phase."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from simtool.errors import SimtoolError
from simtool.evaluation.loss import DocumentLosses, evaluate, load_losses, save_losses
from simtool.mixture import Mixture
from simtool.tables import atomic_write, provenance
from simtool.tokens.store import SHARES, Overlap, TokenStore, find_store, overlap, tokenize_corpus
from simtool.tokens.tokenizer import Tokenizer, find_tokenizer_file, load_tokenizer
from simtool.training.checkpoints import export_checkpoint, recipe_of
from simtool.training.recipes import RATES, Phase, Recipe, recipe_from_json
from simtool.training.trainer import PLAIN, Execution, Trained, train

if TYPE_CHECKING:
    from simtool.profiles.resolve import Options

Report = Callable[[Any], None]

SHORT = {"nano": 256, "micro": 256}  # tokens a sequence; the others have Pythia's 2,048
SFT_SHARE = 0.1  # of the peak rate of pretraining, where no rate is given


# ---- tokens ----------------------------------------------------------------------------------------------


def tokenize(
    names: Iterable[str],
    root: Path,
    options: "Options",
    shares: Mapping[str, float] | None = None,
    tokens: int | None = None,
) -> dict[str, dict[str, TokenStore]]:
    """The stores of these corpora, made where they are not there yet: {corpus: {split: store}}.

    The training text is divided into train, validation and test; any other split that options ask for stays whole.
    """
    from simtool.profiles.resolve import find_text_or_hub

    tokenizer = load_tokenizer(options.tokenizer, options.data)
    if shares is None:
        shares = SHARES if options.split == "train" else {options.split: 1.0}
    found = {}
    for name in names:
        corpus = find_text_or_hub(name, options)
        options.report(f"Tokenizing {name}: {corpus.source.describe() if corpus.source else ''}")
        found[name] = tokenize_corpus(corpus, tokenizer, root, shares, tokens, options.skip_bad)
    return found


def overlaps(splits: Mapping[str, TokenStore]) -> dict[str, Overlap]:
    """How much of every other split of a corpus also stands in its training split."""
    if "train" not in splits:
        return {}
    return {name: overlap(store, splits["train"]) for name, store in splits.items() if name != "train"}


def stores_for(
    names: Iterable[str], split: str, root: Path, tokenizer: Tokenizer, options: "Options | None" = None
) -> dict[str, TokenStore]:
    """A split of each corpus. With options, what is not tokenized is, if its text can be found here."""
    stores = {}
    for name in dict.fromkeys(names):
        try:
            stores[name] = find_store(root, name, split, tokenizer)
        except SimtoolError:
            if options is None or not _text_is_here(name, options):
                raise
            tokenize([name], root, options)
            stores[name] = find_store(root, name, split, tokenizer)
    return stores


def _text_is_here(name: str, options: "Options") -> bool:
    from simtool.profiles.resolve import find_text

    return find_text(name, options) is not None


# ---- the recipe ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What a command asks for: phases in order, after those of the run that it goes on from."""

    model: str = "nano"
    pretrain: Mixture | None = None
    midtrain: Mixture | None = None
    cpt: Mixture | None = None
    sft: str | None = None
    tokens: int | None = None  # of pretraining, or of the one text phase there is
    midtrain_tokens: int | None = None
    epochs: int = 4
    learning_rate: float | None = None
    sft_learning_rate: float | None = None
    schedule: str = "cosine"
    length: int | None = None
    batch_size: int | None = None
    sft_batch_size: int = 64
    seed: int = 0
    fresh: bool = False  # continued pretraining with a new optimizer
    train_on: str | None = None
    precision: str = "fp32"
    mask_documents: bool = False
    max_epochs: float = 4.0
    z_loss: float = 0.0


def recipe_for(asked: Asked, tokenizer: Tokenizer, base: Recipe | None = None) -> Recipe:
    """The recipe that is asked for, going on from the end of `base` if one is given.

    A text phase after another decays from where the earlier one's schedule ended to its floor: at the same rate if
    that ended at its peak (wsd, constant), else re-warmed from `learning_rate`.
    """
    model = base.model if base else asked.model
    length = base.length if base else asked.length or SHORT.get(model, 2048)
    rate = asked.learning_rate or (base.phases[0].learning_rate if base else RATES.get(model, 3e-4))
    batch_size = asked.batch_size or (base.phases[0].batch_size if base else 16 if model in SHORT else 32)
    phases = list(base.phases) if base else []
    named = {"pretrain": asked.pretrain, "midtrain": asked.midtrain, "cpt": asked.cpt}
    n_text = sum(mixture is not None for mixture in named.values())
    if base is None and asked.pretrain is None:
        raise SimtoolError("Name what to pretrain on (--pretrain c4), or a run to go on from (--from RUN).")
    if base is not None and asked.pretrain is not None:
        raise SimtoolError("A run that goes on from another has its pretraining already: leave --pretrain out.")
    for name, mixture in named.items():
        if mixture is None:
            continue
        tokens = asked.tokens if name == "pretrain" or n_text == 1 else asked.midtrain_tokens
        if tokens is None:
            option = "--tokens" if name == "pretrain" or n_text == 1 else "--midtrain-tokens"
            raise SimtoolError(f"How many tokens for {name}? Say so: {option} 2M.")
        phases.append(
            Phase(
                _own_name(name, phases),
                mixture,
                tokens,
                rate,
                schedule=asked.schedule,
                warmup=0.01 if not phases else 0.0,
                batch_size=batch_size,
                optimizer="fresh" if name == "cpt" and asked.fresh else "carry",
            )
        )
    if asked.sft is not None:
        sft_rate = asked.sft_learning_rate or SFT_SHARE * rate
        phases.append(
            Phase(
                _own_name("sft", phases),
                Mixture({asked.sft: 1.0}),
                None,
                sft_rate,
                epochs=asked.epochs,
                warmup=0.1,
                floor=0.0,
                batch_size=asked.sft_batch_size,
                optimizer="fresh",
                train_on=asked.train_on,
                seed=asked.seed,
            )
        )
    if base is not None:
        if base.tokenizer != tokenizer.fingerprint:
            raise SimtoolError(
                f"The run to go on from is under the tokenizer {base.tokenizer}, not {tokenizer.fingerprint}"
                f" ({tokenizer.name}). Name its own with --tokenizer."
            )
        return replace(base, phases=tuple(phases), max_epochs=asked.max_epochs)
    return Recipe(
        model,
        tokenizer.fingerprint,
        tuple(phases),
        asked.seed,
        length,
        z_loss=asked.z_loss,
        mask_documents=asked.mask_documents,
        precision=asked.precision,
        max_epochs=asked.max_epochs,
    )


def _own_name(name: str, phases: Sequence[Phase]) -> str:
    names = {phase.name for phase in phases}
    return name if name not in names else next(f"{name}{n}" for n in range(2, 99) if f"{name}{n}" not in names)


def chosen_run(folder: Path) -> Path:
    """Of a sweep's folder, that of the run that was chosen; any other folder is itself."""
    path = Path(folder) / "sweep.jsonl"
    if not path.exists():
        return Path(folder)
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return path.parent / next(run_name(row["learning_rate"], row["epochs"]) for row in rows if row["chosen"])


def run_name(learning_rate: float, epochs: int) -> str:
    """What a run of a sweep is called."""
    return f"lr{learning_rate:g}-epochs{epochs}"


def recipe_of_run(folder: Path) -> Recipe:
    """The recipe of a run's folder. Raises SimtoolError when there is none."""
    path = Path(folder) / "recipe.json"
    try:
        return recipe_from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise SimtoolError(f"No run at {folder}: it has no recipe.json.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SimtoolError(f"{path} cannot be read: {error}.") from error


# ---- training and measuring ------------------------------------------------------------------------------


def train_and_measure(
    recipe: Recipe,
    stores: Mapping[str, TokenStore],
    held_out: Sequence[TokenStore],
    folder: Path,
    execution: Execution = PLAIN,
    parents: Sequence[Path] = (),
    documents: int | None = None,
    report: Report = lambda message: None,
) -> tuple[Trained, list[dict[str, Any]]]:
    """Train a recipe, then measure every held-out store at the end of every phase: one row each.

    Rows are kept in FOLDER/losses.jsonl, document-level losses in FOLDER/losses/. What was measured is not again.
    """
    trained = train(recipe, stores, folder, execution, parents, report)
    rows = []
    for name, checkpoint in trained.ends.items():
        for losses in measure(checkpoint, held_out, Path(folder) / "losses", execution, recipe, documents, report):
            rows.append({"phase": name, "checkpoint": checkpoint.name, **losses.row()})
    with atomic_write(Path(folder) / "losses.jsonl") as temporary:
        facts = provenance(recipe=recipe.fingerprint)
        temporary.write_text("".join(json.dumps({**row, **facts}) + "\n" for row in rows), encoding="utf-8")
    return trained, rows


def measure(
    checkpoint: Path,
    held_out: Sequence[TokenStore],
    kept: Path,
    execution: Execution,
    recipe: Recipe,
    documents: int | None = None,
    report: Report = lambda message: None,
) -> list[DocumentLosses]:
    """Losses of a checkpoint on whole texts and, where documents have prompts, on responses alone."""
    from simtool.training.model import load_model
    from simtool.training.trainer import find_device

    wanted = [(store, counted) for store in held_out for counted in counted_parts(store)]
    model, measured = None, []
    for store, counted in wanted:
        part = "all" if documents is None else str(documents)
        path = Path(kept) / f"{checkpoint.name}-{store.fingerprint}-{counted}-{part}.npz"
        if not path.exists():
            if model is None:
                model = load_model(checkpoint).to(find_device(execution.device))
            report(f"Measuring {store.corpus} ({store.split}, {counted}) at {checkpoint.name}")
            losses = evaluate(
                model, store, recipe.length, find_device(execution.device), counted, recipe.precision, documents
            )
            save_losses(losses, path, {"checkpoint": checkpoint.name})
        measured.append(load_losses(path))
    return measured


def counted_parts(store: TokenStore) -> tuple[str, ...]:
    return ("text", "response") if store.n_prompt_tokens.any() else ("text",)


def export(run: Path, folder: Path, tokenizer: str, data: Path | None) -> Path:
    """The last checkpoint of a run, or a checkpoint, as a folder for Hugging Face's tools, with its tokenizer."""
    checkpoint = last_checkpoint(run)
    named = load_tokenizer(tokenizer, data)
    if recipe_of(checkpoint).tokenizer != named.fingerprint:
        raise SimtoolError(f"{run} was not trained under the tokenizer {tokenizer!r}. Name its own with --tokenizer.")
    end = None if named.end_of_text is None else named.decode([named.end_of_text])
    return export_checkpoint(checkpoint, folder, find_tokenizer_file(tokenizer, data), end)


def harness_scores(
    checkpoint: Path, tasks: Sequence[str], device: str, tokenizer: str, data: Path | None
) -> list[dict[str, Any]]:
    """What lm-evaluation-harness measures: one row a metric of a task. A checkpoint is exported first, to a folder
    that is gone afterwards; any other folder must have its tokenizer beside it."""
    from simtool.evaluation.harness import run_harness

    if not (Path(checkpoint) / "position.json").exists():
        return run_harness(checkpoint, tasks, device)
    with TemporaryDirectory() as folder:
        return run_harness(export(checkpoint, Path(folder), tokenizer, data), tasks, device)


def last_checkpoint(run: Path) -> Path:
    """The checkpoint at the end of a run, or of the chosen run of a sweep; of a model's folder, itself."""
    run = chosen_run(run)
    if (run / "config.json").exists():
        return run
    recipe = recipe_of_run(run)
    checkpoint = run / "checkpoints" / recipe.fingerprint
    if not (checkpoint / "position.json").exists():
        raise SimtoolError(f"The run in {run} is not finished. Repeat its command: it goes on where it was.")
    return checkpoint
