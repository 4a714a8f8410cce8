"""Train the nodes of a study's plan and measure them, in whichever process that happens.

A node's folder holds its checkpoint and, when it is measured, `done.json` with its rows.
"""

import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from simtool import executor
from simtool.errors import SimtoolError, TrainingDiverged
from simtool.integrity import checked, read_json
from simtool.studies.records import current_names
from simtool.tables import save_json
from simtool.tokens.store import TokenStore, load_store
from simtool.training.recipes import Recipe, recipe_from_json

Job = Mapping[str, Any]
NOT_SAVED = "What it goes on from is not saved: the run before it failed."
Report = Callable[[Any], None]
# names in done.json before it carried a hash
DONE = frozenset({"rows", "recipe", "achieved", "simtool", "made", "python", "commit", "device", "torch"})


def run_nodes(jobs: Sequence[Job], report: Report) -> list[dict[str, Any] | SimtoolError]:
    """Train nodes from their parent's end, measure them, and write their rows: the result of each.

    What goes wrong with one of several stands in the place of its result; with a single one it is raised.

    Parameters
    ----------
    jobs
        Plain values: recipe, folder, parents, stores {corpus: folder}, measured, documents, device, keep, facts.
        Several are trained as an ensemble; those whose parent failed are left out.
    """
    results: dict[int, Any] = {i: finished_result(job) for i, job in enumerate(jobs)}  # another study may have done it
    left = [i for i in results if results[i] is None]
    if len(jobs) == 1 and left:
        return [_run_single(jobs[0])]
    results |= {i: SimtoolError(NOT_SAVED) for i in left if not _has_start(jobs[i])}
    left = [i for i in left if results[i] is None]
    results |= zip(left, _run_several([jobs[i] for i in left], report), strict=True)
    return [results[i] for i in range(len(jobs))]


def _run_several(jobs: Sequence[Job], report: Report) -> list[dict[str, Any] | SimtoolError]:
    """As an ensemble; where one diverges or they do not fit, in two halves, until the culprit is by itself.

    Any other error is raised: halving would only hide it.
    """
    from simtool.training.hardware import is_out_of_memory

    if len(jobs) <= 1:
        return [_result_or_error(job) for job in jobs]
    try:
        return _run_ensemble(jobs)
    except (TrainingDiverged, RuntimeError) as error:
        if not (isinstance(error, TrainingDiverged) or is_out_of_memory(error)):
            raise
        report(f"{len(jobs)} models as an ensemble: {error} Going on with half as many.")
    half = len(jobs) // 2
    return _run_several(jobs[:half], report) + _run_several(jobs[half:], report)


def _result_or_error(job: Job) -> dict[str, Any] | SimtoolError:
    try:
        return _run_single(job)
    except SimtoolError as error:
        return error


def _has_start(job: Job) -> bool:
    return not job["parents"] or _saved_start(job) is not None


def _saved_start(job: Job) -> Any:
    """The checkpoint that a node goes on from: its parent's end, or what a run of its own has saved on the way."""
    from simtool.training.checkpoints import find_checkpoint

    places = [Path(folder) / "checkpoints" for folder in (job["folder"], *job["parents"])]
    return find_checkpoint(recipe_from_json(job["recipe"]), places)


def _run_single(job: Job) -> dict[str, Any]:
    from simtool.training.model import load_model
    from simtool.training.trainer import Execution, train

    began = time.monotonic()
    recipe, device = recipe_from_json(job["recipe"]), _prepare_device(job)
    if not _has_start(job):
        raise SimtoolError(NOT_SAVED)
    # nodes are short: a killed one loses little, and its parent's end is saved
    execution = Execution(
        str(device), deterministic=device.type == "cuda", save_seconds=120.0, log_steps=50, keep_last=1
    )
    trained = train(recipe, _stores(job), Path(job["folder"]), execution, [Path(parent) for parent in job["parents"]])
    model = load_model(trained.checkpoint).to(device)
    return _measure(job, recipe, model, device, time.monotonic() - began)


def _run_ensemble(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    from simtool.training.checkpoints import locked
    from simtool.training.ensemble import train_ensemble
    from simtool.training.recipes import bind_folder

    began = time.monotonic()
    recipes = [recipe_from_json(job["recipe"]) for job in jobs]
    stores, device = _stores(*jobs), _prepare_device(jobs[0])
    with ExitStack() as stack:
        for job, recipe in zip(jobs, recipes, strict=True):
            stack.enter_context(locked(Path(job["folder"])))
            bind_folder(Path(job["folder"]), recipe)
        starts = [_start(job, recipe, stores) for job, recipe in zip(jobs, recipes, strict=True)]
        trained = train_ensemble(recipes, stores, str(device), starts)
        for e, job in enumerate(jobs):
            if job["keep"]:
                _save_member(job, recipes[e], trained, e)
        seconds = (time.monotonic() - began) / len(jobs)
        return [
            _measure(job, recipe, model, device, seconds, len(jobs))
            for job, recipe, model in zip(jobs, recipes, trained.models, strict=True)
        ]


def _start(job: Job, recipe: Recipe, stores: Mapping[str, TokenStore]) -> Any:
    """The model and the optimizer that a member goes on with."""
    from simtool.training.checkpoints import load_checkpoint
    from simtool.training.ensemble import Start
    from simtool.training.model import build_model
    from simtool.training.optimizer import adamw

    model = build_model(recipe.model, next(iter(stores.values())).vocabulary_size, recipe.seed)
    saved = _saved_start(job)
    if saved is None:
        return Start(model, 0, 0)
    optimizer = adamw(model, recipe.weight_decay)
    load_checkpoint(saved.folder, model, optimizer, recipe)
    return Start(model, saved.segment, saved.step, optimizer)


def _save_member(job: Job, recipe: Recipe, trained: Any, e: int) -> None:
    """A member's end, as a run of its own would have saved it."""
    from simtool.training.checkpoints import CheckpointWriter, state_of
    from simtool.training.position import Position
    from simtool.training.trainer import batches_of, steps_of

    stores, before = _stores(job), _saved_start(job)
    done, tokens = (before.position.done[: before.segment], before.position.tokens) if before else ((), 0)
    n_steps = steps_of(recipe.segments()[-1], batches_of(recipe, stores)[-1])
    end_of_text = next(iter(stores.values())).end_of_text
    fingerprints = {name: store.fingerprint for name, store in sorted(stores.items())}
    tokens += int(trained.n_tokens[e])
    position = Position(recipe.fingerprint, (*done, n_steps), tokens, fingerprints, True, end_of_text)
    with CheckpointWriter(Path(job["folder"]) / "checkpoints", keep_last=0) as writer:
        config = trained.models[e].config(recipe.sequence_length, end_of_text)
        writer.save(state_of(trained.models[e], trained.optimizers[e]), config, position, recipe)


def _prepare_device(job: Job) -> Any:
    """The device of a job, in this process."""
    import torch

    from simtool.training.hardware import find_device

    device = find_device(_own_device(job["device"]))
    if device.type == "cpu":
        torch.set_num_threads(1)  # so that numbers do not depend on how many work beside each other
    return device


def _stores(*jobs: Job) -> dict[str, TokenStore]:
    return {name: load_store(Path(folder)) for job in jobs for name, folder in job["stores"].items()}


def _measure(job: Job, recipe: Recipe, model: Any, device: Any, seconds: float, n_models: int = 1) -> dict[str, Any]:
    """What the trained model loses on each text that is to be measured, written to the node's folder."""
    import torch

    from simtool.evaluation.loss import evaluate, save_losses

    folder, rows = Path(job["folder"]), []
    for measurement in job["measured"]:
        store = load_store(Path(measurement["folder"]))
        loss_on, documents = measurement["loss_on"], job["documents"]
        losses = evaluate(model, store, recipe.sequence_length, device, loss_on, recipe.precision, documents)
        save_losses(losses, folder / "losses" / losses_file(measurement, documents), {"recipe": recipe.fingerprint})
        rows.append({**losses.row(), "role": measurement["role"], "document_limit": documents, "seconds": seconds})
    content = {"rows": rows, "recipe": recipe.fingerprint, "achieved": _achieved(recipe, _stores(job)), **job["facts"]}
    content |= {"device": _device_name(device, n_models), "torch": torch.__version__}
    save_json(content, folder / "done.json")
    if not job["keep"]:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return {"rows": _finished_rows(folder / "done.json", job), "tokens": job["tokens"], "seconds": seconds}


def finished_result(job: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result of a node that is done; None where it is not, or not whole: then it is done again."""
    try:
        rows = _finished_rows(Path(job["folder"]) / "done.json", job)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        rows = None
    return None if rows is None else {"rows": rows, "tokens": 0, "seconds": 0.0}


def _finished_rows(done: Path, job: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The rows of a node that is done; None where one is missing, or the losses of its documents, or its weights,
    where others need them."""
    if not done.exists():
        return None
    from simtool.evaluation.loss import existing_losses

    content = checked(read_json(done), DONE)
    columns = ("corpus", "split", "loss_on", "store", "document_limit")
    rows = {tuple(row[name] for name in columns): row for row in map(current_names, content["rows"])}
    limit = {"document_limit": job["documents"]}
    keys = [tuple((row | limit)[name] for name in columns) for row in job["measured"]]
    if not all(key in rows for key in keys):
        return None
    folder = done.parent / "losses"
    if any(existing_losses(folder / losses_file(row, job["documents"])) is None for row in job["measured"]):
        return None
    if job["keep"] and not (done.parent / "checkpoints" / content["recipe"] / "position.json").exists():
        return None
    common = {name: content[name] for name in ("device", "torch", "simtool", "commit", "made", "achieved")}
    return [{**rows[key], **common} for key in keys]


def measured_rows(done: Path) -> list[dict[str, Any]]:
    """What was measured of a finished run, by its done.json; nothing where that is damaged: it is measured again."""
    try:
        return [current_names(row) for row in checked(read_json(done), DONE)["rows"]]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []


def losses_file(measurement: Mapping[str, Any], documents: int | None) -> str:
    """The file of a measurement's losses by document, in a run's folder of losses."""
    limit = "all" if documents is None else str(documents)
    return f"{measurement['store']}-{measurement['loss_on']}-{limit}.npz"


def _achieved(recipe: Any, stores: Mapping[str, TokenStore]) -> dict[str, int]:
    """Tokens of each corpus that the weights have seen, from the beginning."""
    from simtool.training.trainer import batches_of

    seen: dict[str, int] = {}
    for phase, batches in zip(recipe.segments(), batches_of(recipe, stores), strict=True):
        if phase.is_sft:
            seen[batches.store.corpus] = seen.get(batches.store.corpus, 0) + phase.epochs * batches.store.n_tokens
        else:
            for name, n in batches.used(batches.n_batches).items():
                seen[name] = seen.get(name, 0) + n * recipe.sequence_length
    return seen


def _own_device(device: str) -> str:
    """ "cuda" and "auto" are the worker's own GPU, where there are several."""
    import torch

    n = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return f"cuda:{executor.worker_number() % n}" if n else device


def _device_name(device: Any, n_models: int) -> str:
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
    return name if n_models == 1 else f"{name}, {n_models} models as an ensemble"
