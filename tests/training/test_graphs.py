"""What is replayed is what was called: inputs are put where the graph reads them, one graph for each set of shapes.

Without a GPU a graph is played by a function over the same memory; on one, test_on_gpu.py captures.
"""

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from simtool.training import ensemble as module  # noqa: E402
from simtool.training import graphs  # noqa: E402
from simtool.training.ensemble import train_ensemble  # noqa: E402
from simtool.training.graphs import Replayed  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
import toys  # noqa: E402

CPU = torch.device("cpu")


def played(function, inputs, pool=None):
    """As a graph does: it reads these tensors, and writes its results over those of the time before."""
    results = function(inputs)

    def replay():
        for result, value in zip(results, function(inputs), strict=True):
            result.copy_(value)
        return results

    return replay


def sums(pieces):
    return tuple(torch.stack([tensor.double().sum() for tensor in piece]) for piece in pieces)


def batch(*shape: int, first: int = 0) -> list[list[torch.Tensor]]:
    ids = torch.arange(first, first + torch.Size(shape).numel()).view(shape)
    return [[ids, ids + 1], [ids + 2, ids + 3]]


def test_inputs_are_put_where_the_graph_reads_them():
    replayed = Replayed(sums, CPU, capture=played)
    lasting = replayed(batch(2, 3))
    for first in (5, 9):
        results = replayed(batch(2, 3, first=first))
        assert [r.tolist() for r in results] == [r.tolist() for r in sums(batch(2, 3, first=first))]
        assert all(a is b for a, b in zip(results, lasting, strict=True))  # where they lay before
    given = batch(2, 3)
    replayed(given)
    (inputs, _), *_ = replayed.graphs.values()
    assert all(buffer is not tensor for buffer, tensor in zip(inputs[0], given[0], strict=True))


def test_there_is_a_graph_for_each_set_of_shapes_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 2)
    captures = []

    def capture(*inputs):
        captures.append(inputs[1][0][0].shape)
        return played(*inputs)

    replayed = Replayed(sums, CPU, capture=capture)
    for shape in ((2, 3), (2, 4), (2, 3), (2, 5), (2, 4), (2, 5)):
        given = batch(*shape)
        assert [r.tolist() for r in replayed(given)] == [r.tolist() for r in sums(given)]
    assert captures == [(2, 3), (2, 4)]


def test_what_cannot_be_captured_is_called_and_that_is_reported_once():
    attempts, messages = [], []

    def capture(*inputs):
        attempts.append(1)
        raise RuntimeError("operation not permitted when stream is capturing\nwith more lines")

    replayed = Replayed(sums, CPU, messages.append, capture)
    for shape in ((2, 3), (2, 4)):
        given = batch(*shape)
        assert [r.tolist() for r in replayed(given)] == [r.tolist() for r in sums(given)]
    assert len(attempts) == 1
    assert messages == ["No CUDA graph, going on without: operation not permitted when stream is capturing"]


@pytest.mark.parametrize("kind", ["text", "masked", "sft"])
def test_an_ensemble_is_trained_to_the_same_bits(one_thread, monkeypatch, kind):
    """In two pieces a step; the batches of SFT have several widths, and its last is smaller."""
    monkeypatch.setattr(module, "CPU_TOKENS", 3 * 2 * toys.LENGTH)
    phase = toys.sft() if kind == "sft" else toys.phase(steps=6)
    recipes = [toys.recipe(phase, seed=seed, mask_documents=kind == "masked") for seed in range(3)]
    plain = train_ensemble(recipes, toys.STORES)
    init, replayed = module.Ensemble.__init__, []

    def with_graph(self, *inputs):
        init(self, *inputs)
        self.take_gradients = Replayed(self.gradients, CPU, capture=played)
        replayed.append(self.take_gradients)

    monkeypatch.setattr(module.Ensemble, "__init__", with_graph)
    trained = train_ensemble(recipes, toys.STORES)
    assert (trained.losses == plain.losses).all()
    for model, other in zip(trained.models, plain.models, strict=True):
        assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))
    assert len(replayed[0].graphs) > 1 if kind == "sft" else len(replayed[0].graphs) == 1


def test_nothing_is_captured_on_a_cpu(monkeypatch):
    monkeypatch.setattr(graphs, "captured", None)
    messages = []
    losses = train_ensemble([toys.recipe(toys.phase(steps=2))], toys.STORES, graph=True, report=messages.append).losses
    assert losses.shape == (1, 2) and not messages
