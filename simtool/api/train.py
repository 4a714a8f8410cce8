"""Training and measuring models: `simtool.train(simtool.Request(pretrain="c4", pretrain_tokens=2_000_000), "run")`."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from simtool.api.tokenize import stores_folder
from simtool.evaluation.loss import DocumentLosses, save_losses
from simtool.evaluation.loss import evaluate as measure
from simtool.profiles.resolve import Options
from simtool.runs import run as runs
from simtool.runs import texts
from simtool.runs.request import Request, recipe_for, tokens_needed
from simtool.runs.sweep import FineTuningSweep, sweep_fine_tuning
from simtool.tokens.tokenizer import load_tokenizer
from simtool.training.hardware import find_device
from simtool.training.recipes import Recipe, recipe_to_json
from simtool.training.tracking import mirrored
from simtool.training.trainer import PLAIN, Execution


def train(
    request: Request,
    folder: Path,
    base: Path | None = None,
    evaluate_on: Sequence[str] = (),
    split: str = "validation",
    documents: int | None = None,
    sft_rates: Sequence[float] = (),
    execution: Execution = PLAIN,
    track: str | None = None,
    stores: Path | None = None,
    options: Options | None = None,
) -> list[dict[str, Any]]:
    """Train a model through the phases of a request, and measure held-out loss at the end of each.

    What was trained already in `folder` is gone on with.

    Parameters
    ----------
    base
        A finished run to go on from.
    evaluate_on
        Corpora to measure beside those that are trained on.
    split, documents
        What is measured: this split, and so many documents of each corpus (None: all).
    sft_rates
        Several peak rates of SFT: the best on the validation split is selected, and reported on the test split.
    track
        A tracker that mirrors the metrics: tensorboard, wandb or trackio.

    Returns
    -------
    One row per phase, corpus and part (text or response): nats_per_token, bits_per_byte, n_documents, n_tokens ...
    """
    options = options or Options()
    tokenizer, root = load_tokenizer(options.tokenizer, options.data), stores_folder(stores)
    base = runs.selected_run(base) if base else None
    if request.precision == "auto":
        request = replace(request, precision="bf16" if find_device(execution.device).type == "cuda" else "fp32")
    recipe = recipe_for(request, tokenizer, runs.recipe_of_run(base) if base else None)
    parents = [base] if base else []
    with _reporting(recipe, Path(folder), track, options.report) as report:
        options = replace(options, report=report)
        names = [corpus for phase in recipe.phases for corpus in phase.mixture.weights]
        needed = tokens_needed(recipe)
        corpora = texts.stores_for(names, "train", root, tokenizer, options, needed)
        if len(sft_rates) > 1 and request.sft is not None:
            splits = [
                texts.stores_for([request.sft], part, root, tokenizer, options, needed)[request.sft]
                for part in ("validation", "test")
            ]
            return _sweep_rows(
                sweep_fine_tuning(recipe, corpora, *splits, folder, sft_rates, (), execution, parents, report)
            )
        held_out = list(texts.stores_for([*names, *evaluate_on], split, root, tokenizer, options, needed).values())
        _, rows = runs.train_and_measure(recipe, corpora, held_out, folder, execution, parents, documents, report)
        return rows


def is_main_process() -> bool:
    """Whether this process prints: the first of those of torchrun, or the only one."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _reporting(
    recipe: Recipe, folder: Path, track: str | None, report: Callable[[Any], None]
) -> Iterator[Callable[[Any], None]]:
    """The report function of a run: to the caller and to the tracker, from the main process alone."""
    if not is_main_process():
        yield lambda message: None
        return
    with mirrored(track, folder, {"fingerprint": recipe.fingerprint, **recipe_to_json(recipe)}) as mirror:

        def to_both(message: Any) -> None:
            report(message)
            mirror(message)

        yield to_both


def _sweep_rows(sweep: FineTuningSweep) -> list[dict[str, Any]]:
    return [
        {**row, "phase": f"lr {row['learning_rate']:g}" + (" selected" if row["selected"] else "")}
        for row in (*sweep.rows, *sweep.reported)
    ]


def evaluate(
    checkpoint: Path,
    corpora: Sequence[str],
    split: str = "validation",
    documents: int | None = None,
    length: int | None = None,
    precision: str = "fp32",
    device: str = "auto",
    save: Path | None = None,
    stores: Path | None = None,
    options: Options | None = None,
) -> list[DocumentLosses]:
    """Losses of a run, a checkpoint or a folder of transformers on held-out documents, whole and responses alone.

    Parameters
    ----------
    documents
        Measured of each corpus; None: all.
    length
        Tokens of a window; by default what the model was trained with.
    save
        Folder for the losses of each document (npz).
    """
    options = options or Options()
    tokenizer, model = load_tokenizer(options.tokenizer, options.data), runs.last_checkpoint(checkpoint)
    measured = []
    for store in texts.stores_for(corpora, split, stores_folder(stores), tokenizer, options).values():
        for part in runs.loss_parts(store):
            losses = measure(model, store, length, find_device(device), part, precision, documents)
            measured.append(losses)
            if save is not None:
                save_losses(losses, Path(save) / f"{store.corpus}-{store.split}-{part}.npz".replace("/", "_"))
    return measured


def scores(
    checkpoint: Path,
    tasks: Sequence[str],
    device: str = "auto",
    tokenizer: str = "default",
    data: Path | None = None,
) -> list[dict[str, Any]]:
    """What lm-evaluation-harness measures: one row per task and metric."""
    model = runs.last_checkpoint(checkpoint)
    return runs.harness_scores(model, tasks, str(find_device(device)), tokenizer, data)


def export(run: Path, folder: Path, tokenizer: str = "default", data: Path | None = None) -> Path:
    """Write a trained model and its tokenizer as a folder that transformers loads."""
    return runs.export(run, folder, tokenizer, data)
