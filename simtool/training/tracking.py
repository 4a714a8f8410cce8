"""Mirrors of a run's metrics elsewhere. To add one, write the function below its name, and name it in `TRACKERS`.

metrics.jsonl is always written, and is complete; a mirror is for looking at. Its package is imported when it is named.
A tracker takes the run's folder and facts of the run, and yields `log(values, tokens)`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from simtool.errors import SimtoolError, unknown
from simtool.progress import TrainingProgress

Log = Callable[[Mapping[str, float], int], None]
PROJECT = "simtool"
SHOWN = ("loss", "learning_rate", "gradient_norm", "tokens_per_second", "mfu")


@contextmanager
def tensorboard(folder: Path, facts: Mapping[str, Any]) -> Iterator[Log]:
    """Event files in FOLDER/tensorboard: tensorboard --logdir FOLDER."""
    with _imported("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(folder / "tensorboard")) as writer:

        def log(values: Mapping[str, float], tokens: int) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, tokens)

        yield log


@contextmanager
def wandb(folder: Path, facts: Mapping[str, Any]) -> Iterator[Log]:
    """A run of Weights & Biases; a run that is taken up again is the same one there."""
    module = _imported("wandb", "wandb")
    # steps that a kill undid are reported again under smaller numbers, which its own step count would drop
    module.init(
        project=PROJECT, name=folder.name, dir=str(folder), id=facts["fingerprint"], config=dict(facts), resume="allow"
    )
    try:
        module.define_metric("*", step_metric="tokens")
        yield lambda values, tokens: module.log({**values, "tokens": tokens})
    finally:
        module.finish()


@contextmanager
def trackio(folder: Path, facts: Mapping[str, Any]) -> Iterator[Log]:
    """A local run of Trackio: trackio show --project simtool."""
    module = _imported("trackio", "trackio")
    module.init(project=PROJECT, name=f"{folder.name}-{facts['fingerprint']}", config=dict(facts), resume="allow")
    try:
        yield lambda values, tokens: module.log({**values, "tokens": tokens}, step=tokens)
    finally:
        module.finish()


TRACKERS = {"tensorboard": tensorboard, "wandb": wandb, "trackio": trackio}


@contextmanager
def mirrored(name: str | None, folder: Path, facts: Mapping[str, Any]) -> Iterator[Callable[[Any], None]]:
    """A `report` for `train` that passes every TrainingProgress to a tracker; none, where no tracker is named.

    Parameters
    ----------
    facts
        Of the run, with its fingerprint.

    Raises
    ------
    SimtoolError
        Where the tracker is unknown or its package is not installed.
    """
    if name is None:
        yield lambda message: None
        return
    if name not in TRACKERS:
        raise unknown("tracker", name, TRACKERS)
    folder.mkdir(parents=True, exist_ok=True)
    with TRACKERS[name](folder, facts) as log:

        def report(message: Any) -> None:
            if isinstance(message, TrainingProgress):
                log({f"{message.phase}/{quantity}": getattr(message, quantity) for quantity in SHOWN}, message.tokens)

        yield report


def _imported(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise SimtoolError(
            f"--track {package} needs the package {package}: pip install {package}."
            " metrics.jsonl is written without it."
        ) from error
