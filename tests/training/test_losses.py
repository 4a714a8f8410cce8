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


def test_an_ensembles_losses_are_those_of_its_members(monkeypatch):
    monkeypatch.setitem(losses.CHUNK_BYTES, "cpu", 4 * 50 * 3 * 7)  # seven rows of three members at a time
    rng = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, 4, 8, 16, generator=rng, requires_grad=True)
    heads = torch.randn(3, 50, 16, generator=rng, requires_grad=True)
    targets = torch.randint(0, 50, (3, 4, 8), generator=rng)
    targets[1, 0, :5] = IGNORED
    together, cross_entropy = chunked_cross_entropy(hidden, heads, targets, 0.01)
    weights = torch.tensor([0.5, 1.0, 2.0])
    gradients = torch.autograd.grad((together * weights).sum(), (hidden, heads))
    for e in range(3):
        single, own = chunked_cross_entropy(hidden[e], heads[e], targets[e], 0.01)
        assert torch.allclose(single, together[e], rtol=1e-5) and torch.allclose(own, cross_entropy[e], rtol=1e-5)
        expected = torch.autograd.grad(single * weights[e], (hidden, heads))
        for gradient, other in zip(gradients, expected, strict=True):
            assert torch.allclose(gradient[e], other[e], atol=1e-5)


@pytest.mark.parametrize("z_loss", [0.0, 0.01])
def test_a_compiled_chunk_is_the_eager_one(z_loss):
    rng = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 50, (20,), generator=rng)
    targets[3] = IGNORED
    logits = torch.randn(20, 50, generator=rng)
    eager = losses.chunk_gradient(logits.clone(), targets, z_loss, torch.float32)
    torch._dynamo.reset()
    compiled = torch.compile(losses.chunk_gradient, backend="aot_eager", fullgraph=True)
    for ours, other in zip(eager, compiled(logits.clone(), targets, z_loss, torch.float32), strict=True):
        assert torch.allclose(ours, other, atol=1e-6)


def test_a_chunk_on_a_gpu_is_whole_tiles():
    sizes = [rows.stop - rows.start for rows in losses.chunks(10_000, 50_304, "cuda")]
    assert sizes[0] == 2048 and set(sizes[:-1]) == {2048} and sum(sizes) == 10_000  # 512 MB hold 2,668 rows of fp32
    assert next(losses.chunks(10_000, 10**6, "cuda")) == slice(0, 1024)
