"""Every message that long work sends while it goes on. To add one, write its class here.

A `report` is a function of one message: one of these, or a plain sentence. Messages are data and need no torch, so that
whatever shows them (a terminal, a notebook, a tracker) may be had without it. A library prints nothing by itself; in a
notebook, where a cell that is silent for minutes looks as if it hung, they are shown in its output.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class CountingStarted:
    """Counting this corpus begins; source says where its text comes from."""

    corpus: str
    source: str


@dataclass(frozen=True)
class Counted:
    """What a shard has counted since its last message, and how far it is (None: unknown)."""

    shard: int
    n_bytes: int
    n_tokens: int
    fraction: float | None


@dataclass(frozen=True)
class CountingFinished:
    """The counting that had started is done."""


@dataclass(frozen=True)
class TrainingProgress:
    """Where training is. loss is in nats per token, over the steps since the last message.

    mfu             share of the speed of a large matrix product here (model FLOP/s utilisation)
    datasheet_mfu   share of what the card's maker says; None where that is not known
    """

    phase: str
    step: int
    n_steps: int
    tokens: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float
    mfu: float
    seconds_left: float
    datasheet_mfu: float | None = None


@dataclass(frozen=True)
class NodeFinished:
    """A node of a study is done.

    loss            on held-out text of the corpus that was measured last, a target where there is one
    seconds_left    by tokens, from the speed so far; None where nothing was trained
    """

    label: str
    n_done: int
    n_nodes: int
    loss: float
    corpus: str
    seconds_left: float | None


@dataclass(frozen=True)
class NodeFailed:
    """A node of a study failed, and was not measured."""

    label: str
    error: str


@dataclass(frozen=True)
class PredictionWritten:
    """A study's prediction is in this file, before anything is trained."""

    path: Path


# --- How far counting is ---


@dataclass
class Tally:
    """What was counted of a corpus so far, by the messages of its shards.

    fractions   by shard, of those that know theirs
    """

    corpus: str
    n_bytes: int = 0
    n_tokens: int = 0
    fractions: dict[int, float] = field(default_factory=dict)
    is_known: bool = True
    began: float = field(default_factory=time.monotonic)

    def add(self, message: Counted) -> None:
        """Count a shard's message in."""
        self.n_bytes += message.n_bytes
        self.n_tokens += message.n_tokens
        if message.fraction is None:
            self.is_known = False
        else:
            self.fractions[message.shard] = message.fraction

    @property
    def fraction(self) -> float | None:
        """How far the slowest shard is; None where a shard cannot say."""
        return min(self.fractions.values(), default=0.0) if self.is_known else None

    def __str__(self) -> str:
        seconds = max(time.monotonic() - self.began, 1e-3)
        size = f"{self.n_bytes / 1e6:,.1f} MB" if self.n_bytes >= 1e5 else f"{self.n_bytes / 1e3:,.1f} kB"
        speed = f", {self.n_bytes / 1e6 / seconds:,.1f} MB/s" if self.n_bytes >= 1e5 else ""  # of less it says nothing
        return f"{self.n_tokens:,} tokens, {size}{speed}"


# --- In a notebook ---


def default_report() -> Callable[[Any], None]:
    """What shows messages where nobody says otherwise: a bar in a notebook, and nothing elsewhere."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return NotebookReport().report if hasattr(shell, "kernel") else silence  # IPython in a terminal has no kernel


def silence(message: Any) -> None:
    """Shows nothing."""


class NotebookReport:
    """Messages in a cell's output: a bar that moves, and its last state as a line that stays."""

    SECONDS = 0.2  # between redraws

    def __init__(self) -> None:
        self.tally = Tally("")
        self.output: Any = None
        self.drawn_at = 0.0

    def report(self, message: Any) -> None:
        """Show one message."""
        if isinstance(message, CountingStarted):
            self.tally, self.output = Tally(message.corpus), None
            self._draw(0.0, f"Counting {message.corpus}: {message.source}")
        elif isinstance(message, Counted):
            self.tally.add(message)
            if time.monotonic() - self.drawn_at > self.SECONDS:
                self._draw(self.tally.fraction, f"Counting {self.tally.corpus}: {self.tally}")
        elif isinstance(message, CountingFinished):
            self._draw(1.0, f"Counted {self.tally.corpus}: {self.tally}")
            self.output = None
        elif isinstance(message, TrainingProgress):
            line = f"{message.phase} {message.step:,}/{message.n_steps:,}, loss {message.loss:.3f}"
            self._draw(message.step / message.n_steps, line)
        elif isinstance(message, str):
            self.output = None
            self._draw(None, message, bar=False)
            self.output = None

    def _draw(self, fraction: float | None, text: str, bar: bool = True) -> None:
        from IPython.display import HTML, display

        at = "" if fraction is None else f' value="{fraction:.3f}"'
        drawing = HTML((f"<progress max=1{at}></progress> " if bar else "") + escape(text))
        self.drawn_at = time.monotonic()
        if self.output is None:
            self.output = display(drawing, display_id=True)
        else:
            self.output.update(drawing)
