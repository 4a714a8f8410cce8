"""Every message that long work sends while it goes on. To add one, write its class here.

A `report` is a function of one message: one of these, or a plain sentence. Messages are data and need no torch, so that
whatever shows them (a terminal, a notebook, a tracker) may be had without it.
"""

from dataclasses import dataclass
from pathlib import Path


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
    """A node of a study is done. seconds_left goes by tokens, from the speed so far; None where nothing was trained."""

    label: str
    n_done: int
    n_nodes: int
    loss: float
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
