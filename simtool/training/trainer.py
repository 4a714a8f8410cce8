"""The one loop: batch i -> loss -> step, from wherever the recipe's longest saved beginning ends.

Weights are fp32, and so is the optimizer; bf16 is only what matrices are multiplied in. A step's gradient is the sum
over the whole batch divided by its number of targets, so it does not depend on how many pieces or devices compute it.

On a GPU the loop never waits for a step that it has begun: batches are made ahead by a thread, a step's loss is read
when the next one's work is queued, and whether an update is sound is decided on the device, before it is made.

Under torchrun every process takes its part of each batch's rows, and gradients are summed (`distributed`).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simtool.errors import SimtoolError, TrainingDiverged
from simtool.tokens.batches import Batch, ExampleBatches, Origin, TextBatches, check_stores
from simtool.tokens.store import TokenStore
from simtool.training.checkpoints import (
    CheckpointWriter,
    Model,
    Saved,
    find_checkpoint,
    load_checkpoint,
    locked,
    state_of,
)
from simtool.training.distributed import Processes, whole
from simtool.training.hardware import (
    autocast,
    can_compile,
    datasheet_peak,
    find_device,
    is_out_of_memory,
    measured_peak,
)
from simtool.training.losses import chunked_cross_entropy
from simtool.training.metrics import LossHistory, Meter, append_metrics, cut_metrics
from simtool.training.microbatch import MicroBatches, load_micro_batches, usual_tokens
from simtool.training.model import GPTNeoX, build_model, document_offsets, flops_per_token, has_document_attention
from simtool.training.optimizer import adamw, guarded_step
from simtool.training.position import Position
from simtool.training.prefetch import filled_up, moved, prefetched, staged
from simtool.training.recipes import Phase, Recipe, bind_folder

SHOWN_ROWS = 8  # of a batch that a run stops at


@dataclass(frozen=True)
class Execution:
    """How a recipe is run: what may change the time it takes, and rounding, but nothing else.

    device          "auto", "cpu", "cuda" or "cuda:1"
    micro_batch     rows of a forward pass; halved, with the accumulation doubled, when memory does not suffice;
                    None: as many as are estimated to fit
    compile         torch.compile, layer by layer: a minute at the start, faster steps; None: on a GPU, where the
                    machine has a compiler and the model is a size by name
    deterministic   same seed, same device, same bits; needs CUBLAS_WORKSPACE_CONFIG on a GPU, which is set here
    save_steps      steps between checkpoints, beside save_seconds
    keep_last       how many checkpoints stay, beside those at the ends of phases
    spike           stop when the loss is so many nats above the median of the last steps; None: never
    shard           under torchrun, divide weights and optimizer between the processes (FSDP2); checkpoints stay whole
    """

    device: str = "auto"
    micro_batch: int | None = None
    compile: bool | None = None
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

    The same call again does what is left to do.

    Parameters
    ----------
    stores : mapping
        {corpus: its training split}.
    parents : sequence of Path
        Folders of other runs, whose checkpoints may be forked from.
    report : callable
        Is called with a sentence or a TrainingProgress now and then.
    watch : callable
        Is called with the model where this call takes it up, and after every step; it must leave it as it is.

    Raises
    ------
    SimtoolError
        When the stores cannot serve the recipe, when another run has the folder, when a checkpoint is damaged, or when
        the loss is no number or leaps.
    """
    folder = Path(folder)
    with ExitStack() as stack:
        device = find_device(execution.device)
        processes = stack.enter_context(Processes(device, execution.deterministic, execution.shard))
        if processes.rank == 0:
            stack.enter_context(locked(folder))
            bind_folder(folder, recipe)
        processes.wait()
        writer = stack.enter_context(CheckpointWriter(folder / "checkpoints", execution.keep_last))
        return _Run(recipe, stores, folder, execution, parents, report, watch, processes, writer).run()


def batches_of(recipe: Recipe, stores: Mapping[str, TokenStore]) -> list[TextBatches | ExampleBatches]:
    """The batches of every segment.

    Raises
    ------
    SimtoolError
        Where the stores do not hold what the recipe asks for.
    """
    _check_tokenizer(recipe, stores)
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


def _check_tokenizer(recipe: Recipe, stores: Mapping[str, TokenStore]) -> None:
    names = [name for phase in recipe.phases for name in phase.mixture.weights]
    check_stores(stores, names)
    for name in names:
        if stores[name].tokenizer_fingerprint != recipe.tokenizer:
            raise SimtoolError(
                f"{name} is tokenized under {stores[name].tokenizer_fingerprint}, the recipe says"
                f" {recipe.tokenizer}. Tokenize it under the recipe's tokenizer."
            )


def steps_of(phase: Phase, batches: TextBatches | ExampleBatches) -> int:
    """Steps of a segment."""
    return batches.n_batches * (phase.epochs or 1)


@dataclass(frozen=True)
class _Unread:
    """A step that is begun and whose loss is not read yet; its batch stays until then, because the device reads it.

    read   gives its loss and gradient norm
    """

    segment: int
    step: int
    batch: Batch
    rate: float
    read: Callable[[], list[float]]


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
        processes: Processes,
        writer: CheckpointWriter,
    ):
        self.recipe, self.folder, self.execution, self.processes = recipe, folder, execution, processes
        self.device, self.report, self.watch, self.writer = processes.device, report, watch, writer
        self.segments = recipe.segments()
        self.batches = batches_of(recipe, stores)
        self.stores = {
            name: stores[name].fingerprint for phase in recipe.phases for name in sorted(phase.mixture.weights)
        }
        any_store = stores[next(iter(recipe.phases[0].mixture.weights))]
        self.end_of_text = any_store.end_of_text
        self.model: Model = build_model(recipe.model, any_store.vocabulary_size, recipe.seed, recipe.residual_precision)
        _check_vocabulary(any_store, self.model)
        self.flops = flops_per_token(self.model, recipe.sequence_length)
        on_gpu = self.device.type == "cuda"
        compile = execution.compile
        if compile is None:  # other architectures may have layers that no compiler likes
            compile = on_gpu and isinstance(self.model, GPTNeoX) and can_compile()
        self.model = processes.placed(self.model.train(), compile, recipe.precision)
        self.parameters = list(self.model.parameters())
        self.optimizer = adamw(self.model, recipe.weight_decay)
        self.buckets = processes.buckets(self.parameters)
        self.micro_batches = self._micro_batches()
        self.reads_late = on_gpu
        self.unread: _Unread | None = None
        self.places = [folder / "checkpoints", *(Path(parent) / "checkpoints" for parent in parents)]
        self.done: list[int] = []
        self.tokens = 0

    def run(self) -> Trained:
        saved = find_checkpoint(self.recipe, self.places)
        first_segment, step = self._resume(saved)
        self.watch(self.model)
        if first_segment < len(self.segments):
            self.peak = measured_peak(self.device, self.recipe.precision)
            self._warn_if_emulated()
            datasheet = datasheet_peak(self.device, self.recipe.precision)
            n = self.processes.size
            self.peaks = self.peak * n, None if datasheet is None else datasheet * n
        for s in range(first_segment, len(self.segments)):
            self._train_segment(s, step if s == first_segment else 0)
        self.writer.wait()
        self.processes.wait()
        return Trained(self.recipe, self.folder, self._ends(), saved.folder if saved else None)

    def _micro_batches(self) -> MicroBatches:
        tokens = usual_tokens(self.model, self.device, self.recipe.precision)
        path = self.folder / "micro_batches.json"
        return load_micro_batches(path, self.device, self.execution.micro_batch, self.processes.least(tokens))

    def _warn_if_emulated(self) -> None:
        if self.device.type == "cpu" and self.recipe.precision == "bf16" and self.processes.rank == 0:
            times = measured_peak(self.device, "fp32") / self.peak
            if times > 1.5:
                self.report(
                    f"This CPU multiplies bf16 matrices {times:.0f} times slower than fp32. Train in fp32 here."
                )

    def _resume(self, saved: Saved | None) -> tuple[int, int]:
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
            segment, step, self.writer.last_saved = saved.segment, saved.step, saved.folder
            self.tokens = saved.position.tokens
            self.done = list(saved.position.done[:segment])
        if self.processes.rank == 0:
            cut_metrics(self.folder / "metrics.jsonl", segment, step)
        return segment, step

    def _train_segment(self, s: int, first: int) -> None:
        phase, batches = self.segments[s], self.batches[s]
        n_steps = steps_of(phase, batches)
        if first == 0 and phase.optimizer == "fresh":
            self.optimizer = adamw(self.model, self.recipe.weight_decay)
        self.history = LossHistory(self.execution.spike)
        ends = {n_steps, *(at for _, segment, at in self.recipe.ends() if segment == s)}
        meter = Meter(phase.name, first, n_steps, self.execution.log_steps, self.flops, *self.peaks)
        saved_at = time.monotonic()
        for step, batch in zip(range(first, n_steps), self._prepared(batches, range(first, n_steps)), strict=True):
            rate = self.recipe.learning_rate(phase, step, n_steps)
            loss, norm = self._gradients(batch, phase, s, step)
            self._read(meter)
            read = guarded_step(self.optimizer, rate, loss, norm, self.history.limit)
            self.unread = _Unread(s, step, batch, rate, read)
            if step + 1 in ends or self._save_is_due(step, saved_at):
                self._read(meter)
                self._save(s, step + 1, n_steps, permanent=step + 1 in ends)
                saved_at = time.monotonic()
            elif not self.reads_late:
                self._read(meter)
        if self.processes.rank == 0:
            achieved = batches.achieved(n_steps) if isinstance(batches, TextBatches) else {"epochs": phase.epochs}
            self._log({"event": "end", "phase": phase.name, "segment": s, "step": n_steps, "achieved": achieved})

    def _log(self, line: dict[str, Any]) -> None:
        append_metrics(self.folder / "metrics.jsonl", line)

    def _save_is_due(self, step: int, saved_at: float) -> bool:
        due = time.monotonic() - saved_at > self.execution.save_seconds
        due |= bool(self.execution.save_steps) and (step + 1) % self.execution.save_steps == 0
        if self.processes.size > 1:  # clocks differ
            due = bool(self.processes.sum(torch.tensor(float(due and self.processes.rank == 0), device=self.device)))
        return due

    def _prepared(self, batches: TextBatches | ExampleBatches, steps: Iterable[int]) -> Iterator[Batch]:
        """The batches of these steps, made ahead; for a GPU of few widths, and in memory that it reads by itself."""

        def prepare(step: int) -> Batch:
            batch = batches.batch(step)
            if self.device.type != "cuda":
                return batch
            batch = filled_up(batch)
            return Batch(*(staged(array, self.device) for array in (batch.ids, batch.targets, batch.documents)))

        return prefetched(prepare, steps)

    def _gradients(self, batch: Batch, phase: Phase, s: int, step: int) -> tuple[Tensor, Tensor]:
        """Gradients of the batch's mean loss, clipped; that loss, and the norm before. Halves what does not fit."""
        n_targets, width = batch.n_targets, batch.ids.shape[1]
        while True:
            pieces = self.processes.pieces(batch, self.micro_batches.rows(s, step, width))
            total = self._attempt(pieces, n_targets, phase)
            if total is not None:
                break
            # behind the `except` of the attempt: its traceback, which held the activations, is gone
            self._halve(s, step, max(len(piece.ids) for piece in pieces), width)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.max_grad_norm)
        return self.processes.sum(total).double() / max(n_targets, 1), whole(norm)

    def _attempt(self, pieces: Sequence[Batch], n_targets: int, phase: Phase) -> Tensor | None:
        """The gradients of the pieces' loss, and their summed cross-entropy; None where they do not fit."""
        try:
            return self._accumulate(pieces, n_targets, phase)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        return None

    def _accumulate(self, pieces: Sequence[Batch], n_targets: int, phase: Phase) -> Tensor:
        total = torch.zeros((), device=self.device)
        masked = phase.is_sft or self.recipe.mask_documents
        for i, piece in enumerate(pieces):
            ids_BT, targets_BT = moved(piece.ids, self.device), moved(piece.targets, self.device)
            documents = self._within(piece) if masked else None
            with autocast(self.device, self.recipe.precision):
                hidden_BTD = self.model.hidden(ids_BT, documents)
                loss, cross_entropy = chunked_cross_entropy(hidden_BTD, self.model.head, targets_BT, self.recipe.z_loss)
            if self.buckets and i + 1 == len(pieces):
                self.buckets.begin()
            (loss / n_targets * self.processes.loss_scale).backward()
            total += cross_entropy
        if self.buckets:
            self.buckets.finish()
        return total

    def _within(self, piece: Batch) -> Tensor:
        """What keeps attention within documents on this device."""
        if isinstance(self.model, GPTNeoX) and has_document_attention(self.device, self.recipe.precision):
            return moved(document_offsets(np.asarray(piece.documents)), self.device)
        return moved(piece.documents, self.device)

    def _halve(self, s: int, step: int, rows: int, width: int) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if rows <= 1 or self.processes.size > 1:
            fits = "not even one row fits" if rows <= 1 else f"{rows} rows a process do not fit"
            raise SimtoolError(
                f"Out of memory: {fits} on {self.device}. Use a smaller --micro-batch, --sequence-length or model."
            )
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        half = self.micro_batches.halve(s, step, rows, width)
        self.report(f"Out of memory with {rows} rows at a time: going on with {half}, the same numbers.")

    def _read(self, meter: Meter) -> None:
        """What the last step's loss was, and whether its update was made.

        Raises
        ------
        TrainingDiverged
            Where it was not made.
        """
        unread, self.unread = self.unread, None
        if unread is None:
            return
        loss, norm = unread.read()
        self._check(loss, norm, unread.segment, unread.step)
        self.watch(self.model)
        self.tokens += unread.batch.n_targets
        progress = meter.add(unread.step, unread.batch, loss, norm, unread.rate, self.tokens)
        if progress and self.processes.rank == 0:
            self.report(progress)
            if meter.is_logged(unread.step):
                self._log({"event": "step", "segment": unread.segment, **progress.__dict__})

    def _check(self, loss: float, norm: float, s: int, step: int) -> None:
        problem = self.history.add(loss, norm)
        if problem is not None:
            self.writer.wait()
            raise TrainingDiverged(
                f"Step {step:,} of phase {self.segments[s].name!r}: {problem}. Nothing was changed by it.\n"
                f"Documents of the batch, by their numbers: {listed_origins(self.batches[s].origins(step))}.\n"
                f"Last good checkpoint: {self.writer.last_saved or 'none yet'}.\n"
                "Lower the learning rate, or look at these documents."
            )

    def _save(self, s: int, step: int, n_steps: int, permanent: bool) -> None:
        fingerprint = self.recipe.prefix(s + 1, 0) if step == n_steps else self.recipe.prefix(s, step)
        position = Position(fingerprint, (*self.done, step), self.tokens, self.stores, permanent, self.end_of_text)
        state = state_of(self.model, self.optimizer, is_writer=self.processes.rank == 0)
        if self.processes.rank == 0:
            config = self.model.config(self.recipe.sequence_length, self.end_of_text)
            self.writer.save(state, config, position, self.recipe)
        if step == n_steps:
            self.done.append(step)
        self.processes.wait()

    def _ends(self) -> dict[str, Path]:
        """The checkpoint at the end of every phase, wherever it lies."""
        ends = {}
        for name, segment, step in self.recipe.ends():
            is_last_step = step is None or step == self.recipe.n_steps(self.segments[segment])
            fingerprint = self.recipe.prefix(segment + 1, 0) if is_last_step else self.recipe.prefix(segment, step)
            folders = [place / fingerprint for place in self.places]
            if folder := next((folder for folder in folders if (folder / "position.json").exists()), None):
                ends[name] = folder
        return ends


def _check_vocabulary(store: TokenStore, model: Model) -> None:
    if store.vocabulary_size > model.vocabulary_size:
        raise SimtoolError(
            f"The tokenizer has {store.vocabulary_size:,} entries, the model only {model.vocabulary_size:,}."
        )


def listed_origins(rows: Sequence[Origin]) -> str:
    """The documents of a batch's rows, as a message names them: "c4 3-7; pycode 12; and 4 more rows"."""
    names = []
    for origin in rows[:SHOWN_ROWS]:
        first, last = origin.documents[0], origin.documents[-1]
        names.append(f"{origin.corpus} {first}" + (f"-{last}" if last != first else ""))
    more = f"; and {len(rows) - SHOWN_ROWS} more rows" if len(rows) > SHOWN_ROWS else ""
    return "; ".join(names) + more
