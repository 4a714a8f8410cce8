"""A study: arms that fork from shared trunks, fine-tuned on every target, with several seeds; planned before it runs.

    trunk (pretraining) --- fork --- arm (control, midtraining, continued pretraining) --- leaf (SFT on one target)

Recipes that begin alike share what they begin with: the plan holds every distinct beginning once, as a node whose
parent is the longest other one. What is common to two arms is thus the same weights, and they differ in one thing.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal

from simtool.errors import SimtoolError
from simtool.mixture import Mixture, blend
from simtool.training.recipes import Phase, Recipe
from simtool.training.sizes import find_defaults

Kind = Literal["control", "midtrain", "cpt"]
Design = Literal["paper", "exposure", "rate", "both"]
SHARES = {"train": 0.8, "validation": 0.05, "test": 0.15}  # of a study's texts
HALVES = {"train": 0.5, "validation": 0.05, "test": 0.45}  # of small targets: an interval needs documents
REPORTED, SELECTED_ON = "test", "validation"
FORK_DECAY = 0.2  # of the text budget: the length of an arm of design "both"
DESIGNS: dict[Design, tuple[str, str]] = {
    "paper": ("cosine", "one cosine for all: a later start has a lower learning rate and less exposure"),
    "exposure": (
        "cosine",
        "exposure (tokens of the special corpus) held fixed: a later start has a higher share, the rate is still lower",
    ),
    "rate": ("wsd", "the rate at the fork held fixed (warm-up, stable, one decay at the end); exposure is not"),
    "both": ("wsd", "every fork decays alike over as many tokens at one share: exposure and rate held fixed"),
}


@dataclass(frozen=True)
class Arm:
    """What happens between the trunk and fine-tuning.

    name      unique in the study
    special   what is mixed in: a corpus or several; "" in a control
    weight    share of it in tokens: 0 in a control, 1 in continued pretraining
    start     share of the text budget that is read before the fork
    control   the arm that it is compared with; "" in a control
    """

    name: str
    kind: Kind
    mixture: Mixture
    special: str
    weight: float
    start: float
    design: Design = "paper"
    control: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.start < 1:
            raise SimtoolError(f"An arm starts between 0 and 1 of the text budget. {self.name}: {self.start:g}.")
        if (self.kind == "control") != (not self.control):
            raise SimtoolError(f"Every arm but a control names its control. {self.name}: {self.control!r}.")


@dataclass(frozen=True)
class Study:
    """What is asked, and everything that answers it depends on.

    models        names of sizes; each is a study of its own on the same texts
    pretrain      what the trunk reads
    seeds_from    "start": a seed has its own initial weights and order of text; "sft": all share them, and a seed is
                  only the order of the examples in SFT (the paper's five seeds)
    tokens        of text that an arm has read at its end, trunk included (but for designs that say otherwise)
    texts         {corpus: tokens} of it that are made into ids at most; None: all
    target_shares {split: share} of the targets' texts; of the others' they are SHARES
    held_out      documents measured of each corpus, at most
    profiled      tokens of a corpus that predictions rest on, at most; the profiles that ship hold about 500,000
    sft_rates     learning rates that are tried; with several, one a target is chosen on the validation split
    same_domain   (special, target) pairs of one domain: the baseline that predictions are compared with
    chat_template how chats and prompts are written: a file's or a tokenizer's; None: one turn a line
    """

    name: str
    about: str
    pretrain: Mixture
    arms: tuple[Arm, ...]
    targets: tuple[str, ...]
    texts: Mapping[str, int | None]
    models: tuple[str, ...] = ("nano",)
    seeds: tuple[int, ...] = (0, 1, 2)
    seeds_from: Literal["start", "sft"] = "start"
    tokens: int = 300_000
    sequence_length: int = 128
    batch_size: int = 8
    learning_rate: Mapping[str, float] | None = None
    weight_decay: float = 0.1
    sft_rates: tuple[float, ...] = (1e-3,)
    sft_epochs: int = 1
    sft_batch_size: int = 16
    train_on: Mapping[str, str] = field(default_factory=dict)
    tokenizer: str = "small"
    precision: Literal["fp32", "bf16"] = "fp32"
    warmup_fraction: float = 0.02
    min_lr_ratio: float = 0.1
    decay_fraction: float = FORK_DECAY
    max_epochs: float = 4.0
    target_shares: Mapping[str, float] = field(default_factory=lambda: SHARES)
    held_out: int | None = 100
    profiled: int = 500_000
    same_domain: tuple[tuple[str, str], ...] = ()
    chat_template: str | None = None

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SimtoolError(f"Arms need names of their own. Twice: {', '.join(twice)}.")
        for arm in self.arms:
            if arm.control and arm.control not in names:
                raise SimtoolError(f"{arm.name} is compared with {arm.control!r}, which is no arm of the study.")
        for what in ("arms", "targets", "seeds", "models", "sft_rates"):
            if not getattr(self, what):
                raise SimtoolError(f"The study {self.name!r} has no {what.replace('_', ' ')}.")
        if leaked := sorted({name for arm in self.arms for name in arm.mixture.weights} & {*self.targets}):
            raise SimtoolError(
                f"{', '.join(leaked)} would be trained on before it is the target of SFT. Leave it out of one of both."
            )
        if missing := [name for name in self.corpora if name not in self.texts]:
            raise SimtoolError(f"How much text of {', '.join(missing)}? Say so in `texts`.")

    @property
    def corpora(self) -> list[str]:
        """Every corpus that is read or measured, the pretraining's first and the targets last."""
        mixtures = [self.pretrain, *(arm.mixture for arm in self.arms)]
        return list(dict.fromkeys([*(name for mixture in mixtures for name in mixture.weights), *self.targets]))

    def shares_of(self, corpus: str) -> Mapping[str, float]:
        """How a corpus's text is divided into splits."""
        return self.target_shares if corpus in self.targets else SHARES

    @property
    def general(self) -> tuple[str, ...]:
        """What forgetting is measured on: the pretraining corpora."""
        return tuple(self.pretrain.weights)

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)

    def rate_of(self, model: str) -> float:
        return (self.learning_rate or {}).get(model) or find_defaults(model).learning_rate

    def mixtures(self) -> dict[str, Mixture]:
        """What is predicted: every distinct mixture that is mixed in, by the name that the tables give it."""
        return {mix_name(arm): arm.mixture for arm in self.arms if arm.kind != "control"}

    # ---- recipes ----

    def recipe(self, fingerprint: str, model: str, seed: int, arm: Arm) -> Recipe:
        """The text phases of an arm, its trunk first."""
        schedule = DESIGNS[arm.design][0]
        step = self.batch_size * self.sequence_length
        total = self.tokens // step * step
        head = max(round(arm.start * total / step), 1) * step
        common = {
            "learning_rate": self.rate_of(model),
            "warmup_fraction": self.warmup_fraction,
            "min_lr_ratio": self.min_lr_ratio,
            "decay_fraction": self.decay_fraction,
            "batch_size": self.batch_size,
        }
        trunk = Phase("pretrain", self.pretrain, head, schedule=schedule, schedule_tokens=total, **common)
        if arm.design == "both":
            # from the stable rate, decayed within the arm; so the trunk must not have begun to decay
            if head > total * (1 - self.decay_fraction) + step:
                raise SimtoolError(f"{arm.name} forks at {arm.start:g}, when the trunk decays. Start it earlier.")
            tokens = max(round(self.decay_fraction * total / step), 1) * step
            tail = Phase("midtrain", arm.mixture, tokens, schedule="linear", **{**common, "warmup_fraction": 0.0})
        else:
            tail = Phase(
                "midtrain", arm.mixture, total - head,
                schedule=schedule, schedule_done=head, schedule_tokens=total, **common,
            )  # fmt: skip
        return Recipe(
            model, fingerprint, (trunk, tail), seed, self.sequence_length,
            weight_decay=self.weight_decay, precision=self.precision, max_epochs=self.max_epochs,
        )  # fmt: skip

    def fine_tuned(self, recipe: Recipe, target: str, rate: float, seed: int) -> Recipe:
        sft = Phase(
            "sft", Mixture({target: 1.0}), None, rate, epochs=self.sft_epochs, warmup_fraction=0.1, min_lr_ratio=0.0,
            batch_size=self.sft_batch_size, optimizer="fresh", train_on=self.train_on.get(target), seed=seed,
        )  # fmt: skip
        return replace(recipe, phases=(*recipe.phases, sft))


def compared_arms(study: Study) -> list[Arm]:
    """The arms whose effects the prediction is compared with: midtraining, design "paper", the earliest start."""
    arms = [arm for arm in study.arms if arm.kind == "midtrain" and arm.design == "paper"]
    first = min((arm.start for arm in arms), default=0.0)
    return [arm for arm in arms if arm.start == first]


def mix_name(arm: Arm) -> str:
    """What is mixed in and how much: "starcoder:0.2". Arms of one mixture share it, whenever they start."""
    return f"{arm.special}:{arm.weight:g}"


def arms_of(
    pretrain: Mixture,
    mids: Iterable[tuple[str, float]],
    starts: Sequence[float] = (0.5,),
    design: Design = "paper",
    cpt: Iterable[str] = (),
    reference: float | None = None,
) -> tuple[Arm, ...]:
    """A control and, for every start, an arm for each (special, weight); then continued pretraining on `cpt`.

    Parameters
    ----------
    reference
        For the design "exposure": the start at which a weight is meant as it is; at later ones it is raised so that as
        many special tokens are read.
    """
    arms: list[Arm] = []
    for start in starts:
        own = design == "both"  # there, every fork has a control that decays alike
        control = f"control {design} @{start:g}" if own else f"control {design}" if design != "paper" else "control"
        if own or start == starts[0]:
            arms.append(Arm(control, "control", pretrain, "", 0.0, start, design))
        for special, weight in [*mids, *((corpus, 1.0) for corpus in cpt)]:
            share = weight
            if design == "exposure" and reference is not None:
                share = round(weight * (1 - reference) / (1 - start), 6)
                if share > 1:
                    raise SimtoolError(
                        f"{special} at {weight:g} from {reference:g} on cannot be matched from {start:g} on:"
                        f" its share would be {share:g}."
                    )
            kind: Kind = "cpt" if share == 1 else "midtrain"
            name = f"{special}:{share:g}" + (f" {design}" if design != "paper" else "")
            name += f" @{start:g}" if len(starts) > 1 or own else ""
            mixture = blend(pretrain, Mixture({special: 1.0}), share)
            arms.append(Arm(name, kind, mixture, special, share, start, design, control))
    return tuple(arms)


# ---- the tree --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Node:
    """A distinct beginning of the study's recipes: trained once, from its parent's end.

    recipe   up to here, the whole way from initial weights
    parent   key of the node that it goes on from; None: from initial weights
    tokens   that it trains itself
    ends     the arms whose end this is (several where two designs ask for one thing), none at the end of a trunk; of a
             leaf, those that it fine-tunes
    """

    key: str
    recipe: Recipe
    parent: str | None
    tokens: int
    model: str
    seed: int
    ends: tuple[str, ...]
    target: str = ""
    learning_rate: float = 0.0

    @property
    def phase(self) -> str:
        return "sft" if self.target else "midtrain" if self.ends else "pretrain"

    @property
    def label(self) -> str:
        where = self.target and f" -> {self.target} at {self.learning_rate:g}"
        return f"{self.model} seed {self.seed}: {' = '.join(self.ends) or 'trunk'}{where}"


@dataclass(frozen=True)
class Plan:
    """All nodes of a study, parents before children."""

    study: Study
    nodes: Mapping[str, Node]
    sft_tokens: Mapping[str, int]

    @cached_property
    def tokens(self) -> int:
        """Trained in all, each beginning once."""
        return sum(node.tokens for node in self.nodes.values())

    @cached_property
    def tokens_by_arm(self) -> int:
        """What the same arms would train that share nothing before their ends: every one from initial weights."""
        whole = sum(self._whole(node) * len(node.ends) for node in self.nodes.values() if node.ends and not node.target)
        return whole + sum(node.tokens * len(node.ends) for node in self.nodes.values() if node.target)

    @cached_property
    def tokens_by_run(self) -> int:
        """What every run of SFT would train from initial weights: a configuration per run, at one rate of SFT."""
        rate = self.study.sft_rates[0]
        leaves = [node for node in self.nodes.values() if node.target and node.learning_rate == rate]
        return sum(self._whole(node) * len(node.ends) for node in leaves)

    def _whole(self, node: Node) -> int:
        return node.tokens + (self._whole(self.nodes[node.parent]) if node.parent else 0)

    def depth(self, key: str) -> int:
        """How many nodes lie before it."""
        parent = self.nodes[key].parent
        return 0 if parent is None else 1 + self.depth(parent)

    def children(self, key: str) -> list[Node]:
        return [node for node in self.nodes.values() if node.parent == key]

    def restricted(self, keys: Iterable[str]) -> "Plan":
        """With these nodes and what they go on from."""
        needed: set[str] = set()
        for key in keys:
            at: str | None = key
            while at is not None and at not in needed:
                needed.add(at)
                at = self.nodes[at].parent
        return replace(self, nodes={key: node for key, node in self.nodes.items() if key in needed})


def plan(study: Study, tokenizer_fingerprint: str, sft_tokens: Mapping[str, int]) -> Plan:
    """The tree of a study. sft_tokens: {target: tokens of an epoch}, for the cost of the leaves."""
    nodes: dict[str, Node] = {}
    for model in study.models:
        for seed in study.seeds:
            from_seed = seed if study.seeds_from == "start" else study.seeds[0]
            for node in _text_nodes(study, tokenizer_fingerprint, model, from_seed):
                nodes[node.key] = node
                for target in study.targets if node.ends else ():
                    for rate in study.sft_rates:
                        recipe = study.fine_tuned(node.recipe, target, rate, seed)
                        n = sft_tokens[target] * study.sft_epochs
                        leaf = Node(recipe.fingerprint, recipe, node.key, n, model, seed, node.ends, target, rate)
                        nodes[leaf.key] = leaf
    return Plan(study, nodes, dict(sft_tokens))


def _text_nodes(study: Study, fingerprint: str, model: str, seed: int) -> list[Node]:
    """Ends of trunks and of arms, shortest first, each with the longest one that it begins with."""
    heads: dict[str, Recipe] = {}
    ends: dict[str, tuple[str, ...]] = {}
    for arm in study.arms:
        whole = study.recipe(fingerprint, model, seed, arm)
        for head in (replace(whole, phases=whole.phases[:1]), whole):
            heads.setdefault(head.fingerprint, head)
        ends[whole.fingerprint] = (*ends.get(whole.fingerprint, ()), arm.name)
    nodes: list[Node] = []
    for key in sorted(heads, key=lambda key: text_tokens(heads[key])):
        recipe = heads[key]
        earlier = [node for node in nodes if begins_with(recipe, node.recipe)]
        parent = max(earlier, key=lambda node: text_tokens(node.recipe), default=None)
        tokens = text_tokens(recipe) - (text_tokens(parent.recipe) if parent else 0)
        nodes.append(Node(key, recipe, parent.key if parent else None, tokens, model, seed, ends.get(key, ())))
    return nodes


def text_tokens(recipe: Recipe) -> int:
    """Tokens of the text phases of a recipe, from initial weights."""
    return sum(recipe.n_steps(phase) * recipe.step_tokens(phase) for phase in recipe.phases if not phase.is_sft)


def begins_with(recipe: Recipe, head: Recipe) -> bool:
    """Whether a recipe of text phases goes through the end of another."""
    segments, last = recipe.segments(), len(head.segments()) - 1
    step = head.n_steps(head.segments()[last])
    if last + 1 <= len(segments) and recipe.prefix(last + 1, 0) == head.fingerprint:
        return True
    inside = last < len(segments) and not segments[last].is_sft and step < recipe.n_steps(segments[last])
    return inside and recipe.prefix(last, step) == head.fingerprint


# ---- on disk ---------------------------------------------------------------------------------------------


def study_to_json(study: Study) -> dict[str, Any]:
    """Plain values, as study.json holds them."""
    content: dict[str, Any] = {field_.name: getattr(study, field_.name) for field_ in fields(study)}
    content["pretrain"] = dict(study.pretrain.weights)
    content["arms"] = [
        {**{field_.name: getattr(arm, field_.name) for field_ in fields(arm)}, "mixture": dict(arm.mixture.weights)}
        for arm in study.arms
    ]
    return json.loads(
        json.dumps(
            {
                **content,
                "texts": dict(study.texts),
                "train_on": dict(study.train_on),
                "target_shares": dict(study.target_shares),
            }
        )
    )


RENAMED = {  # fields of studies that were written before 2026-11-26
    "length": "sequence_length",
    "warmup": "warmup_fraction",
    "floor": "min_lr_ratio",
    "decay": "decay_fraction",
    "matched": "same_domain",
}


def study_from_json(content: Mapping[str, Any]) -> Study:
    """The inverse of `study_to_json`."""
    content = {RENAMED.get(name, name): value for name, value in content.items()}
    arms = tuple(Arm(**{**arm, "mixture": Mixture(arm["mixture"])}) for arm in content["arms"])
    tuples = {name: tuple(content[name]) for name in ("targets", "models", "seeds", "sft_rates")}
    same_domain = tuple((mix, target) for mix, target in content["same_domain"])
    return Study(
        **{**content, **tuples, "arms": arms, "pretrain": Mixture(content["pretrain"]), "same_domain": same_domain}
    )
