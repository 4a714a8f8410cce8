"""What decays and what does not."""

import pytest

torch = pytest.importorskip("torch")

from simtool.training.model import GPTNeoX  # noqa: E402
from simtool.training.optimizer import BETAS, adamw, guarded_step, parameter_groups  # noqa: E402
from simtool.training.sizes import Shape  # noqa: E402


def test_only_matrices_decay():
    model = GPTNeoX(Shape(2, 32, 2), 256)
    matrices, vectors = parameter_groups(model, 0.1)
    assert {p.dim() for p in matrices["params"]} == {2} and matrices["weight_decay"] == 0.1
    assert {p.dim() for p in vectors["params"]} == {1} and vectors["weight_decay"] == 0.0
    assert sum(len(group["params"]) for group in (matrices, vectors)) == len(list(model.parameters()))


def test_adamw_is_pythias():
    optimizer = adamw(GPTNeoX(Shape(2, 32, 2), 256), 0.1)
    assert all(group["betas"] == BETAS and group["lr"] == 0.0 for group in optimizer.param_groups)


def trained_by_a_step(loss: float, norm: float, limit: float) -> tuple[torch.Tensor, list[float]]:
    model = GPTNeoX(Shape(1, 32, 2), 128)
    model.reset(0)
    optimizer = adamw(model, 0.1)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    read = guarded_step(optimizer, 1e-2, torch.tensor(loss), torch.tensor(norm), limit)
    assert all(p.grad is None for p in model.parameters())
    return torch.cat([p.detach().flatten() for p in model.parameters()]), read()


def test_a_sound_step_is_torchs():
    model = GPTNeoX(Shape(1, 32, 2), 128)
    model.reset(0)
    optimizer = adamw(model, 0.1)
    for group in optimizer.param_groups:
        group["lr"] = 1e-2
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    expected = torch.cat([p.detach().flatten() for p in model.parameters()])
    weights, readings = trained_by_a_step(2.5, 1.0, 3.0)
    assert torch.equal(weights, expected) and readings == [2.5, 1.0]


@pytest.mark.parametrize(
    ("loss", "norm", "limit"),
    [(float("nan"), 1.0, 3.0), (2.0, float("inf"), 3.0), (3.5, 1.0, 3.0), (float("nan"), 1.0, float("inf"))],
)
def test_an_unsound_step_changes_nothing(loss, norm, limit):
    model = GPTNeoX(Shape(1, 32, 2), 128)
    model.reset(0)
    weights, _ = trained_by_a_step(loss, norm, limit)
    assert torch.equal(weights, torch.cat([p.detach().flatten() for p in model.parameters()]))
