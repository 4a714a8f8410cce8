"""The loss and its gradients are torch's, in pieces."""

import pytest

torch = pytest.importorskip("torch")

from simtool.tokens.batches import IGNORED  # noqa: E402
from simtool.training import losses  # noqa: E402
from simtool.training.losses import chunked_cross_entropy, token_losses  # noqa: E402


@pytest.mark.parametrize("z_loss", [0.0, 0.01])
def test_the_chunked_loss_and_its_gradients_are_torchs(z_loss, monkeypatch):
    monkeypatch.setitem(losses.CHUNK_BYTES, "cpu", 4 * 50 * 7)  # seven rows at a time, and a rest
    rng = torch.Generator().manual_seed(0)
    hidden = torch.randn(4, 8, 16, generator=rng, requires_grad=True)
    head = torch.randn(50, 16, generator=rng, requires_grad=True)
    targets = torch.randint(0, 50, (4, 8), generator=rng)
    targets[0, :5] = IGNORED
    loss, cross_entropy = chunked_cross_entropy(hidden, head, targets, z_loss)
    grads = torch.autograd.grad(loss * 0.5, (hidden, head))

    logits = hidden @ head.T
    plain = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    z = z_loss * (logits.logsumexp(-1).square() * (targets != IGNORED)).sum()
    expected = torch.autograd.grad((plain + z) * 0.5, (hidden, head))
    assert torch.allclose(cross_entropy, plain, rtol=1e-5)
    assert torch.allclose(loss, plain + z, rtol=1e-5)
    for gradient, other in zip(grads, expected, strict=True):
        assert torch.allclose(gradient, other, atol=1e-5)
    each = token_losses(hidden, head, targets)
    assert torch.allclose(each.sum(), plain, rtol=1e-5)
    assert (each[0, :5] == 0).all()


def test_the_loss_runs_in_bf16_under_autocast():
    rng = torch.Generator().manual_seed(0)
    hidden, head = torch.randn(64, 32, generator=rng), torch.randn(100, 32, generator=rng, requires_grad=True)
    targets = torch.randint(0, 100, (64,), generator=rng)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = chunked_cross_entropy(hidden, head, targets)
    loss.backward()
    assert head.grad.dtype == torch.float32
    assert loss.item() == pytest.approx(
        torch.nn.functional.cross_entropy(hidden @ head.T, targets).item() * 64, rel=0.02
    )
