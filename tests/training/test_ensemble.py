"""A replica is the run that it would be alone."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from simtool.errors import SimtoolError  # noqa: E402
from simtool.tokens.batches import IGNORED, Batch  # noqa: E402
from simtool.training.ensemble import side_by_side, train_replicas  # noqa: E402
from simtool.training.model import build_model, load_model  # noqa: E402
from simtool.training.trainer import Execution, train  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
import toys  # noqa: E402


def assert_as_alone(recipes, models, losses, folder, parents=()):
    """Losses of every step and the last logits are those of a run of its own; no two runs are the same."""
    for r, recipe in enumerate(recipes):
        told = []
        execution = Execution("cpu", log_steps=1)
        done = train(recipe, toys.STORES, folder / str(r), execution, parents, told.append)
        assert losses[r] == pytest.approx(np.array([message.loss for message in told]), abs=2e-4)
        alone = load_model(done.checkpoint)
        ids = torch.arange(toys.LENGTH)[None] + 1
        with torch.no_grad():
            assert torch.allclose(models[r](ids), alone(ids), atol=2e-2)
    assert len({loss[-1] for loss in losses}) == len(recipes)


@pytest.mark.parametrize("options", [{}, {"mask_documents": True, "z_loss": 1e-2}], ids=["plain", "mask and z-loss"])
def test_replicas_are_their_solo_runs(tmp_path, options):
    recipes = [
        toys.recipe(toys.phase(steps=15), **options),
        toys.recipe(toys.phase(steps=15), seed=1, **options),
        toys.recipe(toys.phase(steps=15, learning_rate=1e-3, schedule="linear"), **options),
        toys.recipe(toys.phase(steps=15, mixture=toys.MIX), **options),
    ]
    models, losses = train_replicas(recipes, toys.STORES)
    assert_as_alone(recipes, models, losses, tmp_path)


def test_replicas_of_fine_tuning_go_on_from_one_model(tmp_path):
    """Three rates, two orders and two sets of counted tokens: rows and widths of their batches differ."""
    before = toys.phase(steps=5)
    tuned = [
        toys.sft(),
        toys.sft(learning_rate=3e-3, schedule="linear"),
        toys.sft(learning_rate=3e-4, seed=7),
        toys.sft(seed=8, train_on="text"),
    ]
    recipes = [toys.recipe(before, phase) for phase in tuned]
    parent = train(toys.recipe(before), toys.STORES, tmp_path / "parent", Execution("cpu"))
    models, losses = train_replicas(recipes, toys.STORES, start=load_model(parent.checkpoint))
    assert_as_alone(recipes, models, losses, tmp_path, [parent.folder])


def test_batches_side_by_side_are_filled_up_with_what_nobody_counts():
    small, large = (
        Batch(np.ones(shape, np.int64), np.ones(shape, np.int64), np.zeros(shape, np.int64))
        for shape in ((1, 2), (2, 3))
    )
    ids, targets, documents = side_by_side([small, large])
    assert ids.shape == targets.shape == documents.shape == (2, 2, 3)
    assert (targets[0] != IGNORED).sum() == 2 and (targets[1] != IGNORED).all()
    assert (documents[0] == -1).sum() == 4


def test_what_cannot_be_batched_is_refused():
    with pytest.raises(SimtoolError, match="No recipes"):
        train_replicas([], toys.STORES)
    with pytest.raises(SimtoolError, match="Give the model that the earlier ones end with"):
        train_replicas([toys.LONG], toys.STORES)
    with pytest.raises(SimtoolError, match="These differ in more"):
        train_replicas([toys.recipe(), toys.recipe(max_grad_norm=0.1)], toys.STORES)
    with pytest.raises(SimtoolError, match="These differ in more"):
        train_replicas([toys.recipe(), toys.recipe(toys.phase(steps=13))], toys.STORES)
    with pytest.raises(SimtoolError, match="start a new optimizer"):
        carried = toys.recipe(toys.phase(), toys.phase("mid", 3, toys.MIX))
        train_replicas([carried], toys.STORES, start=build_model("tiny", toys.VOCABULARY, 0))
    with pytest.raises(SimtoolError, match="Replicas are for the sizes by name"):
        train_replicas([replace(toys.recipe(), model="a/folder")], toys.STORES)


def test_a_replica_that_diverges_stops_with_its_rate():
    recipes = [toys.recipe(), toys.recipe(toys.phase(learning_rate=1e30))]
    with pytest.raises(SimtoolError, match=r"of replica 1 \(1e\+30\): the loss is nan"):
        train_replicas(recipes, toys.STORES)
