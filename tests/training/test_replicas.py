"""A replica is the run that it would be alone."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from simtool.errors import SimtoolError  # noqa: E402
from simtool.training.loop import Execution, train  # noqa: E402
from simtool.training.model import load_model  # noqa: E402
from simtool.training.replicas import train_replicas  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
import toys  # noqa: E402


def test_replicas_are_their_solo_runs(tmp_path):
    recipes = [
        toys.recipe(toys.phase(steps=15)),
        toys.recipe(toys.phase(steps=15), seed=1),
        toys.recipe(toys.phase(steps=15, learning_rate=1e-3, schedule="linear")),
        toys.recipe(toys.phase(steps=15, mixture=toys.MIX)),
    ]
    models, losses = train_replicas(recipes, toys.STORES)
    for r, recipe in enumerate(recipes):
        told = []
        done = train(recipe, toys.STORES, tmp_path / str(r), Execution("cpu", log_steps=1), report=told.append)
        assert losses[r] == pytest.approx(np.array([message.loss for message in told]), abs=2e-4)
        alone = load_model(done.checkpoint)
        ids = torch.arange(toys.LENGTH)[None] + 1
        with torch.no_grad():
            assert torch.allclose(models[r](ids), alone(ids), atol=2e-2)
    assert len({loss[-1] for loss in losses}) == 4


def test_what_cannot_be_batched_is_refused():
    with pytest.raises(SimtoolError, match="Replicas are for recipes of one text phase"):
        train_replicas([toys.LONG], toys.STORES)
    with pytest.raises(SimtoolError, match="These differ in more"):
        train_replicas([toys.recipe(), toys.recipe(clip=0.1)], toys.STORES)
    with pytest.raises(SimtoolError, match="no document mask and no z-loss"):
        train_replicas([replace(toys.recipe(), z_loss=1e-4)], toys.STORES)
