"""Long work while it goes on, on stderr: counting, training."""

import sys
import time
from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from simtool.display.console import console
from simtool.progress import Counted, CountingFinished, CountingStarted, TrainingProgress


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
        self.name, self.n_bytes, self.n_tokens, self.began = "", 0, 0, 0.0
        self.fractions: dict[int, float] = {}  # by shard; the slowest one says how far the corpus is

    def __enter__(self) -> "Counting":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def report(self, message: Any) -> None:
        """One of: Started, Progress, Finished, or a plain sentence."""
        if isinstance(message, CountingStarted):
            self.name, self.n_bytes, self.n_tokens, self.began = message.corpus, 0, 0, time.monotonic()
            self.bar.console.print(f"Counting {escape(message.corpus)}: {escape(message.source)}")
            self.fractions.clear()
            self.task = self.bar.add_task(escape(message.corpus), total=1.0, done="")
        elif isinstance(message, Counted):
            self.n_bytes += message.n_bytes
            self.n_tokens += message.n_tokens
            if message.fraction is None:
                self.bar.update(self.task, total=None, done=self._done())
            else:
                self.fractions[message.shard] = message.fraction
                self.bar.update(self.task, completed=min(self.fractions.values()), done=self._done())
        elif isinstance(message, CountingFinished):
            self.bar.remove_task(self.task)
            self.bar.console.print(f"Counted {escape(self.name)}: {self._done()}")
        else:
            self.bar.console.print(escape(message))

    def _done(self) -> str:
        seconds = max(time.monotonic() - self.began, 1e-3)
        return f"{self.n_tokens:,} tokens, {self.n_bytes / 1e6:,.1f} MB, {self.n_bytes / 1e6 / seconds:,.1f} MB/s"


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
            print(("\r\033[K" if self.live else "") + message, file=sys.stderr, flush=True)
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
