"""Leaves are trained as an ensemble; what makes it go on in halves, and what is reported as itself."""

import pytest

torch = pytest.importorskip("torch")

from simtool.errors import SimtoolError, TrainingDiverged  # noqa: E402
from simtool.studies import worker as node  # noqa: E402


def test_an_ensemble_that_diverges_is_trained_in_halves_and_the_last_one_is_told(monkeypatch):
    tried = []

    def side_by_side(jobs):
        tried.append(list(jobs))
        if 3 in jobs:
            raise TrainingDiverged("The loss is nan.")
        return [{"job": job} for job in jobs]

    def alone(job):
        if job == 3:
            raise SimtoolError("Still nan.")
        return {"job": job}

    monkeypatch.setattr(node, "finished_result", lambda job: {"job": job} if job == 0 else None)
    monkeypatch.setattr(node, "_run_ensemble", side_by_side)
    monkeypatch.setattr(node, "_has_start", lambda job: True)
    monkeypatch.setattr(node, "_run_single", alone)
    told = []
    found = node.run_nodes([0, 1, 2, 3, 4], told.append)
    assert [str(one) if isinstance(one, SimtoolError) else one["job"] for one in found] == [0, 1, 2, "Still nan.", 4]
    assert tried == [[1, 2, 3, 4], [1, 2], [3, 4]]
    assert told[0] == "4 models as an ensemble: The loss is nan. Going on with half as many."
    with pytest.raises(SimtoolError, match="Still nan"):
        node.run_nodes([3], told.append)


@pytest.mark.parametrize(
    ("error", "halved"),
    [
        (TrainingDiverged("The loss is nan."), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("element 0 of tensors does not require grad"), False),
        (SimtoolError("What they go on from is not saved."), False),
        (KeyError("embed_out.weight"), False),
    ],
)
def test_only_memory_and_divergence_make_an_ensemble_go_on_in_halves(error, halved, monkeypatch):
    def fail(jobs):
        raise error

    monkeypatch.setattr(node, "finished_result", lambda job: None)
    monkeypatch.setattr(node, "_run_ensemble", fail)
    monkeypatch.setattr(node, "_has_start", lambda job: True)
    monkeypatch.setattr(node, "_run_single", lambda job: {"job": job})
    messages = []
    if halved:
        assert node.run_nodes([1, 2], messages.append) == [{"job": 1}, {"job": 2}]
        assert messages == [f"2 models as an ensemble: {error} Going on with half as many."]
    else:
        with pytest.raises(type(error)) as raised:
            node.run_nodes([1, 2], messages.append)
        assert raised.value is error and not messages
