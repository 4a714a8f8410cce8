"""One run: trained through its phases, measured at the end of each; its folder, its last checkpoint, its export."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from simtool.errors import SimtoolError
from simtool.evaluation.loss import DocumentLosses, evaluate, existing_losses, save_losses
from simtool.integrity import checked, damage_as_message, parse_json
from simtool.tables import atomic_write, provenance
from simtool.tokens.files import find_tokenizer_file
from simtool.tokens.store import TokenStore
from simtool.tokens.tokenizer import load_tokenizer
from simtool.training.checkpoints import export_checkpoint, recipe_of
from simtool.training.recipes import Recipe, read_recipe
from simtool.training.trainer import PLAIN, Execution, Trained, train

Report = Callable[[Any], None]
SWEEP_ROW = (  # of sweep.jsonl before its rows carried a hash
    "learning_rate", "epochs", "selected", "corpus", "split", "loss_on", "nats_per_token", "bits_per_byte",
    "n_documents", "n_tokens", "n_bytes", "store", "simtool", "made", "recipe", "selected_on", "selected_by", "counted",
)  # fmt: skip

# ---- folders ---------------------------------------------------------------------------------------------


def selected_run(folder: Path) -> Path:
    """Of a sweep's folder, that of the run that was selected; any other folder is itself."""
    path = Path(folder) / "sweep.jsonl"
    if not path.exists():
        return Path(folder)
    with damage_as_message(path, "Repeat the command of the sweep: it is written anew, and nothing is trained again."):
        rows = [checked(parse_json(line), SWEEP_ROW) for line in path.read_text(encoding="utf-8").splitlines()]
        selected = [run_name(row["learning_rate"], row["epochs"]) for row in rows if row["selected"]]
        if not selected:
            raise ValueError("no run of it is selected")
        return path.parent / selected[0]


def run_name(learning_rate: float, epochs: int) -> str:
    """What a run of a sweep is called."""
    return f"lr{learning_rate:g}-epochs{epochs}"


def recipe_of_run(folder: Path) -> Recipe:
    """The recipe of a run's folder.

    Raises
    ------
    SimtoolError
        When there is none.
    """
    path = Path(folder) / "recipe.json"
    if not path.exists():
        raise SimtoolError(f"No run at {folder}: it has no recipe.json.")
    return read_recipe(path)


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
    """Train a recipe, then measure every held-out store at the end of each phase: one row per phase and store.

    Rows go to FOLDER/losses.jsonl, document-level losses to FOLDER/losses/; what is there already is read back.
    """
    trained = train(recipe, stores, folder, execution, parents, report)
    if gone := [phase.name for phase in recipe.phases if phase.name not in trained.ends]:
        report(f"No checkpoint of the end of {', '.join(gone)} is left: it is not measured. A new --out trains all.")
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
    folder: Path,
    execution: Execution,
    recipe: Recipe,
    documents: int | None = None,
    report: Report = lambda message: None,
) -> list[DocumentLosses]:
    """Losses of a checkpoint on whole texts and, where documents have prompts, on responses alone."""
    from simtool.training.hardware import find_device
    from simtool.training.model import load_model

    pairs = [(store, loss_on) for store in held_out for loss_on in loss_parts(store)]
    model, measured = None, []
    for store, loss_on in pairs:
        part = "all" if documents is None else str(documents)
        path = Path(folder) / f"{checkpoint.name}-{store.fingerprint}-{loss_on}-{part}.npz"
        losses = existing_losses(path)
        if losses is None:
            if model is None:
                model = load_model(checkpoint).to(find_device(execution.device))
            report(f"Measuring {store.corpus} ({store.split}, {loss_on}) at {checkpoint.name}")
            losses = evaluate(
                model,
                store,
                recipe.sequence_length,
                find_device(execution.device),
                loss_on,
                recipe.precision,
                documents,
            )
            save_losses(losses, path, {"checkpoint": checkpoint.name})
        measured.append(losses)
    return measured


def loss_parts(store: TokenStore) -> tuple[str, ...]:
    """What of a store's documents can be measured: whole texts and, where documents have prompts, responses."""
    return ("text", "response") if store.has_masks else ("text",)


def export(run: Path, folder: Path, tokenizer: str, data: Path | None) -> Path:
    """The last checkpoint of a run, or a checkpoint, as a folder for Hugging Face's tools, with its tokenizer."""
    checkpoint = last_checkpoint(run)
    loaded = load_tokenizer(tokenizer, data)
    if recipe_of(checkpoint).tokenizer != loaded.fingerprint:
        raise SimtoolError(f"{run} was not trained under the tokenizer {tokenizer!r}. Name its own with --tokenizer.")
    end = None if loaded.end_of_text is None else loaded.decode([loaded.end_of_text])
    return export_checkpoint(checkpoint, folder, find_tokenizer_file(tokenizer, data), end)


def harness_scores(
    checkpoint: Path, tasks: Sequence[str], device: str, tokenizer: str, data: Path | None
) -> list[dict[str, Any]]:
    """What lm-evaluation-harness measures: one row per metric of a task. A checkpoint is exported first, to a folder
    that is gone afterwards; any other folder must have its tokenizer beside it."""
    from simtool.evaluation.harness import run_harness

    if not (Path(checkpoint) / "position.json").exists():
        return run_harness(checkpoint, tasks, device)
    with TemporaryDirectory() as folder:
        return run_harness(export(checkpoint, Path(folder), tokenizer, data), tasks, device)


def last_checkpoint(run: Path) -> Path:
    """The checkpoint at the end of a run, or of the selected run of a sweep; of a model's folder, itself."""
    run = selected_run(run)
    if (run / "config.json").exists():
        return run
    recipe = recipe_of_run(run)
    checkpoint = run / "checkpoints" / recipe.fingerprint
    if not (checkpoint / "position.json").exists():
        raise SimtoolError(f"The run in {run} is not finished. Repeat its command: it goes on where it was.")
    return checkpoint
