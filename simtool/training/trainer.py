"""The one loop: batch i -> loss -> step, from wherever the recipe's longest saved beginning ends.

Weights are fp32, and so is the optimizer; bf16 is only what matrices are multiplied in. A step's gradient is the sum
over the whole batch divided by its counted targets, so it does not depend on how many pieces or devices compute it.

Under torchrun every process takes its part of each batch's rows, and gradients are summed (`world`).
"""

import functools
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simtool.errors import SimtoolError, TrainingDiverged
from simtool.progress import TrainingProgress
from simtool.tables import atomic_write
from simtool.tokens.batches import Batch, ExampleBatches, TextBatches, check_stores
from simtool.tokens.store import TokenStore
from simtool.training.checkpoints import (
    Model,
    Position,
    Saved,
    find_checkpoint,
    load_checkpoint,
    locked,
    prune,
    save_checkpoint,
    state_of,
)
from simtool.training.distributed import World, whole
from simtool.training.model import build_model, chunked_cross_entropy, flops_per_token, parameter_groups
from simtool.training.recipes import Phase, Recipe, recipe_from_json, recipe_to_json

BETAS = (0.9, 0.95)  # Pythia
EPSILON = 1e-8
MICRO_TOKENS = {"cpu": 4096, "cuda": 65_536}  # of a forward pass, where no micro-batch is given; halved if too many
PEAK_SECONDS = 1.0  # spent on measuring how fast a matrix product is
SPIKE_HISTORY = 100  # steps behind the median that a loss is held against


@dataclass(frozen=True)
class Execution:
    """How a recipe is run: what may change the time it takes, and rounding, but nothing else.

    device          "auto", "cpu", "cuda" or "cuda:1"
    micro_batch     rows of a forward pass; halved, with the accumulation doubled, when memory does not suffice
    compile         torch.compile: a minute at the start, faster steps
    deterministic   same seed, same device, same bits; needs CUBLAS_WORKSPACE_CONFIG on a GPU, which is set here
    save_steps      steps between checkpoints, beside save_seconds
    keep_last       how many checkpoints stay, beside those at the ends of phases
    spike           stop when the loss is so many nats above the median of the last steps; None: never
    shard           under torchrun, divide weights and optimizer between the processes (FSDP2); checkpoints stay whole
    """

    device: str = "auto"
    micro_batch: int | None = None
    compile: bool = False
    deterministic: bool = False
    save_seconds: float = 120.0
    save_steps: int | None = None
    keep_last: int = 2
    log_steps: int = 10
    spike: float | None = 2.0
    shard: bool = False


PLAIN = Execution()


@dataclass(frozen=True)
class Trained:
    """A finished run. ends: {phase: its checkpoint}; began: where it was taken up, None from initial weights."""

    recipe: Recipe
    folder: Path
    ends: Mapping[str, Path]
    began: Path | None

    @property
    def checkpoint(self) -> Path:
        return list(self.ends.values())[-1]


def train(
    recipe: Recipe,
    stores: Mapping[str, TokenStore],
    folder: Path,
    execution: Execution = PLAIN,
    parents: Sequence[Path] = (),
    report: Callable[[Any], None] = lambda message: None,
    watch: Callable[[Model], None] = lambda model: None,
) -> Trained:
    """Train a recipe to its end in a folder of its own, from the longest beginning saved there or in the parents.

    stores    {corpus: its training split}
    parents   folders of other runs, whose checkpoints may be forked from
    report    is called with a TrainingProgress now and then
    watch     is called with the model where this call takes it up, and after every step; it must leave it as it is

    The same call again does what is left to do. Raises SimtoolError when the stores cannot serve the recipe, when
    another run has the folder, when a checkpoint is damaged, or when the loss is no number or leaps.
    """
    folder = Path(folder)
    with ExitStack() as stack:
        world = stack.enter_context(World(find_device(execution.device), execution.deterministic, execution.shard))
        if world.rank == 0:
            stack.enter_context(locked(folder))
            bind_folder(folder, recipe)
        world.wait()
        return _Run(recipe, stores, folder, execution, parents, report, watch, world).to_the_end()


def batches_of(recipe: Recipe, stores: Mapping[str, TokenStore]) -> list[TextBatches | ExampleBatches]:
    """The batches of every segment. Raises SimtoolError where the stores do not hold what the recipe asks for."""
    check_stores(stores, [name for phase in recipe.phases for name in phase.mixture.weights])
    for phase in recipe.phases:
        for name in phase.mixture.weights:
            if stores[name].tokenizer_fingerprint != recipe.tokenizer:
                raise SimtoolError(
                    f"{name} is tokenized under {stores[name].tokenizer_fingerprint}, the recipe says"
                    f" {recipe.tokenizer}. Tokenize it under the recipe's tokenizer."
                )
    batches: list[TextBatches | ExampleBatches] = []
    taken: dict[str, int] = {}
    for phase in recipe.segments():
        seed = recipe.seed if phase.seed is None else phase.seed
        if phase.is_sft:
            (name,) = phase.mixture.weights
            batches.append(ExampleBatches(stores[name], seed, recipe.sequence_length, phase.batch_size, phase.train_on))
        else:
            n = recipe.n_steps(phase)
            text = TextBatches(
                stores, phase.mixture, seed, recipe.sequence_length, phase.batch_size, n, taken, recipe.max_epochs
            )
            taken = text.taken_after(n)
            batches.append(text)
    return batches


def steps_of(phase: Phase, batches: TextBatches | ExampleBatches) -> int:
    """Steps of a segment."""
    return batches.n_batches * (phase.epochs or 1)


def find_device(name: str) -> torch.device:
    """The device of a name; "auto": this process's GPU, or the CPU. Raises SimtoolError where there is none such."""
    if name == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SimtoolError(f"No device {name!r}. Known: auto, cpu, cuda, cuda:1 and so on.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SimtoolError("No CUDA device here. Use --device cpu.")
    return device


class _Run:
    """A recipe being trained: the model, the optimizer, and where they are."""

    def __init__(
        self,
        recipe: Recipe,
        stores: Mapping[str, TokenStore],
        folder: Path,
        execution: Execution,
        parents: Sequence[Path],
        report: Callable[[Any], None],
        watch: Callable[[Model], None],
        world: World,
    ):
        self.recipe, self.folder, self.execution, self.world = recipe, folder, execution, world
        self.report, self.watch = report, watch
        self.segments = recipe.segments()
        self.batches = batches_of(recipe, stores)
        self.stores = {
            name: stores[name].fingerprint for phase in recipe.phases for name in sorted(phase.mixture.weights)
        }
        any_store = stores[next(iter(recipe.phases[0].mixture.weights))]
        self.end_of_text = any_store.end_of_text
        self.model: Model = build_model(recipe.model, any_store.vocabulary_size, recipe.seed)
        if any_store.vocabulary_size > self.model.vocabulary_size:
            raise SimtoolError(
                f"The tokenizer has {any_store.vocabulary_size:,} entries, the model only"
                f" {self.model.vocabulary_size:,}."
            )
        self.flops = flops_per_token(self.model, recipe.sequence_length)
        self.model = world.placed(self.model.train(), execution.compile)
        # sharded layers are compiled one by one
        self.hidden = torch.compile(self.model.hidden) if execution.compile and not world.shard else self.model.hidden
        self.parameters = list(self.model.parameters())
        self.optimizer = self._fresh_optimizer()
        self.places = [folder / "checkpoints", *(Path(parent) / "checkpoints" for parent in parents)]
        self.micro_tokens = MICRO_TOKENS.get(world.device.type, MICRO_TOKENS["cpu"])
        self.micro_batch = execution.micro_batch
        self.history: deque[float] = deque(maxlen=SPIKE_HISTORY)
        self.last_saved: Path | None = None
        self.done: list[int] = []
        self.tokens = 0

    def _fresh_optimizer(self) -> torch.optim.Optimizer:
        groups = parameter_groups(self.model, self.recipe.weight_decay)
        return torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=EPSILON, fused=True)

    def to_the_end(self) -> Trained:
        saved = find_checkpoint(self.recipe, self.places)
        begun, step = self._take_up(saved)
        self.watch(self.model)
        if begun < len(self.segments):
            self.peak = measured_peak(self.world.device, self.recipe.precision)
            self._say_if_emulated()
        for segment in range(begun, len(self.segments)):
            self._segment(segment, step if segment == begun else 0)
        return Trained(self.recipe, self.folder, self._ends(), saved.folder if saved else None)

    def _say_if_emulated(self) -> None:
        if self.world.device.type == "cpu" and self.recipe.precision == "bf16" and self.world.rank == 0:
            times = measured_peak(self.world.device, "fp32") / self.peak
            if times > 1.5:
                self.report(
                    f"This CPU multiplies bf16 matrices {times:.0f} times slower than fp32. Train in fp32 here."
                )

    def _take_up(self, saved: Saved | None) -> tuple[int, int]:
        """Start at a checkpoint, or at initial weights; what was logged after it is forgotten."""
        if saved is None:
            segment = step = 0
        else:
            for name, fingerprint in saved.position.stores.items():
                if self.stores.get(name, fingerprint) != fingerprint:
                    raise SimtoolError(
                        f"{saved.folder} was trained on another text of {name} ({fingerprint}, here"
                        f" {self.stores[name]}). Use the same stores, or name another folder."
                    )
            load_checkpoint(saved.folder, self.model, self.optimizer, self.recipe)
            segment, step, self.last_saved = saved.segment, saved.step, saved.folder
            self.tokens = saved.position.tokens
            self.done = list(saved.position.done[:segment])
        if self.world.rank == 0:
            _cut_metrics(self.folder / "metrics.jsonl", segment, step)
        return segment, step

    def _segment(self, s: int, first: int) -> None:
        phase, batches = self.segments[s], self.batches[s]
        n_steps = steps_of(phase, batches)
        if first == 0 and phase.optimizer == "fresh":
            self.optimizer = self._fresh_optimizer()
        self.history.clear()
        ends = {at for _, segment, at in self.recipe.ends() if segment == s}
        meter = _Meter(self, phase, first, n_steps)
        saved_at = time.monotonic()
        for step in range(first, n_steps):
            rate = self.recipe.learning_rate(phase, step, n_steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            batch = batches.batch(step)
            loss, norm = self._step(batch, phase)
            self._check(loss, norm, phase, s, step)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.watch(self.model)
            self.tokens += batch.n_targets
            meter.add(s, step, loss, norm, rate, batch)
            due = time.monotonic() - saved_at > self.execution.save_seconds
            due |= bool(self.execution.save_steps) and (step + 1) % self.execution.save_steps == 0
            if self.world.size > 1:  # clocks differ
                due = bool(self.world.sum(torch.tensor(float(due and self.world.rank == 0), device=self.world.device)))
            if step + 1 == n_steps or step + 1 in ends or due:
                self._save(s, step + 1, n_steps, kept=step + 1 == n_steps or step + 1 in ends)
                saved_at = time.monotonic()
        if self.world.rank == 0:
            achieved = batches.achieved(n_steps) if isinstance(batches, TextBatches) else {"epochs": phase.epochs}
            line = {"event": "end", "phase": phase.name, "segment": s, "step": n_steps, "achieved": achieved}
            _log(self.folder / "metrics.jsonl", line)

    def _step(self, batch: Batch, phase: Phase) -> tuple[float, float]:
        """Gradients of the batch's mean loss, clipped; the loss and the norm before. Halves what does not fit."""
        n_targets = batch.n_targets
        while True:
            rows = self.micro_batch or max(1, self.micro_tokens // batch.ids.shape[1])
            pieces = self.world.pieces(batch, rows)
            try:
                loss = self._accumulate(pieces, n_targets, phase)
                break
            except torch.OutOfMemoryError as error:
                self._halve(max(len(piece.ids) for piece in pieces), error)
        self.world.sum_gradients(self.parameters)
        total = float(self.world.sum(loss))
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.max_grad_norm)
        return total / max(n_targets, 1), float(whole(norm))

    def _accumulate(self, pieces: Sequence[Batch], n_targets: int, phase: Phase) -> torch.Tensor:
        total = torch.zeros((), device=self.world.device)
        masked = phase.is_sft or self.recipe.mask_documents
        for part in pieces:
            ids, targets = self._moved(part.ids), self._moved(part.targets)
            documents = self._moved(part.documents) if masked else None
            with autocast(self.world.device, self.recipe.precision):
                hidden = self.hidden(ids, documents)
                loss, alone = chunked_cross_entropy(hidden, self.model.head, targets, self.recipe.z_loss)
            (loss / n_targets * self.world.loss_scale).backward()
            total += alone
        return total

    def _moved(self, array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self.world.device.type == "cuda":
            return tensor.pin_memory().to(self.world.device, non_blocking=True)
        return tensor

    def _halve(self, rows: int, error: Exception) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if rows <= 1 or self.world.size > 1:
            fits = "not even one row fits" if rows <= 1 else f"{rows} rows a process do not fit"
            raise SimtoolError(
                f"Out of memory: {fits} on {self.world.device}. Use a smaller --micro-batch, --length or model."
            ) from error
        self.micro_batch = rows // 2
        if self.world.device.type == "cuda":
            torch.cuda.empty_cache()
        self.report(f"Out of memory with {rows} rows at a time: going on with {self.micro_batch}, the same numbers.")

    def _check(self, loss: float, norm: float, phase: Phase, s: int, step: int) -> None:
        """Raises SimtoolError before a step that would spoil the weights."""
        problem = trouble(loss, norm, self.history, self.execution.spike)
        self.history.append(loss)
        if problem is None:
            return
        rows = self.batches[s].origins(step)
        told = "; ".join(
            f"{one.corpus} {one.documents[0]}" + (f"-{one.documents[-1]}" if len(one.documents) > 1 else "")
            for one in rows[:8]
        )
        more = f"; and {len(rows) - 8} more rows" if len(rows) > 8 else ""
        raise TrainingDiverged(
            f"Step {step:,} of phase {phase.name!r}: {problem}. Nothing was changed by it.\n"
            f"Documents of the batch, by their numbers: {told}{more}.\n"
            f"Last good checkpoint: {self.last_saved or 'none yet'}.\n"
            "Lower the learning rate, or look at these documents."
        )

    def _save(self, s: int, step: int, n_steps: int, kept: bool) -> None:
        fingerprint = self.recipe.prefix(s + 1, 0) if step == n_steps else self.recipe.prefix(s, step)
        position = Position(fingerprint, (*self.done, step), self.tokens, self.stores, kept, self.end_of_text)
        state = state_of(self.model, self.optimizer, kept=self.world.rank == 0)
        if self.world.rank == 0:
            config = self.model.config(self.recipe.sequence_length, self.end_of_text)
            self.last_saved = save_checkpoint(self.folder / "checkpoints", state, config, position, self.recipe)
            prune(self.folder / "checkpoints", self.execution.keep_last)
        if step == n_steps:
            self.done.append(step)
        self.world.wait()

    def _ends(self) -> dict[str, Path]:
        """The checkpoint at the end of every phase, wherever it lies."""
        ends = {}
        for name, segment, step in self.recipe.ends():
            to_the_end = step is None or step == self.recipe.n_steps(self.segments[segment])
            fingerprint = self.recipe.prefix(segment + 1, 0) if to_the_end else self.recipe.prefix(segment, step)
            folders = [place / fingerprint for place in self.places]
            found = next((folder for folder in folders if (folder / "position.json").exists()), None)
            if found is not None:
                ends[name] = found
        return ends


def trouble(loss: float, norm: float, history: Sequence[float], spike: float | None) -> str | None:
    """What is wrong with a step's loss and gradient norm, after the losses of the last steps; None: nothing."""
    if not (math.isfinite(loss) and math.isfinite(norm)):
        return f"the loss is {loss} and its gradient's norm {norm}"
    if spike is not None and len(history) == SPIKE_HISTORY and loss > (usual := float(np.median(history))) + spike:
        return f"the loss leapt from {usual:.3f} to {loss:.3f}"
    return None


class _Meter:
    """Counts between messages: loss by token, tokens a second, and how long it will take.

    The first step is told as well: ten steps of a large model take minutes.
    """

    def __init__(self, run: _Run, phase: Phase, first: int, n_steps: int):
        self.run, self.phase, self.first, self.n_steps = run, phase, first, n_steps
        self._restart()

    def _restart(self) -> None:
        self.since, self.nats, self.targets, self.read, self.steps = time.perf_counter(), 0.0, 0, 0, 0

    def add(self, s: int, step: int, loss: float, norm: float, rate: float, batch: Batch) -> None:
        run = self.run
        self.nats += loss * batch.n_targets
        self.targets += batch.n_targets
        self.read += batch.ids.size
        self.steps += 1
        due = (step + 1) % run.execution.log_steps == 0 or step + 1 == self.n_steps
        if not due and step != self.first:
            return
        seconds = time.perf_counter() - self.since
        speed = self.read / seconds
        progress = TrainingProgress(
            self.phase.name,
            step + 1,
            self.n_steps,
            run.tokens,
            self.nats / max(self.targets, 1),
            rate,
            norm,
            speed,
            run.flops * speed / (run.peak * run.world.size),
            (self.n_steps - step - 1) * seconds / self.steps,
        )
        if run.world.rank == 0:
            run.report(progress)
        if due:
            if run.world.rank == 0:
                _log(run.folder / "metrics.jsonl", {"event": "step", "segment": s, **progress.__dict__})
            self._restart()


@contextmanager
def autocast(device: torch.device, precision: str) -> Any:
    """bf16 for matrix products over fp32 weights, or nothing."""
    context = torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
    with context:
        yield


@functools.cache
def measured_peak(device: torch.device, precision: str) -> float:
    """Floating-point operations a second of a large square matrix product here: what MFU is a share of.

    Measured once a process (a second on a CPU): a study trains a hundred times in one.
    """
    n = 8192 if device.type == "cuda" else 1024
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    best, began, most = math.inf, time.perf_counter(), 4 if device.type == "cuda" else 40
    for done in range(most):  # others may be using the same cores
        start = time.perf_counter()
        if done and start - began > PEAK_SECONDS:
            break
        a @ a
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best


def bind_folder(folder: Path, recipe: Recipe) -> None:
    """The folder belongs to one recipe. Raises SimtoolError where it belongs to another."""
    path = folder / "recipe.json"
    if path.exists():
        try:
            there = recipe_from_json(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise SimtoolError(f"{path} is damaged ({error}). Name another folder.") from error
        if there.fingerprint != recipe.fingerprint:
            raise SimtoolError(
                f"{folder} holds another recipe ({there.fingerprint}, not {recipe.fingerprint})."
                " Name another folder, or repeat the settings of the first run."
            )
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(recipe_to_json(recipe), indent=2) + "\n", encoding="utf-8")


def _log(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _cut_metrics(path: Path, segment: int, step: int) -> None:
    """Forget what was logged after the checkpoint that training goes on from: those steps are done again."""
    if not path.exists():
        return
    kept = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # the kill came in the middle of a line
            continue
        if (line["segment"], line["step"]) <= (segment, step) or line["segment"] < segment:
            kept.append(text)
    with atomic_write(path) as temporary:
        temporary.write_text("".join(f"{text}\n" for text in kept), encoding="utf-8")
