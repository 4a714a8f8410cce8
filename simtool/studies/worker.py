"""Train the nodes of a study's plan and measure them, in whichever process that happens.

A node's folder holds its checkpoint and, when it is measured, `done.json` with its rows.
"""

import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from simtool import executor
from simtool.errors import SimtoolError
from simtool.tables import atomic_write
from simtool.tokens.store import TokenStore, load_store
from simtool.training.recipes import Recipe, recipe_from_json

Job = Mapping[str, Any]
Report = Callable[[Any], None]


def run_nodes(jobs: Sequence[Job], report: Report) -> list[dict[str, Any] | SimtoolError]:
    """Train nodes from their parent's end, measure them, and write their rows: the result of each.

    jobs   plain values: recipe, folder, parents, stores {corpus: folder}, measured, documents, device, keep, facts;
           several are leaves of one parent, which are trained as replicas

    What goes wrong with one of several stands in the place of its result; with a single one it is raised.
    """
    results: dict[int, Any] = {i: result_there(job) for i, job in enumerate(jobs)}  # another study may have done it
    left = [i for i in results if results[i] is None]
    if len(jobs) == 1 and left:
        return [_run_alone(jobs[0])]
    results |= zip(left, _run_together([jobs[i] for i in left], report), strict=True)
    return [results[i] for i in range(len(jobs))]


def _run_together(jobs: Sequence[Job], report: Report) -> list[dict[str, Any] | SimtoolError]:
    """As replicas; where that fails, in two halves, so that a run that diverges or does not fit is alone in the end."""
    if len(jobs) <= 1:
        return [_run_or_tell(job) for job in jobs]
    try:
        return _run_replicas(jobs)
    except (SimtoolError, RuntimeError) as error:  # torch's own are RuntimeErrors, out of memory among them
        report(f"{len(jobs)} replicas side by side: {error} Going on with half as many.")
    half = len(jobs) // 2
    return _run_together(jobs[:half], report) + _run_together(jobs[half:], report)


def _run_or_tell(job: Job) -> dict[str, Any] | SimtoolError:
    try:
        return _run_alone(job)
    except SimtoolError as error:
        return error


def _run_alone(job: Job) -> dict[str, Any]:
    from simtool.training.model import load_model
    from simtool.training.trainer import Execution, train

    began = time.monotonic()
    recipe, device = recipe_from_json(job["recipe"]), _ready(job)
    # nodes are short: a killed one loses little, and its parent's end is saved
    execution = Execution(
        str(device), deterministic=device.type == "cuda", save_seconds=120.0, log_steps=50, keep_last=1
    )
    trained = train(recipe, _stores(job), Path(job["folder"]), execution, [Path(one) for one in job["parents"]])
    model = load_model(trained.checkpoint).to(device)
    return _measured(job, recipe, model, device, time.monotonic() - began)


def _run_replicas(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    from simtool.training.checkpoints import find_checkpoint, load_checkpoint, locked
    from simtool.training.ensemble import train_replicas
    from simtool.training.model import build_model
    from simtool.training.trainer import bind_folder

    began = time.monotonic()
    recipes, stores, device = [recipe_from_json(job["recipe"]) for job in jobs], _stores(jobs[0]), _ready(jobs[0])
    with ExitStack() as stack:
        for job, recipe in zip(jobs, recipes, strict=True):
            stack.enter_context(locked(Path(job["folder"])))
            bind_folder(Path(job["folder"]), recipe)
        begun = find_checkpoint(recipes[0], [Path(one) / "checkpoints" for one in jobs[0]["parents"]])
        if begun is None or (begun.segment, begun.step) != (len(recipes[0].segments()) - 1, 0):
            raise SimtoolError("What they go on from is not saved.")
        start = build_model(recipes[0].model, next(iter(stores.values())).vocabulary_size, recipes[0].seed)
        load_checkpoint(begun.folder, start, None, recipes[0])
        models, _ = train_replicas(recipes, stores, str(device), start)
        seconds = (time.monotonic() - began) / len(jobs)
        return [
            _measured(job, recipe, model, device, seconds, len(jobs))
            for job, recipe, model in zip(jobs, recipes, models, strict=True)
        ]


def _ready(job: Job) -> Any:
    """The device of a job, in this process."""
    import torch

    from simtool.training.trainer import find_device

    device = find_device(_own_device(job["device"]))
    if device.type == "cpu":
        torch.set_num_threads(1)  # so that numbers do not depend on how many work beside each other
    return device


def _stores(job: Job) -> dict[str, TokenStore]:
    return {name: load_store(Path(where)) for name, where in job["stores"].items()}


def _measured(job: Job, recipe: Recipe, model: Any, device: Any, seconds: float, n_replicas: int = 1) -> dict[str, Any]:
    """What the trained model loses on every text that is asked for, written to the node's folder."""
    import torch

    from simtool.evaluation.loss import evaluate, save_losses

    folder, rows = Path(job["folder"]), []
    for one in job["measured"]:
        store = load_store(Path(one["folder"]))
        losses = evaluate(
            model, store, recipe.sequence_length, device, one["loss_on"], recipe.precision, job["documents"]
        )
        save_losses(losses, folder / "losses" / _file_name(one, job), {"recipe": recipe.fingerprint})
        rows.append({**losses.row(), "role": one["role"], "asked": job["documents"], "seconds": seconds})
    told = {"rows": rows, "recipe": recipe.fingerprint, "achieved": _achieved(recipe, _stores(job)), **job["facts"]}
    told |= {"device": _device_name(device, n_replicas), "torch": torch.__version__}
    with atomic_write(folder / "done.json") as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if not job["keep"]:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return {"rows": _rows_there(folder / "done.json", job), "tokens": job["tokens"], "seconds": seconds}


def result_there(job: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result of a node that is done; None where it is not, or not whole: then it is done again."""
    try:
        rows = _rows_there(Path(job["folder"]) / "done.json", job)
    except (ValueError, KeyError):
        rows = None
    return None if rows is None else {"rows": rows, "tokens": 0, "seconds": 0.0}


def _rows_there(done: Path, job: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The rows of a node that is done, if they are all that is asked for; and its weights, where others need them."""
    if not done.exists():
        return None
    told = json.loads(done.read_text(encoding="utf-8"))
    at_hand = {(row["corpus"], row["split"], row["loss_on"], row["store"], row["asked"]): row for row in told["rows"]}
    wanted = [(m["corpus"], m["split"], m["loss_on"], m["store"], job["documents"]) for m in job["measured"]]
    if not all(key in at_hand for key in wanted):
        return None
    if job["keep"] and not (done.parent / "checkpoints" / told["recipe"] / "position.json").exists():
        return None
    common = {name: told[name] for name in ("device", "torch", "simtool", "commit", "made", "achieved")}
    return [{**at_hand[key], **common} for key in wanted]


def _file_name(measured: Mapping[str, Any], job: Mapping[str, Any]) -> str:
    asked = "all" if job["documents"] is None else str(job["documents"])
    return f"{measured['store']}-{measured['loss_on']}-{asked}.npz"


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


def _device_name(device: Any, n_replicas: int) -> str:
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
    return name if n_replicas == 1 else f"{name}, {n_replicas} replicas side by side"
