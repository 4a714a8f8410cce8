"""What a run is asked for: names of corpora and settings, and the recipe that they stand for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from simtool.errors import SimtoolError
from simtool.mixture import Mixture, parse_midtraining, parse_mixture
from simtool.tokens.tokenizer import Tokenizer
from simtool.training.recipes import WARMUP_FRACTION, Phase, Recipe
from simtool.training.sizes import find_defaults

SFT_SHARE = 0.1  # of the peak rate of pretraining, where no rate is given
SFT_WARMUP = 0.1


@dataclass(frozen=True)
class Request:
    """Phases in order, after those of the run that it goes on from; what is None has the size's own value."""

    model: str = "nano"
    pretrain: Mixture | str | None = None
    mid: Mixture | str | None = None  # "starcoder:0.2": the rest is pretraining data
    cpt: Mixture | str | None = None
    sft: str | None = None
    pretrain_tokens: int | None = None
    mid_tokens: int | None = None  # of continued pretraining, too
    sft_epochs: int = 4
    learning_rate: float | None = None
    sft_learning_rate: float | None = None
    schedule: str = "cosine"
    sequence_length: int | None = None
    batch_size: int | None = None
    sft_batch_size: int = 64
    seed: int = 0
    fresh: bool = False  # continued pretraining with a new optimizer
    train_on: str | None = None
    precision: str = "fp32"
    residual_precision: str = "fp32"
    mask_documents: bool = False
    max_epochs: float = 4.0
    z_loss: float = 0.0


def recipe_for(request: Request, tokenizer: Tokenizer, base: Recipe | None = None) -> Recipe:
    """The recipe of a request, going on from the end of `base`.

    A text phase after another decays from where the earlier one's schedule ended to its minimum: at the same rate if
    that ended at its peak (wsd, constant), else re-warmed from `learning_rate`.

    Raises
    ------
    SimtoolError
        Where a request says too little or too much for the run that it begins or goes on from.
    """
    if base is None and request.pretrain is None:
        raise SimtoolError("Name what to pretrain on (--pretrain c4), or a run to go on from (--from RUN).")
    if base is not None and request.pretrain is not None:
        raise SimtoolError("A run that goes on from another has its pretraining already: leave --pretrain out.")
    model = base.model if base else request.model
    usual = base.phases[0] if base else find_defaults(model)
    rate = request.learning_rate or usual.learning_rate
    batch_size = request.batch_size or usual.batch_size
    phases = list(base.phases) if base else []
    for name, mixture in _text_mixtures(request, base).items():
        phases.append(_text_phase(request, name, mixture, rate, batch_size, phases))
    if request.sft is not None:
        phases.append(_sft_phase(request, request.sft, request.sft_learning_rate or SFT_SHARE * rate, phases))
    if base is None:
        return Recipe(
            model,
            tokenizer.fingerprint,
            tuple(phases),
            request.seed,
            request.sequence_length or find_defaults(model).sequence_length,
            z_loss=request.z_loss,
            mask_documents=request.mask_documents,
            precision=request.precision,
            max_epochs=request.max_epochs,
            residual_precision=request.residual_precision,
        )
    if base.tokenizer != tokenizer.fingerprint:
        raise SimtoolError(
            f"The run to go on from is under the tokenizer {base.tokenizer}, not {tokenizer.fingerprint}"
            f" ({tokenizer.name}). Name its own with --tokenizer."
        )
    return replace(base, phases=tuple(phases), max_epochs=request.max_epochs)


def tokens_needed(recipe: Recipe) -> dict[str, int]:
    """How many tokens of each corpus the first phase reads that reads it; one that counts epochs reads what there is.

    Not all phases together: a run that goes on from this one must find the same text.
    """
    needed: dict[str, int] = {}
    for phase in recipe.phases:
        for corpus, weight in phase.mixture.weights.items():
            needed.setdefault(corpus, math.ceil((phase.tokens or 0) * weight))
    return needed


def _text_phase(
    request: Request, name: str, mixture: Mixture, rate: float, batch_size: int, earlier: Sequence[Phase]
) -> Phase:
    return Phase(
        _own_name(name, earlier),
        mixture,
        _tokens_of(request, name),
        rate,
        schedule=request.schedule,
        warmup_fraction=WARMUP_FRACTION if not earlier else 0.0,
        batch_size=batch_size,
        optimizer="fresh" if name == "cpt" and request.fresh else "carry",
    )


def _text_mixtures(request: Request, base: Recipe | None) -> dict[str, Mixture]:
    """{phase: mixture} of those that read text, in order."""
    pretrain = base.phases[0].mixture if base else _as_mixture(request.pretrain)
    mid = parse_midtraining(request.mid, pretrain) if isinstance(request.mid, str) else request.mid
    mixtures = {"pretrain": None if base else pretrain, "midtrain": mid, "cpt": _as_mixture(request.cpt)}
    return {name: mixture for name, mixture in mixtures.items() if mixture is not None}


def _as_mixture(named: Mixture | str | None) -> Mixture | None:
    return parse_mixture(named) if isinstance(named, str) else named


def _tokens_of(request: Request, name: str) -> int:
    option, tokens = "--mid-tokens", request.mid_tokens
    if name == "pretrain":
        option, tokens = "--pretrain-tokens", request.pretrain_tokens
    if tokens is None:
        raise SimtoolError(f"How many tokens for {name}? Say so: {option} 2M.")
    return tokens


def _sft_phase(request: Request, corpus: str, rate: float, earlier: Sequence[Phase]) -> Phase:
    return Phase(
        _own_name("sft", earlier),
        Mixture({corpus: 1.0}),
        None,
        rate,
        epochs=request.sft_epochs,
        warmup_fraction=SFT_WARMUP,
        min_lr_ratio=0.0,
        batch_size=request.sft_batch_size,
        optimizer="fresh",
        train_on=request.train_on,
        seed=request.seed,
    )


def _own_name(name: str, phases: Sequence[Phase]) -> str:
    names = {phase.name for phase in phases}
    return name if name not in names else next(f"{name}{n}" for n in range(2, 99) if f"{name}{n}" not in names)
