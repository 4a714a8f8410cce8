"""Long work while it goes on, on stderr: counting, training."""

import sys
import time
from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from simtool.display.console import console
from simtool.progress import Counted, CountingFinished, CountingStarted, Tally, TrainingProgress
from simtool.wording import visible


class Counting:
    """Shows counting while it goes on: a bar in a terminal, one line per corpus elsewhere; on stderr."""

    def __init__(self) -> None:
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(20),
            TextColumn("{task.fields[done]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self.task: Any = None
        self.tally = Tally("")

    def __enter__(self) -> "Counting":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self.bar.disable:  # rich before 14.3 prints an empty line all the same
            self.bar.stop()

    def report(self, message: Any) -> None:
        """One of the messages of counting, or a plain sentence."""
        if isinstance(message, CountingStarted):
            self.tally = Tally(message.corpus)
            self.bar.console.print(f"Counting {escape(message.corpus)}: {escape(message.source)}")
            self.task = self.bar.add_task(escape(message.corpus), total=1.0, done="")
        elif isinstance(message, Counted):
            self.tally.add(message)
            how_far = self.tally.fraction
            place = {"total": None} if how_far is None else {"completed": how_far}
            self.bar.update(self.task, done=str(self.tally), **place)
        elif isinstance(message, CountingFinished):
            self.bar.remove_task(self.task)
            self.bar.console.print(f"Counted {escape(self.tally.corpus)}: {self.tally}")
        else:
            self.bar.console.print(escape(message))


class Training:
    """Shows training while it goes on: one line that changes in a terminal, a line every few seconds elsewhere."""

    SECONDS = 15.0  # between lines where they stay

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.shown_at, self.phase = 0.0, ""

    def __enter__(self) -> "Training":
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            print(file=sys.stderr)

    def report(self, message: Any) -> None:
        """A Progress of the training loop, or a plain sentence."""
        if isinstance(message, str):
            print(("\r\033[K" if self.live else "") + visible(message), file=sys.stderr, flush=True)
        elif isinstance(message, TrainingProgress):
            last, new = message.step == message.n_steps, message.phase != self.phase
            if not (self.live or last or new or time.monotonic() - self.shown_at > self.SECONDS):
                return
            self.shown_at, self.phase = time.monotonic(), message.phase
            line = (
                f"{message.phase} {message.step:,}/{message.n_steps:,}  loss {message.loss:.3f}"
                f"  lr {message.learning_rate:.2e}  {message.tokens_per_second:,.0f} tokens/s"
                f"  MFU {message.mfu:.0%}{_of_datasheet(message)}  {time_left(message.seconds_left)} left"
            )
            ending = "\n" if last or not self.live else ""
            print(("\r\033[K" if self.live else "") + line, end=ending, file=sys.stderr, flush=True)


def time_left(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _of_datasheet(message: TrainingProgress) -> str:
    return "" if message.datasheet_mfu is None else f" ({message.datasheet_mfu:.0%} of the data sheet)"
