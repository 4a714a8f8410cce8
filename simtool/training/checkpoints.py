"""Checkpoints: a folder each, written whole, named by the fingerprint of the recipe's beginning that made it.

A checkpoint is a folder that transformers loads (config.json, model.safetensors), with optimizer.safetensors and
position.json beside them. To resume is to look for the longest beginning of a recipe that is saved, and so is to
fork: a recipe that begins alike finds the checkpoint of another. Nothing is pickled, so loading runs no code.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from simtool.errors import SimtoolError
from simtool.integrity import damage_as_message, file_hash
from simtool.training.distributed import placed_like, whole
from simtool.training.model import FromTransformers, GPTNeoX
from simtool.training.position import REMEDY, Position, check_checkpoint, read_position, write_position
from simtool.training.recipes import Recipe, recipe_from_json, recipe_to_json

FILES = ("model.safetensors", "optimizer.safetensors", "config.json")
EXPORTED = ("config.json", "model.safetensors")
MOMENTS = ("exp_avg", "exp_avg_sq", "step")
Model = GPTNeoX | FromTransformers
State = Mapping[str, dict[str, torch.Tensor]]  # file name: its tensors


@dataclass(frozen=True)
class Saved:
    """A checkpoint, and where it stands in the recipe at hand: before this step of this segment."""

    folder: Path
    position: Position
    segment: int
    step: int


def save_checkpoint(
    checkpoints: Path, state: State, config: Mapping[str, Any], position: Position, recipe: Recipe
) -> Path:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    state
        Of `state_of`.
    config
        With which transformers builds the model.

    Raises
    ------
    SimtoolError
        When the disk is full or cannot be written.
    """
    folder = Path(checkpoints) / position.fingerprint
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".saving.", dir=folder.parent))
        for name, tensors in state.items():
            save_file(tensors, temporary / name, {"format": "pt"})
        (temporary / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        digests = {name: file_hash(temporary / name) for name in FILES}
        write_position(temporary, position, recipe_to_json(recipe), digests)
        for path in temporary.iterdir():
            _to_disk(path)
        if folder.exists():  # the same weights, or damaged ones
            shutil.rmtree(folder)
        temporary.replace(folder)
        _to_disk(folder.parent)
    except Exception as error:
        # safetensors has an error of its own for a full disk
        if isinstance(error, OSError) or type(error).__module__.startswith("safetensors"):
            reason = getattr(error, "strerror", None) or error
            raise SimtoolError(
                f"Cannot save a checkpoint in {checkpoints}: {reason}. Make room, and run the same command again:"
                " it goes on from the checkpoint before."
            ) from error
        raise
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


class CheckpointWriter:
    """Writes checkpoints by a thread, from a copy, while training goes on; each whole or not at all, one after another.

    What goes wrong in the thread is raised at the next call.
    """

    def __init__(self, checkpoints: Path, keep_last: int):
        self.checkpoints, self.keep_last = Path(checkpoints), keep_last
        self.last_saved: Path | None = None
        self._pool = ThreadPoolExecutor(1, "checkpoints")
        self._writing: Future[None] | None = None

    def save(self, state: State, config: Mapping[str, Any], position: Position, recipe: Recipe) -> None:
        """Begin to write; returns when the state is copied and the checkpoint before is on disk."""
        self.wait()
        copy = {file: {name: copied(tensor) for name, tensor in tensors.items()} for file, tensors in state.items()}
        for device in {tensor.device for tensors in state.values() for tensor in tensors.values() if tensor.is_cuda}:
            torch.cuda.synchronize(device)
        self._writing = self._pool.submit(self._write, copy, config, position, recipe)

    def _write(self, state: State, config: Mapping[str, Any], position: Position, recipe: Recipe) -> None:
        self.last_saved = save_checkpoint(self.checkpoints, state, config, position, recipe)
        prune(self.checkpoints, self.keep_last)

    def wait(self) -> None:
        """Until what was begun is on disk."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def __enter__(self) -> "CheckpointWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._pool.shutdown()


def copied(tensor: torch.Tensor) -> torch.Tensor:
    """On the CPU, apart from what training changes; from a GPU into pinned memory, without waiting for it."""
    if not tensor.is_cuda:
        return tensor.clone()
    target = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return target.copy_(tensor, non_blocking=True)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def prune(checkpoints: Path, keep_last: int) -> None:
    """Remove all but the newest checkpoints and those that are permanent; and what a killed run left half-written."""
    for folder in Path(checkpoints).glob(".saving.*"):
        shutil.rmtree(folder, ignore_errors=True)
    passing = sorted((p.tokens, folder) for folder, p in _positions([checkpoints]) if not p.permanent)
    for _, folder in passing[: max(len(passing) - keep_last, 0)]:
        shutil.rmtree(folder, ignore_errors=True)


def find_checkpoint(recipe: Recipe, folders: Iterable[Path]) -> Saved | None:
    """The longest beginning of the recipe that is saved in any of these checkpoint folders."""
    beginnings = [saved for folder, position in _positions(folders) if (saved := place(recipe, folder, position))]
    return max(beginnings, key=lambda saved: (saved.segment, saved.step), default=None)


def place(recipe: Recipe, folder: Path, position: Position) -> Saved | None:
    """Where a checkpoint stands in a recipe; None where the recipe does not begin so."""
    segments = recipe.segments()
    last, step = len(position.done) - 1, position.done[-1]
    for segment, at in ((last + 1, 0), (last, step)):
        inside = segment < len(segments) or at == 0
        if at and inside and not segments[segment].is_sft and at > recipe.n_steps(segments[segment]):
            continue  # of a run that stays longer on the same mixture, and left this recipe behind
        if segment <= len(segments) and inside and recipe.prefix(segment, at) == position.fingerprint:
            return Saved(folder, position, segment, at)
    return None


def _positions(folders: Iterable[Path]) -> Iterator[tuple[Path, Position]]:
    for checkpoints in folders:
        for path in sorted(Path(checkpoints).glob("[!.]*/position.json")):  # .saving.* of a killed run is half-written
            yield path.parent, read_position(path.parent)[0]


def recipe_of(folder: Path) -> Recipe:
    """The recipe that a checkpoint was made by."""
    recipe = read_position(folder)[1]["recipe"]
    with damage_as_message(Path(folder) / "position.json", REMEDY):
        return recipe_from_json(recipe)


def load_checkpoint(folder: Path, model: Model, optimizer: torch.optim.Optimizer | None, recipe: Recipe) -> Position:
    """Put the saved weights, and the optimizer's state if one is given, into these.

    Raises
    ------
    SimtoolError
        When a file is missing or damaged, or when another tokenizer or shape made it.
    """
    position, header = read_position(folder)
    check_checkpoint(folder)
    if header["recipe"]["tokenizer"] != recipe.tokenizer:
        raise SimtoolError(
            f"{folder} was trained under the tokenizer {header['recipe']['tokenizer']}, the recipe says"
            f" {recipe.tokenizer}. Use the tokenizer of the checkpoint."
        )
    state = load_file(folder / "model.safetensors")
    weights = _weights(model)
    if any(state.get(name) is None or state[name].shape != value.shape for name, value in weights.items()):
        raise SimtoolError(f"{folder} is of another model than {recipe.model} with this vocabulary.")
    with torch.no_grad():
        for name, value in weights.items():
            value.copy_(placed_like(state[name], value))
    if optimizer is not None:
        moments = load_file(folder / "optimizer.safetensors")
        for name, parameter in model.named_parameters():
            if f"exp_avg.{name}" in moments:
                # the step is a number, and whole in every process
                optimizer.state[parameter] = {
                    kind: value.to(parameter.device) if value.dim() == 0 else placed_like(value, parameter)
                    for kind in MOMENTS
                    for value in [moments[f"{kind}.{name}"]]
                }
    return position


def state_of(model: Model, optimizer: torch.optim.Optimizer, is_writer: bool = True) -> State:
    """What a checkpoint holds, gathered where it is sharded: every process calls this, and one keeps what it gets."""
    of_optimizer = {
        f"{kind}.{name}": optimizer.state[parameter][kind].detach()
        for name, parameter in model.named_parameters()
        if parameter in optimizer.state
        for kind in MOMENTS
    }
    state: dict[str, dict[str, torch.Tensor]] = {}
    for file, tensors in (("model.safetensors", _weights(model)), ("optimizer.safetensors", of_optimizer)):
        state[file] = {}
        for name, tensor in tensors.items():
            gathered = whole(tensor)
            if is_writer:
                state[file][name] = gathered if gathered is tensor else gathered.cpu()
    return state


def _weights(model: Model) -> dict[str, torch.Tensor]:
    """Weights under the names of transformers. What is tied is saved once."""
    inner: nn.Module = model.model if isinstance(model, FromTransformers) else model
    once = {name for named in (inner.named_parameters(), inner.named_buffers()) for name, _ in named}
    return {name: p.detach() for name, p in inner.state_dict().items() if name in once}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """No other process trains in this folder.

    Raises
    ------
    SimtoolError
        When another process does.
    """
    from filelock import FileLock, Timeout  # torch brings it

    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise SimtoolError(f"Another run is training in {folder}. Wait for it, or name another folder.") from error
    except OSError as error:
        raise SimtoolError(f"Cannot write to {folder}: {error.strerror or error}. Name another folder.") from error
    try:
        yield
    finally:
        lock.release()


def _export_tokenizer(file: Path, folder: Path, end_of_text: str | None) -> None:
    """A tokenizer.json with its settings; any other kind as it is, with all that lies beside it where it needs that."""
    if file.name == "tokenizer_config.json":
        for path in file.parent.iterdir():
            if path.suffix in (".json", ".txt", ".model", ".jinja") and path.name != "config.json":
                shutil.copyfile(path, folder / path.name)
    elif file.suffix != ".json":
        shutil.copyfile(file, folder / file.name)
    else:
        shutil.copyfile(file, folder / "tokenizer.json")
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
        settings |= {"bos_token": end_of_text, "eos_token": end_of_text} if end_of_text else {}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def export_checkpoint(checkpoint: Path, folder: Path, tokenizer_file: Path | None, end_of_text: str | None) -> Path:
    """A folder for Hugging Face's tools, whole or not at all: the model as `AutoModelForCausalLM` loads it, and its
    tokenizer."""
    folder = Path(folder)
    check_checkpoint(Path(checkpoint))
    for name in EXPORTED:
        if not (Path(checkpoint) / name).exists():
            raise SimtoolError(f"No checkpoint at {checkpoint}: {name} is missing.")
    temporary = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".exporting.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=".exporting.", dir=folder))  # on the same disk: what fits can be moved
        for name in EXPORTED:
            shutil.copyfile(Path(checkpoint) / name, temporary / name)
        if tokenizer_file is not None:
            _export_tokenizer(tokenizer_file, temporary, end_of_text)
        for path in sorted(temporary.iterdir(), key=lambda path: path.name == "config.json"):  # last: then all is there
            path.replace(folder / path.name)
    except OSError as error:
        raise SimtoolError(f"Cannot write to {folder}: {error.strerror or error}.") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder
