"""What a run says of itself while it goes on: metrics.jsonl, progress, and whether a loss is still sound."""

import json
import math
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from simtool.progress import TrainingProgress
from simtool.tables import atomic_write
from simtool.tokens.batches import Batch

SPIKE_HISTORY = 100  # steps behind the median that a loss is held against


class LossHistory:
    """Losses of a run's last steps, against which the next is held.

    spike   nats per token above their median at which a loss has leapt; None: never
    limit   the loss above which the next update is not made; infinite while there are too few to know what is usual
    """

    def __init__(self, spike: float | None):
        self.spike, self.limit = spike, math.inf
        self.losses: deque[float] = deque(maxlen=SPIKE_HISTORY)

    def add(self, loss: float, norm: float) -> str | None:
        """What is wrong with a step's loss and gradient norm; None: nothing."""
        problem = None
        if not (math.isfinite(loss) and math.isfinite(norm)):
            problem = f"the loss is {loss} and its gradient's norm {norm}"
        elif loss > self.limit:
            problem = f"the loss leapt from {np.median(self.losses):.3f} to {loss:.3f}"
        self.losses.append(loss)
        if self.spike is not None and len(self.losses) == SPIKE_HISTORY:
            self.limit = float(np.median(self.losses)) + self.spike
        return problem


class Meter:
    """Counts between messages of one phase: nats per token, tokens/s, and how long it will take.

    flops_per_token   of the model
    peak              operations a second of all devices together, measured: what MFU is a share of
    datasheet_peak    the same as their maker says it, where that is known
    """

    def __init__(
        self,
        phase: str,
        first: int,
        n_steps: int,
        log_steps: int,
        flops_per_token: float,
        peak: float,
        datasheet_peak: float | None = None,
    ):
        self.phase, self.first, self.n_steps, self.log_steps = phase, first, n_steps, log_steps
        self.flops_per_token, self.peak, self.datasheet_peak = flops_per_token, peak, datasheet_peak
        self._restart()

    def _restart(self) -> None:
        self.since, self.nats, self.targets, self.tokens, self.steps = time.perf_counter(), 0.0, 0, 0, 0

    def is_logged(self, step: int) -> bool:
        return (step + 1) % self.log_steps == 0 or step + 1 == self.n_steps

    def add(
        self, step: int, batch: Batch, loss: float, norm: float, rate: float, run_tokens: int
    ) -> TrainingProgress | None:
        """Progress where it is due; after the first step as well, because ten steps of a large model take minutes."""
        self.nats += loss * batch.n_targets
        self.targets += batch.n_targets
        self.tokens += batch.n_tokens
        self.steps += 1
        if not self.is_logged(step) and step != self.first:
            return None
        seconds = time.perf_counter() - self.since
        speed = self.tokens / seconds
        progress = TrainingProgress(
            self.phase,
            step + 1,
            self.n_steps,
            run_tokens,
            self.nats / max(self.targets, 1),
            rate,
            norm,
            speed,
            self.flops_per_token * speed / self.peak,
            (self.n_steps - step - 1) * seconds / self.steps,
            self.flops_per_token * speed / self.datasheet_peak if self.datasheet_peak else None,
        )
        if self.is_logged(step):
            self._restart()
        return progress


def append_metrics(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def cut_metrics(path: Path, segment: int, step: int) -> None:
    """Forget what was logged after the checkpoint that training goes on from: those steps are done again."""
    if not path.exists():
        return
    lines = [text for text in path.read_text("utf-8", "replace").splitlines() if _is_before(text, segment, step)]
    with atomic_write(path) as temporary:
        temporary.write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")


def _is_before(text: str, segment: int, step: int) -> bool:
    try:
        line = json.loads(text)
        return line["segment"] < segment or (line["segment"], line["step"]) <= (segment, step)
    except (ValueError, LookupError, TypeError):  # the kill came in the middle of a line, or it is damaged
        return False
