"""Fine-tuned toy models and what they came from, for the analyses of checkpoints."""

from dataclasses import replace

import pytest


@pytest.fixture(scope="session")
def leaves(tmp_path_factory):
    """A control and an arm on code, each fine-tuned on sums."""
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from analyses._tiny import Leaf
    from simtool.training.trainer import Execution, train
    from tests.training import toys

    root = tmp_path_factory.mktemp("tiny")
    trained = []
    for arm, mixture in (("control", toys.WEB), ("code", toys.MIX)):
        middle = toys.recipe(toys.phase(steps=8, mixture=mixture))
        before = train(middle, toys.STORES, root / arm, Execution("cpu"))
        tuned = replace(middle, phases=(*middle.phases, toys.sft()))
        after = train(tuned, toys.STORES, root / f"{arm}-sums", Execution("cpu"), [root / arm])
        trained.append(Leaf(arm, "sums", 0, before.checkpoint, after.checkpoint, size="tiny"))
    return trained
