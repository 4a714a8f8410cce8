"""What is trained: a model through phases. Equal recipes have equal fingerprints; so have equal beginnings of them.

A phase reads either so many tokens of a mixture (pretraining, midtraining, continued pretraining) or so many epochs
of examples (SFT). Where a phase only goes on with the settings of the one before, the two are one segment: a run
that is planned in two pieces does the same steps, and has the same fingerprints, as one planned whole.
"""

import hashlib
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from simtool.errors import SimtoolError
from simtool.integrity import checked, damage_as_message, read_json
from simtool.mixture import Mixture
from simtool.tables import save_json
from simtool.training.schedules import find_schedule, share_of_peak

WARMUP_FRACTION = 0.01  # of the schedule; Pythia
MIN_LR_RATIO = 0.1  # of the peak; Pythia
# what a field is called in saved recipes and in what fingerprints are taken of, where that is not its name here:
# checkpoints name their recipe by a fingerprint, so these never change
SAVED_AS = {
    "sequence_length": "length",
    "max_grad_norm": "clip",
    "warmup_fraction": "warmup",
    "min_lr_ratio": "floor",
    "decay_fraction": "decay",
}
# fields that came after the first fingerprints were taken, as everything was before: that is left out of both
CAME_LATER = {"residual_precision": "fp32"}
FIELD_OF = {saved: name for name, saved in SAVED_AS.items()}


@dataclass(frozen=True)
class Phase:
    """Training on one mixture. Either tokens > 0, or epochs > 0 of a single corpus of examples.

    tokens            of the mixture, rounded to whole batches
    epochs            SFT: passes over the examples of the one corpus of the mixture
    learning_rate     the peak
    schedule          a name from `SCHEDULES`; warmup_fraction, min_lr_ratio and decay_fraction are its settings
    schedule_done     tokens of the schedule that lie before this phase, where it goes on from an earlier one
    schedule_tokens   length of the schedule in tokens; this phase's, with what is done, where it is None
    batch_size        sequences a step; in SFT, examples a step
    optimizer         "carry" the state of the phase before (midtraining), or start "fresh" (SFT)
    train_on          SFT: "response", "text", or None for what the store says
    seed              of the order of the data; the recipe's where it is None
    """

    name: str
    mixture: Mixture
    tokens: int | None
    learning_rate: float
    epochs: int | None = None
    schedule: str = "cosine"
    warmup_fraction: float = WARMUP_FRACTION
    min_lr_ratio: float = MIN_LR_RATIO
    decay_fraction: float = 0.2
    schedule_done: int = 0
    schedule_tokens: int | None = None
    batch_size: int = 32
    optimizer: Literal["carry", "fresh"] = "carry"
    train_on: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        find_schedule(self.schedule)
        if (self.tokens is None) == (self.epochs is None):
            raise SimtoolError(f"Phase {self.name!r} needs either tokens or epochs.")
        for name in ("tokens", "epochs", "batch_size", "learning_rate", "schedule_tokens"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise SimtoolError(f"Phase {self.name!r}: {name.replace('_', ' ')} must be above 0. Got {value}.")
        for name in ("warmup_fraction", "min_lr_ratio", "decay_fraction"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise SimtoolError(f"Phase {self.name!r}: {name.replace('_', ' ')} must be from 0 to 1. Got {value}.")
        if self.is_sft and len(self.mixture.weights) != 1:
            raise SimtoolError(f"Phase {self.name!r} counts epochs, so it needs one corpus. Got {self.mixture}.")
        if self.is_sft and (self.schedule_done or self.schedule_tokens is not None):
            raise SimtoolError(f"Phase {self.name!r} counts epochs, so its schedule is its own length.")
        if self.optimizer not in ("carry", "fresh"):
            raise SimtoolError(f"Phase {self.name!r}: the optimizer is carried or fresh. Got {self.optimizer!r}.")

    @property
    def is_sft(self) -> bool:
        return self.epochs is not None

    @property
    def schedule_length(self) -> int:
        """Tokens of the whole schedule that this phase is on."""
        assert self.tokens is not None
        return self.schedule_tokens or self.schedule_done + self.tokens

    def learning_rate_at(self, progress: float) -> float:
        """The learning rate at this progress through the schedule."""
        return self.learning_rate * share_of_peak(
            self.schedule, min(progress, 1.0), self.warmup_fraction, self.min_lr_ratio, self.decay_fraction
        )

    def spelled_out(self) -> "Phase":
        """With its schedule's length given, so that a part of the phase can say which schedule it is on."""
        return self if self.is_sft else replace(self, schedule_tokens=self.schedule_length)


@dataclass(frozen=True)
class Recipe:
    """A model, its tokenizer's fingerprint, its phases in order, and a seed; and all else that changes the weights.

    model                a name from `SIZES`, or a folder with a config.json of transformers
    sequence_length      tokens
    max_grad_norm        a longer gradient is shortened to that
    mask_documents       whether attention ends at a document's border in text; in SFT it always does
    precision            "fp32", or "bf16": autocast over fp32 master weights
    residual_precision   "fp32", or "bf16": what layers hand on is rounded, which halves what a GPU reads and writes of
                         it; for sizes by name in bf16
    """

    model: str
    tokenizer: str
    phases: tuple[Phase, ...]
    seed: int = 0
    sequence_length: int = 2048
    weight_decay: float = 0.1
    max_grad_norm: float = 1.0
    z_loss: float = 0.0
    mask_documents: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"
    max_epochs: float = 4.0
    residual_precision: Literal["fp32", "bf16"] = "fp32"

    def __post_init__(self) -> None:
        if not self.phases:
            raise SimtoolError("A recipe needs at least one phase.")
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise SimtoolError(f"Phases need names of their own. Got {', '.join(names)}.")
        if self.precision not in ("fp32", "bf16"):
            raise SimtoolError(f"Precision is fp32 or bf16. Got {self.precision!r}.")
        if self.residual_precision not in ("fp32", self.precision):
            raise SimtoolError(
                "The residual stream is in fp32, or in bf16 where the precision is bf16."
                f" Got {self.residual_precision!r} in {self.precision}."
            )
        for phase in self.phases:
            if phase.tokens is not None and phase.tokens < self.step_tokens(phase):
                raise SimtoolError(
                    f"Phase {phase.name!r} of {phase.tokens:,} tokens is shorter than one batch of"
                    f" {phase.batch_size} x {self.sequence_length:,} tokens. Ask for more tokens or a smaller batch."
                )

    def step_tokens(self, phase: Phase) -> int:
        """Tokens of one step of a text phase."""
        return phase.batch_size * self.sequence_length

    def n_steps(self, phase: Phase) -> int:
        """Steps of a text phase: its tokens in whole batches, rounded down."""
        assert phase.tokens is not None
        return phase.tokens // self.step_tokens(phase)

    def learning_rate(self, phase: Phase, step: int, n_steps: int) -> float:
        """Of a step of a segment, in its middle, so that neither the first nor the last is lost to a rate of zero."""
        if phase.is_sft:
            return phase.learning_rate_at((step + 0.5) / n_steps)
        return phase.learning_rate_at(
            (phase.schedule_done + (step + 0.5) * self.step_tokens(phase)) / phase.schedule_length
        )

    def segments(self) -> tuple[Phase, ...]:
        """The phases with those that only go on joined to the one before; what the loop runs."""
        return self._joined()[0]

    def ends(self) -> tuple[tuple[str, int, int | None], ...]:
        """(name, segment, steps into it) of the end of every phase; None for the steps of SFT, which the text says."""
        return self._joined()[1]

    def _joined(self) -> tuple[tuple[Phase, ...], tuple[tuple[str, int, int | None], ...]]:
        joined: list[Phase] = []
        ends: list[tuple[str, int, int | None]] = []
        for phase in self.phases:
            name, phase = phase.name, phase.spelled_out()
            if joined and _goes_on(joined[-1], phase, self):
                joined[-1] = replace(joined[-1], tokens=self._whole(joined[-1]) + self._whole(phase))
            else:
                joined.append(phase)
            ends.append((name, len(joined) - 1, None if phase.is_sft else self.n_steps(joined[-1])))
        return tuple(joined), tuple(ends)

    def _whole(self, phase: Phase) -> int:
        return self.n_steps(phase) * self.step_tokens(phase)

    def prefix(self, segment: int, step: int) -> str:
        """16 hex digits that name the weights after so many steps of a segment: equal for all recipes that begin
        alike. Names of phases do not count, nor does what comes later."""
        done = [_identity(phase, self) for phase in self.segments()[:segment]]
        if step:
            done.append({**_identity(self.segments()[segment], self), "n_steps": step})
        settings = _saved_fields(self)
        # what may be read how often does not change what was read
        del settings["phases"], settings["max_epochs"]
        text = json.dumps({**settings, "done": done}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def fingerprint(self) -> str:
        """Names the finished run."""
        return self.prefix(len(self.segments()), 0)


def _goes_on(before: Phase, phase: Phase, recipe: Recipe) -> bool:
    """Whether a phase is the mere continuation of the one before, on the same schedule."""
    if before.is_sft or phase.is_sft or phase.optimizer != "carry":
        return False
    ends = before.schedule_done + recipe._whole(before)
    moved = replace(
        phase, name=before.name, tokens=before.tokens, optimizer=before.optimizer, schedule_done=before.schedule_done
    )
    return moved == before and phase.schedule_done == ends


def _identity(phase: Phase, recipe: Recipe) -> dict[str, Any]:
    """What of a whole phase changes the weights."""
    settings = _saved_fields(phase)
    settings |= {"mixture": dict(phase.mixture.weights), "seed": recipe.seed if phase.seed is None else phase.seed}
    del settings["name"], settings["tokens"]
    settings["n_steps"] = "all" if phase.is_sft else recipe.n_steps(phase)
    return settings


def _saved_fields(settings: Phase | Recipe) -> dict[str, Any]:
    """Fields under the names that they are saved by."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    later = {name for name, before in CAME_LATER.items() if values.get(name) == before}
    return {SAVED_AS.get(name, name): value for name, value in values.items() if name not in later}


SAVED_NAMES = frozenset(SAVED_AS.get(field.name, field.name) for field in fields(Recipe))


def recipe_to_json(recipe: Recipe) -> dict[str, Any]:
    """Plain values, saved with every run and checkpoint."""
    phases = [{**_saved_fields(phase), "mixture": dict(phase.mixture.weights)} for phase in recipe.phases]
    return {**_saved_fields(recipe), "phases": phases}


def recipe_from_json(saved: dict[str, Any]) -> Recipe:
    """The inverse of `recipe_to_json`."""
    phases = tuple(Phase(**_fields_of(phase) | {"mixture": Mixture(phase["mixture"])}) for phase in saved["phases"])
    return Recipe(**_fields_of(saved) | {"phases": phases})


def _fields_of(saved: dict[str, Any]) -> dict[str, Any]:
    return {FIELD_OF.get(name, name): value for name, value in saved.items()}


def bind_folder(folder: Path, recipe: Recipe) -> None:
    """The folder belongs to one recipe.

    Raises
    ------
    SimtoolError
        Where the folder belongs to another.
    """
    path = folder / "recipe.json"
    if path.exists():
        existing = read_recipe(path)
        if existing.fingerprint != recipe.fingerprint:
            raise SimtoolError(
                f"{folder} holds another recipe ({existing.fingerprint}, not {recipe.fingerprint})."
                " Name another folder, or repeat the settings of the first run."
            )
    save_json(recipe_to_json(recipe), path)


def read_recipe(path: Path) -> Recipe:
    """The recipe of a run's recipe.json.

    Raises
    ------
    SimtoolError
        Where it is damaged.
    """
    with damage_as_message(path, "Remove the file and repeat the run's command: the checkpoints say whose they are."):
        return recipe_from_json(checked(read_json(path), SAVED_NAMES))
