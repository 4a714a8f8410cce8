"""Products by oneDNN are torch's, with their gradients, bit for bit the same again; and taken on AMD's processors."""

import pytest

torch = pytest.importorskip("torch")

from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from simtool.training import products  # noqa: E402
from simtool.training.products import Linear, linear, prefers_onednn, product, takes_onednn  # noqa: E402

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN here")


@pytest.fixture
def calls(monkeypatch):
    """oneDNN is preferred, whatever processor this is; what it is called with."""
    by_onednn, calls = products.by_onednn, []

    def counted(x, weight_OD, bias_O=None):
        calls.append((tuple(x.shape), tuple(weight_OD.shape)))
        return by_onednn(x, weight_OD, bias_O)

    monkeypatch.setattr(products, "prefers_onednn", lambda: True)
    monkeypatch.setattr(products, "by_onednn", counted)
    return calls


def gradients(function, x, weight, bias):
    leaves = [tensor.clone().requires_grad_() for tensor in (x, weight) + ((bias,) if bias is not None else ())]
    y = function(*leaves)
    return y.detach(), torch.autograd.grad((y * y).sum(), leaves)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 12), (2, 7, 12), (3, 1, 12)])
def test_values_and_gradients_are_torchs(calls, shape, has_bias):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(shape), torch.randn(20, 12), torch.randn(20) if has_bias else None
    y, grads = gradients(linear, x, weight, bias)
    y_of_torch, grads_of_torch = gradients(F.linear, x, weight, bias)
    assert len(calls) == 3  # the product, and its gradient by each factor
    for ours, torchs in zip((y, *grads), (y_of_torch, *grads_of_torch), strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-4, atol=1e-4)


def test_only_the_gradients_that_are_needed_are_computed(calls):
    weight = torch.randn(4, 3, requires_grad=True)
    linear(torch.randn(2, 3), weight).sum().backward()
    assert len(calls) == 2 and weight.grad.shape == (4, 3)


def test_a_plain_product(calls):
    a, b = torch.randn(6, 5), torch.randn(5, 4)
    torch.testing.assert_close(product(a, b), a @ b)
    torch.testing.assert_close(product(a, torch.randn(4, 5).mT).shape, (a @ b).shape)
    assert len(calls) == 2
    members = torch.randn(2, 6, 5), torch.randn(2, 5, 4)
    assert torch.equal(product(*members), members[0] @ members[1]) and len(calls) == 2  # of an ensemble: torch's


def test_the_same_product_has_the_same_bits(calls):
    x, layer = torch.randn(64, 96), Linear(96, 384)
    y = layer(x)
    assert all(torch.equal(layer(x.clone()), y) for _ in range(5))
    assert torch.equal(layer(x[10:20]), y[10:20])  # whichever rows it stands between


def test_what_is_left_to_torch(calls):
    a = torch.randn(3, 3)
    assert takes_onednn(a, a)
    assert not takes_onednn(a.bfloat16(), a.bfloat16())
    assert not takes_onednn(a.double(), a.double())
    assert not takes_onednn(a.to("meta"), a.to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert not takes_onednn(a, a)
    compiled = torch.compile(lambda x: linear(x, a), backend="aot_eager", fullgraph=True)
    before = len(calls)
    torch.testing.assert_close(compiled(a), F.linear(a, a))
    assert len(calls) == before


def test_shapes_are_known_without_numbers(calls):
    with FakeTensorMode():
        layer = Linear(8, 5)
        assert layer(torch.empty(2, 3, 8)).shape == (2, 3, 5)


@pytest.mark.parametrize(
    ("name", "capability", "preferred"),
    [
        ("vendor_id : AuthenticAMD", "AVX512", True),
        ("AMD64 Family 25 Model 97, AuthenticAMD", "AVX512", True),  # as Windows says it
        ("vendor_id : AuthenticAMD", "AVX2", False),
        ("vendor_id : GenuineIntel", "AVX512", False),
        ("", "DEFAULT", False),
    ],
)
def test_it_is_preferred_where_mkl_leaves_avx512_alone(monkeypatch, name, capability, preferred):
    monkeypatch.setattr(products, "processor", lambda: name)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert prefers_onednn.__wrapped__() is preferred
