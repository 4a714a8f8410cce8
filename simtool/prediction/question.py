"""The question of a prediction: which mixture brings the pretraining corpus closer to which target?

A mixture is compared with its *control*: the pretraining corpus, where what the mixture replaces by new corpora is
replaced by held-out documents of the pretraining corpus itself, as many tokens. A mixture holds documents that the
pretraining corpus lacks, and more documents cover any target better, whatever they are: another sample of the same
text, a fifth of the mixture, was declared closer than the pretraining corpus in 49% of trials by js and in 28% by
cross-entropy (200 of toy documents). Against the control it is in 2%, since nothing differs but the sample; real
documents are in `analyses/placebo_coverage.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simtool.errors import SimtoolError, unknown
from simtool.mixture import Mixture
from simtool.profiles.profile import Profile

if TYPE_CHECKING:
    from simtool.tokens.tokenizer import Tokenizer

RESAMPLES = 1000


class Part(NamedTuple):
    """A corpus on the half of its documents that sources are read from; held_out: on the other half."""

    corpus: str
    held_out: bool = False


Source = Mapping[Part, float]  # share of each part, in tokens; together 1


@dataclass(frozen=True)
class Question:
    """Which mixture brings the pretraining corpus closer to which target? All that a predictor reads.

    profiles    by corpus name, with the features that are compared
    tokens      size each mixture and target is thinned to (None: as much as the scarcest allows)
    texts       documents by corpus name, and a tokenizer, for predictors that need text

    Every name has a profile; there is a mixture and a target, and none twice.
    """

    profiles: Mapping[str, Profile]
    pretrain: Mixture
    mixtures: Mapping[str, Mixture]
    targets: tuple[str, ...]
    tokens: int | None = None
    resamples: int = RESAMPLES
    seed: int = 0
    texts: Mapping[str, Sequence[str]] | None = None
    tokenizer: "Tokenizer | None" = None
    _embedded: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)  # by corpus

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        if not self.mixtures or not self.targets:
            raise SimtoolError("Name at least one mixture (--mid) and one target (--target).")
        if repeated := sorted({name for name in self.targets if self.targets.count(name) > 1}):
            raise SimtoolError(f"Named twice: {', '.join(repeated)}. Name every target once.")
        for name in self.corpora:
            if name not in self.profiles:
                raise unknown("corpus", name, self.profiles)

    @property
    def corpora(self) -> list[str]:
        """Every corpus that is used, in order of appearance."""
        of_sources = (corpus for mixture in (self.pretrain, *self.mixtures.values()) for corpus in mixture.weights)
        return list(dict.fromkeys((*of_sources, *self.targets)))

    @cached_property
    def sources(self) -> list[Source]:
        """What is measured against the targets: the pretraining corpus, the mixtures, their controls, each once."""
        plain = [self.pretrain, *self.mixtures.values()]
        sources = [{Part(corpus): share for corpus, share in mixture.weights.items()} for mixture in plain]
        return [*sources, *(control(self.pretrain, share) for share in sorted({*self.new_shares} - {0}))]

    @cached_property
    def controls(self) -> np.ndarray:
        """The place of each mixture's control among the sources: int64 (n,); 0 where the mixture adds no corpus."""
        first = 1 + len(self.mixtures)
        places = {share: place for place, share in enumerate(sorted({*self.new_shares} - {0}), first)}
        return np.array([places.get(share, 0) for share in self.new_shares])

    @property
    def new_shares(self) -> list[float]:
        """How much of each mixture is of corpora that the pretraining corpus lacks; equal ones have one control."""
        pretrain = self.pretrain.weights
        return [
            round(math.fsum(share for corpus, share in mixture.weights.items() if corpus not in pretrain), 9)
            for mixture in self.mixtures.values()
        ]


def control(pretrain: Mixture, new_share: float) -> Source:
    """The pretraining corpus with `new_share` of it from its held-out documents."""
    halves = ((False, 1 - new_share), (True, new_share))
    return {
        Part(corpus, held_out): share * of_half
        for held_out, of_half in halves
        if of_half > 0
        for corpus, share in pretrain.weights.items()
    }


def name_of(source: Source) -> str:
    """How a source reads in a message: "starcoder:0.2+c4:0.8"."""
    return "+".join(f"{part.corpus}:{share:g}{' held out' if part.held_out else ''}" for part, share in source.items())


def leaks(question: Question) -> tuple[str, ...]:
    """A sentence for each target whose text a mixture, or the pretraining corpus, holds."""
    sources = {f"the pretraining corpus {question.pretrain}": question.pretrain}
    sources |= {f"the mixture {name}": mixture for name, mixture in question.mixtures.items()}
    notes = []
    for target in question.targets:
        for name, mixture in sources.items():
            for corpus in mixture.weights:
                if corpus == target:
                    notes.append(f"Leak: the target {target} is a part of {name}.")
                elif _same_counts(question.profiles[corpus], question.profiles[target]):
                    notes.append(f"Leak: the target {target} has the very counts of {corpus}, a part of {name}.")
    return tuple(notes)


def _same_counts(a: Profile, b: Profile) -> bool:
    same_size = all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("n_documents", "n_tokens", "n_bytes"))
    shared = set(a.features) & set(b.features)
    return same_size and all(np.array_equal(a.features[name], b.features[name]) for name in shared)
