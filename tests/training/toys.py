"""A tiny model and tiny stores, the same in every process that imports this."""

import numpy as np

from simtool.mixture import Mixture
from simtool.tokens.store import TokenStore, mask_arrays
from simtool.training.recipes import Phase, Recipe
from simtool.training.sizes import SIZES, Defaults, ModelSize, Shape

SIZES["tiny"] = ModelSize(Shape(2, 32, 2), Defaults(3e-4, 32, 4))
FINGERPRINT = "f" * 16
VOCABULARY = 100
BATCH = 4
LENGTH = 32
STEP = BATCH * LENGTH


def toy_store(corpus: str, n_documents: int = 300, seed: int = 0, examples: bool = False) -> TokenStore:
    """Counting documents: each token follows from the one before, by a step that is the corpus's own."""
    rng = np.random.default_rng([seed, *corpus.encode()])
    stride = 1 + sum(corpus.encode()) % 7
    lengths = rng.integers(8, 24, n_documents)
    starts = rng.integers(0, VOCABULARY - 1, n_documents)
    documents = [1 + (s + stride * np.arange(n)) % (VOCABULARY - 1) for s, n in zip(starts, lengths, strict=True)]
    prompts = lengths // 2 if examples else np.zeros_like(lengths)
    return TokenStore(
        corpus, "train", "toy", FINGERPRINT, VOCABULARY, 0,
        ids=np.concatenate(documents).astype(np.uint16),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        n_bytes=(lengths * 4).astype(np.int64),
        **mask_arrays([[(0, int(n))] if n else [] for n in prompts]),
        n_masked_bytes=(prompts * 4).astype(np.int64),
        hashes=np.arange(n_documents, dtype=np.uint64) + np.uint64(seed << 32),
        train_on="response" if examples else "text",
    )  # fmt: skip


STORES = {"web": toy_store("web"), "code": toy_store("code"), "sums": toy_store("sums", 60, examples=True)}
WEB = Mixture({"web": 1.0})
MIX = Mixture({"web": 0.7, "code": 0.3})


def phase(name: str = "pre", steps: int = 12, mixture: Mixture = WEB, **options) -> Phase:
    given = {"tokens": steps * STEP, "learning_rate": 5e-3, "batch_size": BATCH}
    return Phase(**{"name": name, "mixture": mixture, **given, **options})


def sft(epochs: int = 2, **options) -> Phase:
    given = {"learning_rate": 1e-3, "batch_size": 16, "optimizer": "fresh"}
    return Phase("sft", Mixture({"sums": 1.0}), None, epochs=epochs, **{**given, **options})


def recipe(*phases: Phase, **options) -> Recipe:
    return Recipe("tiny", FINGERPRINT, phases or (phase(),), sequence_length=LENGTH, **options)


LONG = recipe(phase(steps=20), phase("mid", 10, MIX, optimizer="carry"), sft())
# two processes on a busy machine wait for each other in every layer of every step
SHORT = recipe(phase(steps=4), phase("mid", 3, MIX, optimizer="carry"), sft(epochs=1))
