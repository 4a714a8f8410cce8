"""The model is Pythia: its sizes, its names, and the logits of transformers."""

import itertools
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.torch import save_file  # noqa: E402

from simtool.errors import SimtoolError  # noqa: E402
from simtool.training import model as module  # noqa: E402
from simtool.training.model import (  # noqa: E402
    build_model,
    document_offsets,
    flops_per_token,
    load_model,
)
from simtool.training.sizes import SIZES, Defaults, ModelSize, Shape, padded_vocabulary  # noqa: E402

TINY = Shape(2, 32, 2)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(SIZES, "tiny", ModelSize(TINY, Defaults(3e-4, 32, 4)))
    return build_model("tiny", 200, 0)


@pytest.mark.parametrize("name", ["nano", "micro"])
def test_parameters_are_what_the_shape_says(name):
    model = build_model(name, 300, 0)
    n = sum(p.numel() for key, p in model.named_parameters() if "embed" not in key)
    assert n == SIZES[name].shape.n_parameters
    assert model.vocabulary_size == padded_vocabulary(300) == 384


@pytest.mark.parametrize("shape", [TINY, SIZES["nano"].shape, SIZES["14m"].shape])
def test_logits_are_those_of_transformers(shape, tmp_path):
    ours = module.GPTNeoX(shape, 256)
    ours.reset(1)
    with torch.no_grad():  # biases and norms too
        for parameter in ours.parameters():
            if parameter.dim() < 2:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    save_file(ours.state_dict(), tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(ours.config(64, 0)))
    theirs, told = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"]
    ids = torch.randint(0, 256, (3, 64), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.allclose(ours(ids), theirs.eval()(ids).logits, atol=1e-4)
        back = load_model(tmp_path)
        assert isinstance(back, module.GPTNeoX)
        assert torch.equal(back(ids), ours(ids))


def test_what_layers_hand_on_is_rounded_where_that_is_said_and_norms_are_not():
    ids = torch.randint(0, 256, (2, 16), generator=torch.Generator().manual_seed(0))
    types, hidden = {}, {}
    for residual in ("fp32", "bf16"):
        model, handed = build_model("nano", 256, 0, residual), []
        for layer in model.gpt_neox.layers:
            layer.register_forward_hook(lambda module, inputs, output, to=handed: to.append(output.dtype))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            hidden[residual] = model.hidden(ids)
        types[residual] = {*handed}
    assert types == {"fp32": {torch.float32}, "bf16": {torch.bfloat16}}
    assert hidden["bf16"].dtype == torch.float32 and not torch.equal(*hidden.values())
    assert torch.allclose(*hidden.values(), atol=0.1)  # 0.034 was seen, in states of length 9.8


def test_what_transformers_saves_is_read(tmp_path):
    config = transformers.GPTNeoXConfig(
        vocab_size=256, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128
    )
    theirs = transformers.GPTNeoXForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path)
    ours = load_model(tmp_path)
    ids = torch.arange(40)[None]
    assert isinstance(ours, module.GPTNeoX)
    with torch.no_grad():
        assert torch.allclose(ours(ids), theirs(ids).logits, atol=1e-4)


def test_any_causal_model_of_transformers_is_accepted(tmp_path):
    config = transformers.LlamaConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    config.save_pretrained(tmp_path)
    model = build_model(str(tmp_path), 200, 0)
    assert model.head.shape == (256, 32)
    with pytest.raises(SimtoolError, match="A residual stream in bf16 is for the sizes by name only"):
        build_model(str(tmp_path), 200, 0, "bf16")
    again = build_model(str(tmp_path), 200, 0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    hidden = model.hidden(torch.arange(10)[None])
    assert torch.allclose(hidden @ model.head.T, model(torch.arange(10)[None]), atol=1e-5)


def test_a_capped_model_is_refused(tmp_path):
    config = transformers.Gemma2Config(
        vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        intermediate_size=64, head_dim=16, final_logit_softcapping=0.01, pad_token_id=0,
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    with pytest.raises(SimtoolError, match="changes its logits after the last matrix"):
        build_model(str(tmp_path), 200, 0)


def test_documents_do_not_see_each_other(tiny):
    a, b = torch.tensor([[0, 5, 6, 7]]), torch.tensor([[0, 9, 8]])
    together = torch.cat([a, b], dim=1)
    documents = torch.tensor([[1, 1, 1, 1, 2, 2, 2]])
    with torch.no_grad():
        packed = tiny(together, documents)
        assert torch.allclose(packed[:, :4], tiny(a), atol=1e-5)
        assert torch.allclose(packed[:, 4:], tiny(b), atol=1e-5)
        assert not torch.allclose(tiny(together)[:, 4:], tiny(b), atol=1e-3)


def varlen_by_hand(q, k, v, starts_q, starts_k, longest_q, longest_k, window_size):
    """The slow way is the specification: each document by itself."""
    assert window_size == (-1, 0)
    out = torch.zeros_like(q)
    for start, stop in itertools.pairwise(starts_q.tolist()):
        if start < stop:
            own = (x[start:stop].transpose(0, 1) for x in (q, k, v))
            out[start:stop] = torch.nn.functional.scaled_dot_product_attention(*own, is_causal=True).transpose(0, 1)
    return out


def test_offsets_of_documents_do_what_their_mask_does(tiny, monkeypatch):
    """With flash attention put in by its definition: positions, documents and gradients are the mask's."""
    monkeypatch.setattr(module, "varlen_attn", varlen_by_hand)
    rng = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 200, (3, 32), generator=rng)
    documents = torch.cumsum(torch.rand(3, 32, generator=rng) < 0.2, 1)
    offsets = torch.from_numpy(document_offsets(documents.numpy()))
    by_mask, by_offsets = tiny.hidden(ids, documents), tiny.hidden(ids, offsets)
    assert torch.allclose(by_mask, by_offsets, atol=1e-5)
    parameters = list(tiny.gpt_neox.parameters())
    pairs = (torch.autograd.grad(hidden.square().sum(), parameters) for hidden in (by_mask, by_offsets))
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(*pairs, strict=True))


def test_offsets_by_hand():
    documents = np.array([[1, 1, 2, 2], [2, 2, 2, 3]])  # a row begins a document, whatever its number
    offsets = document_offsets(documents)
    assert offsets.dtype == np.int32 and len(offsets) == 64
    assert offsets[:5].tolist() == [0, 2, 4, 7, 8] and set(offsets[5:]) == {8}
    many = document_offsets(np.arange(64)[None])  # 64 documents have 65 edges
    assert len(many) == 128 and many[64] == 64


def test_flash_attention_within_documents_is_for_bf16_on_a_gpu():
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert module.has_document_attention(gpu, "bf16") == (module.varlen_attn is not None)
    assert not module.has_document_attention(gpu, "fp32") and not module.has_document_attention(cpu, "bf16")


def test_the_same_seed_gives_the_same_weights():
    first, second, other = build_model("nano", 200, 0), build_model("nano", 200, 0), build_model("nano", 200, 1)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.head, other.head)


def test_flops_by_hand(tiny):
    # 6 x (2 layers x (12 x 32^2 + 13 x 32) + 64 + 256 x 32) + 12 x 2 x 32 x 10
    assert flops_per_token(tiny, 10) == 6 * (2 * (12 * 1024 + 416) + 64 + 8192) + 7680


def test_an_unknown_size_names_the_nearest():
    with pytest.raises(SimtoolError, match=r"Unknown model '160'\. Did you mean '160m'\?"):
        build_model("160", 200, 0)


def test_code_that_comes_with_a_model_is_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *prompt: "y")  # transformers asks in a terminal, and then runs it
    config = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.OwnModel"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Own: pass\n")
    for load in (lambda: build_model(str(tmp_path), 300, 0), lambda: load_model(tmp_path)):
        with pytest.raises(SimtoolError, match="simtool runs none of a model's code"):
            load()
    assert not (tmp_path / "ran").exists()


def test_pickled_weights_are_not_read(tmp_path):
    config = transformers.LlamaConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    config.save_pretrained(tmp_path)
    weights = transformers.LlamaForCausalLM(config).state_dict()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    with pytest.raises(SimtoolError, match="are pickled"):
        load_model(tmp_path)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    assert load_model(tmp_path).head.shape == (100, 32)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("value", ["somebody/kernel", "flash|somebody/kernel@main:name", {"": "somebody/kernel"}])
@pytest.mark.parametrize("field", ["_attn_implementation", "attn_implementation", "_experts_implementation_internal"])
def test_a_kernel_that_a_configuration_names_is_not_fetched(tmp_path, field, value, inside):
    """Which transformers would run: 4.56 to 5.2 anybody's (CVE-2026-4372), later ones those of one organisation."""
    config = transformers.LlamaConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    hostile = {"text_config": {field: value}} if inside else {field: value}
    path.write_text(json.dumps(json.loads(path.read_text()) | hostile))
    for load in (lambda: build_model(str(tmp_path), 300, 0), lambda: load_model(tmp_path)):
        with pytest.raises(SimtoolError, match="names code to be fetched"):
            load()


def test_what_writes_to_the_residual_stream_begins_smaller():
    model = build_model("nano", 256, 0)  # 4 layers, 96 wide
    named = dict(model.named_parameters())
    wang, small = 2 / (4 * 96**0.5), (2 / (5 * 96)) ** 0.5
    for name, std in (("attention.dense", wang), ("mlp.dense_4h_to_h", wang), ("mlp.dense_h_to_4h", small)):
        assert named[f"gpt_neox.layers.1.{name}.weight"].std().item() == pytest.approx(std, rel=0.03)
