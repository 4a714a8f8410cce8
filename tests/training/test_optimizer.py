"""What decays and what does not."""

import pytest

pytest.importorskip("torch")

from simtool.training.model import GPTNeoX
from simtool.training.optimizer import BETAS, adamw, parameter_groups
from simtool.training.sizes import Shape


def test_only_matrices_decay():
    model = GPTNeoX(Shape(2, 32, 2), 256)
    matrices, vectors = parameter_groups(model, 0.1)
    assert {p.dim() for p in matrices["params"]} == {2} and matrices["weight_decay"] == 0.1
    assert {p.dim() for p in vectors["params"]} == {1} and vectors["weight_decay"] == 0.0
    assert sum(len(group["params"]) for group in (matrices, vectors)) == len(list(model.parameters()))


def test_adamw_is_pythias():
    optimizer = adamw(GPTNeoX(Shape(2, 32, 2), 256), 0.1)
    assert all(group["betas"] == BETAS and group["lr"] == 0.0 for group in optimizer.param_groups)
