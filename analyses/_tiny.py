"""The tiny study that the analyses of checkpoints share: trained on a CPU, from text that is made here.

A nano model reads generated chat, and then either more of it (control) or chat with 30% generated school mathematics
(drills). Each is fine-tuned on generated word problems, which the drills should help with, and on generated questions
about an invented world, which they should not. All settings were fixed before any result was seen. Small enough to show
that a measurement works and what it costs, not to settle a question.
"""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from analyses import Missing
from simtool.corpora.catalogue import find_corpus
from simtool.mixture import Mixture
from simtool.tokens.store import TokenStore
from simtool.tokens.tokenize import tokenize_corpus
from simtool.tokens.tokenizer import load_tokenizer

try:
    from simtool.evaluation.gradients import Forgetting, ForgettingMeter
    from simtool.evaluation.loss import evaluate
    from simtool.runs.request import Request, recipe_for
    from simtool.training.trainer import Execution, Trained, train
except ImportError as error:
    raise Missing("It trains models: pip install '.[train]' in a clone of simtool.") from error

SIZE = "nano"
SEEDS = (0, 1)
GENERAL = "gen_chat"
ARMS = {"control": Mixture({GENERAL: 1.0}), "drills": Mixture({GENERAL: 0.7, "gen_drills": 0.3})}
TARGETS = ("gen_problems", "gen_questions")
PRETRAIN_TOKENS, MIDTRAIN_TOKENS = 100_000, 24_576
TEXT, EXAMPLES = {"train": 0.8, "validation": 0.2}, {"train": 0.5, "validation": 0.5}
TOKENS = {GENERAL: (200_000, TEXT), "gen_drills": (20_000, TEXT), **dict.fromkeys(TARGETS, (25_000, EXAMPLES))}
SETTINGS = Request(
    SIZE, pretrain=ARMS["control"], pretrain_tokens=PRETRAIN_TOKENS, mid_tokens=MIDTRAIN_TOKENS, schedule="constant",
    sequence_length=128, batch_size=16, sft_epochs=1, sft_learning_rate=1e-3, sft_batch_size=24, train_on="response",
)  # fmt: skip
MEASURED = {GENERAL: 160, **dict.fromkeys(TARGETS, 64)}  # held-out documents
METERED = 32  # held-out documents whose gradient is taken at every step of SFT
CPU = Execution("cpu", save_seconds=1e9, log_steps=10_000)


@dataclass(frozen=True)
class Leaf:
    """A fine-tuned model and the one it came from."""

    arm: str
    target: str
    seed: int
    before: Path
    after: Path
    forgetting: Forgetting | None = None  # along every step, where it was watched
    size: str = SIZE

    @property
    def named(self) -> dict[str, Any]:
        return {"size": self.size, "arm": self.arm, "target": self.target, "seed": self.seed}


@dataclass(frozen=True)
class Tiny:
    """leaves; held-out losses by document, as a study writes them; stores {corpus: {split: store}}."""

    leaves: tuple[Leaf, ...]
    documents: pl.DataFrame
    stores: Mapping[str, Mapping[str, TokenStore]]
    length: int
    facts: Mapping[str, Any]


@cache
def tiny_study() -> Tiny:
    """Trained once per process, in a folder that goes with it."""
    import torch

    torch.set_num_threads(1)  # the same sums in the same order, however many cores there are
    folder = tempfile.TemporaryDirectory(prefix="simtool-tiny-")
    root = Path(folder.name)
    tokenizer = load_tokenizer("small")
    stores = {
        name: tokenize_corpus(find_corpus(name), tokenizer, root / "stores", shares, tokens)
        for name, (tokens, shares) in TOKENS.items()
    }
    training = {name: splits["train"] for name, splits in stores.items()}
    leaves, losses = [], []
    for seed in SEEDS:
        request = replace(SETTINGS, seed=seed)
        trunk = recipe_for(request, tokenizer)
        trunk_run = train(trunk, training, root / f"trunk{seed}", CPU)
        for arm, mixture in ARMS.items():
            mid = replace(request, pretrain=None, mid=mixture, mid_tokens=MIDTRAIN_TOKENS, schedule="linear")
            middle = recipe_for(mid, tokenizer, trunk)
            before = train(middle, training, root / f"{arm}{seed}", CPU, [trunk_run.folder])
            losses.append(_documents(before, stores, {"arm": arm, "target": None, "seed": seed, "phase": "midtrain"}))
            for target in TARGETS:
                tuned = recipe_for(replace(request, pretrain=None, sft=target), tokenizer, middle)
                meter = ForgettingMeter(
                    stores[GENERAL]["validation"], SETTINGS.sequence_length or 128, documents=METERED
                )
                after = train(tuned, training, root / f"{arm}{seed}-{target}", CPU, [before.folder], watch=meter.see)
                named = {"arm": arm, "target": target, "seed": seed}
                losses.append(_documents(after, stores, {**named, "phase": "sft"}))
                leaves.append(
                    Leaf(**named, before=before.checkpoint, after=after.checkpoint, forgetting=meter.result())
                )
    facts = {
        "study": " ".join(__doc__.split("\n\n")[1].split()),
        "seeds": list(SEEDS),
        "arms": {arm: str(mixture) for arm, mixture in ARMS.items()},
        "settings": {"pretrain_tokens": PRETRAIN_TOKENS, "midtrain_tokens": MIDTRAIN_TOKENS, **_settings(tuned)},
        "corpora": {
            name: {
                split: {"documents": store.n_documents, "tokens": store.n_tokens, "store": store.fingerprint}
                for split, store in splits.items()
            }
            for name, splits in stores.items()
        },
        "tokenizer": tokenizer.name,
    }
    tiny = Tiny(tuple(leaves), pl.concat(losses), stores, SETTINGS.sequence_length or 128, facts)
    _FOLDERS.append(folder)
    return tiny


_FOLDERS: list[tempfile.TemporaryDirectory] = []  # checkpoints live as long as the process


def _documents(run: Trained, stores: Mapping[str, Mapping[str, TokenStore]], named: dict[str, Any]) -> pl.DataFrame:
    frames = []
    for name, documents in MEASURED.items():
        if named["target"] in (None, name) or name == GENERAL:
            loss_on = "text" if name == GENERAL else "response"
            losses = evaluate(run.checkpoint, stores[name]["validation"], loss_on=loss_on, documents=documents)
            labels = {"size": SIZE, **named, "corpus": losses.corpus, "loss_on": losses.loss_on}
            arrays = {"document": losses.hashes, "nats": losses.nats, "n_tokens": losses.n_tokens}
            columns = [pl.lit(v, _type(v)).alias(k) for k, v in labels.items()]
            frames.append(pl.DataFrame(arrays).select(*columns, pl.all()))
    return pl.concat(frames)


def _type(value: Any) -> Any:
    return pl.Int64 if isinstance(value, int) else pl.String


def _settings(recipe: Any) -> dict[str, Any]:
    sft = recipe.phases[-1]
    return {
        "model": recipe.model,
        "length": recipe.sequence_length,
        "learning_rate": recipe.phases[0].learning_rate,
        "sft": {"epochs": sft.epochs, "learning_rate": sft.learning_rate, "batch_size": sft.batch_size},
    }


def mean_loss(documents: pl.DataFrame, corpus: str, loss_on: str = "text") -> pl.DataFrame:
    """Nats per token by run: arm, target, seed, phase, loss."""
    losses = documents.filter(pl.col("corpus") == corpus, pl.col("loss_on") == loss_on)
    by = ["size", "arm", "target", "seed", "phase"]
    return losses.group_by(by, maintain_order=True).agg(loss=pl.col("nats").sum() / pl.col("n_tokens").sum())


def control_pairs(rows: Iterable[Leaf]) -> list[tuple[Leaf, Leaf]]:
    """(control, other) of the same target and seed."""
    rows = list(rows)
    control = {(leaf.size, leaf.target, leaf.seed): leaf for leaf in rows if leaf.arm == "control"}
    return [(control[leaf.size, leaf.target, leaf.seed], leaf) for leaf in rows if leaf.arm != "control"]
