"""GPT-NeoX (Pythia) by size name, and any other causal model of transformers by its config. To add a size: `sizes.py`.

The module is our own, because it compiles without breaks, masks documents, and shares its parts with an ensemble of
such models; its parameters have the names of Pythia's checkpoints, so that saving it is exporting it. Tests hold its
logits against those of transformers.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

try:  # torch 2.10
    from torch.nn.attention.varlen import varlen_attn
except ImportError:
    varlen_attn = None

from simtool.errors import SimtoolError, unknown
from simtool.integrity import damage_as_message, parse_json
from simtool.training.position import check_checkpoint
from simtool.training.products import Linear
from simtool.training.sizes import SIZES, Shape, padded_vocabulary

# B row, T position, D width, H heads, K width of a head, V vocabulary

ROTARY_SHARE = 0.25  # of each head; Pythia
ROTARY_BASE = 10_000.0
RESIDUALS = {"fp32": torch.float32, "bf16": torch.bfloat16}  # the type of what layers hand on, by a recipe's name


# ---- GPT-NeoX --------------------------------------------------------------------------------------------


class Attention(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.n_heads = shape.n_heads
        self.query_key_value = Linear(shape.width, 3 * shape.width)
        self.dense = Linear(shape.width, shape.width)

    def forward(self, x_BTD: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        return self.dense(attend(self.query_key_value(x_BTD), self.n_heads, cos, sin, mask))


def attend(qkv_BTD: Tensor, n_heads: int, cos_TK: Tensor, sin_TK: Tensor, mask: Tensor | None) -> Tensor:
    """What the heads read, side by side: (B, T, D) from queries, keys and values (B, T, 3 D).

    Parameters
    ----------
    mask
        None: all before; (B, 1, T, T): `document_mask`; (n + 1,): `document_offsets`.
    """
    B, T, D = qkv_BTD.shape
    # a head's query, key and value lie side by side
    q, k, v = qkv_BTD.view(B, T, n_heads, D // n_heads).transpose(1, 2).chunk(3, dim=-1)
    q, k = apply_rotary(q, cos_TK, sin_TK), apply_rotary(k, cos_TK, sin_TK)
    if mask is not None and mask.dim() == 1:
        return attend_within(q, k, v, mask)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
    return y.transpose(1, 2).reshape(B, T, D // 3)


def attend_within(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, offsets: Tensor) -> Tensor:
    """Causal attention within documents, by flash attention over their offsets: no mask is read. (B, T, D)"""
    B, H, T, K = q_BHTK.shape
    q, k, v = (x.transpose(1, 2).reshape(B * T, H, K) for x in (q_BHTK, k_BHTK, v_BHTK))
    y = varlen_attn(q, k, v, offsets, offsets, T, T, window_size=(-1, 0))
    return y.reshape(B, T, H * K)


def apply_rotary(x_BHTK: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The first dimensions of each head turned by their position's angle (arXiv:2104.09864)."""
    n = cos.shape[-1]
    turned, rest = x_BHTK[..., :n], x_BHTK[..., n:]
    a, b = turned.chunk(2, dim=-1)
    turned = turned * cos + torch.cat((-b, a), dim=-1) * sin
    return torch.cat((turned.to(x_BHTK.dtype), rest), dim=-1)


class LayerNorm(nn.LayerNorm):
    """In fp32, whatever type its weights travel in."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps)


class FeedForward(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.dense_h_to_4h = Linear(shape.width, 4 * shape.width)
        self.dense_4h_to_h = Linear(4 * shape.width, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense_4h_to_h(F.gelu(self.dense_h_to_4h(x)))


class Layer(nn.Module):
    """Attention and feed-forward side by side, as in GPT-J and Pythia."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.input_layernorm = LayerNorm(shape.width)
        self.post_attention_layernorm = LayerNorm(shape.width)
        self.attention = Attention(shape)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        read = self.attention(self.input_layernorm(x), cos, sin, mask)
        return (x.float() + read + self.mlp(self.post_attention_layernorm(x))).to(x.dtype)


class Body(nn.Module):
    """All but the last matrix. residual: the type of what layers hand on, in whatever type the weights travel."""

    def __init__(self, shape: Shape, vocabulary_size: int):
        super().__init__()
        self.residual = torch.float32
        self.embed_in = nn.Embedding(vocabulary_size, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.n_layers))
        self.final_layer_norm = LayerNorm(shape.width)
        self.register_buffer("frequencies", frequencies(shape), persistent=False)

    def forward(self, ids_BT: Tensor, documents: Tensor | None = None) -> Tensor:
        cos, sin = rotary_angles(ids_BT.shape[1], self.frequencies)
        mask = attention_mask(documents)
        x = self.embed_in(ids_BT).to(self.residual)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return self.final_layer_norm(x)


def rotary_angles(n_positions: int, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle of each turned dimension: (T, turned) each.

    Angles are relative, so a document in the middle of a row need not begin at zero.
    """
    angles = torch.arange(n_positions, device=frequencies.device).float()[:, None] * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def frequencies(shape: Shape) -> Tensor:
    """Radians a position by which each pair of turned dimensions is turned."""
    n_turned = int(shape.width // shape.n_heads * ROTARY_SHARE)
    return ROTARY_BASE ** -(torch.arange(0, n_turned, 2).float() / n_turned)


def attention_mask(documents: Tensor | None) -> Tensor | None:
    """What `attend` takes, from the document of every position (B, T) or from offsets of documents (n + 1,)."""
    return document_mask(documents) if documents is not None and documents.dim() == 2 else documents


def document_offsets(documents_BT: np.ndarray) -> np.ndarray:
    """int32 (n + 1,): where documents begin in the rows laid end to end, and the end of all.

    Filled up to a multiple of 64 entries with documents of no length, so that their number is seldom another shape.
    """
    begins = np.ones(documents_BT.shape, bool)
    begins[:, 1:] = documents_BT[:, 1:] != documents_BT[:, :-1]
    starts = np.flatnonzero(begins)
    offsets = np.full(-(-(len(starts) + 1) // 64) * 64, documents_BT.size, np.int32)
    offsets[: len(starts)] = starts
    return offsets


def has_document_attention(device: torch.device, precision: str) -> bool:
    """Whether flash attention can keep to documents here; elsewhere a mask does."""
    return varlen_attn is not None and device.type == "cuda" and precision == "bf16"


def document_mask(documents_BT: Tensor) -> Tensor:
    """bool (B, 1, T, T): a position sees those of its own document up to itself."""
    T = documents_BT.shape[1]
    same = documents_BT[:, :, None] == documents_BT[:, None, :]
    return (same & torch.ones(T, T, dtype=torch.bool, device=documents_BT.device).tril())[:, None]


class GPTNeoX(nn.Module):
    """Pythia's architecture. `hidden` is everything but the last matrix, which the loss applies in pieces."""

    def __init__(self, shape: Shape, vocabulary_size: int):
        super().__init__()
        self.shape, self.vocabulary_size = shape, vocabulary_size
        self.gpt_neox = Body(shape, vocabulary_size)
        self.embed_out = Linear(shape.width, vocabulary_size, bias=False)

    def hidden(self, ids_BT: Tensor, documents: Tensor | None = None) -> Tensor:
        """The last hidden states (B, T, D).

        Parameters
        ----------
        documents
            The document of every position (B, T), or `document_offsets`: attention keeps within them.
        """
        return self.gpt_neox(ids_BT, documents)

    @property
    def head(self) -> Tensor:
        """(V, D)"""
        return self.embed_out.weight

    def forward(self, ids_BT: Tensor, documents_BT: Tensor | None = None) -> Tensor:
        """The logits (B, T, V), all of them."""
        return self.embed_out(self.hidden(ids_BT, documents_BT))

    def reset(self, seed: int) -> None:
        """Initial weights, the same on every device: small init, and Wang's for what writes to the residual stream
        (GPT-NeoX's `small_init` and `wang_init`, as Pythia; arXiv:2204.06745)."""
        rng = torch.Generator().manual_seed(seed)
        small = math.sqrt(2 / (5 * self.shape.width))
        wang = 2 / (self.shape.n_layers * math.sqrt(self.shape.width))
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.dim() < 2:
                    parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
                    continue
                std = wang if name.endswith(("attention.dense.weight", "dense_4h_to_h.weight")) else small
                parameter.copy_(torch.randn(parameter.shape, generator=rng) * std)

    def config(self, sequence_length: int, end_of_text: int | None) -> dict[str, Any]:
        """The config.json with which transformers builds the same model."""
        return {
            "architectures": ["GPTNeoXForCausalLM"],
            "model_type": "gpt_neox",
            "vocab_size": self.vocabulary_size,
            "hidden_size": self.shape.width,
            "num_hidden_layers": self.shape.n_layers,
            "num_attention_heads": self.shape.n_heads,
            "intermediate_size": 4 * self.shape.width,
            "hidden_act": "gelu",
            "rotary_pct": ROTARY_SHARE,
            "rotary_emb_base": int(ROTARY_BASE),
            "max_position_embeddings": sequence_length,
            "layer_norm_eps": 1e-5,
            "use_parallel_residual": True,
            "attention_bias": True,
            "tie_word_embeddings": False,
            "attention_dropout": 0.0,
            "hidden_dropout": 0.0,
            "bos_token_id": end_of_text,
            "eos_token_id": end_of_text,
            "torch_dtype": "float32",
        }


# ---- any other model of transformers ---------------------------------------------------------------------


class FromTransformers(nn.Module):
    """A causal model of transformers behind the same face. It cannot mask documents."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.vocabulary_size = model.get_output_embeddings().weight.shape[0]
        self._check_head()

    def hidden(self, ids_BT: Tensor, documents_BT: Tensor | None = None) -> Tensor:
        if documents_BT is not None:
            # the end-of-text tokens still tell documents apart
            raise SimtoolError("Attention within documents is for the sizes by name only. Use text phases.")
        return self.model.base_model(ids_BT, use_cache=False).last_hidden_state

    @property
    def head(self) -> Tensor:
        return self.model.get_output_embeddings().weight

    def forward(self, ids_BT: Tensor, documents_BT: Tensor | None = None) -> Tensor:
        return self.model(ids_BT, use_cache=False).logits

    def config(self, sequence_length: int, end_of_text: int | None) -> dict[str, Any]:
        return self.model.config.to_dict()

    def _check_head(self) -> None:
        """The logits are the last matrix times the hidden state.

        Raises
        ------
        SimtoolError
            Where they are more than that.
        """
        training = self.model.training
        self.model.eval()
        with torch.no_grad():
            ids = torch.arange(8)[None] % self.vocabulary_size
            logits = self.forward(ids).float()
            plain = (self.hidden(ids) @ self.head.T.to(self.hidden(ids).dtype)).float()
        self.model.train(training)
        if not torch.allclose(logits, plain, atol=1e-3, rtol=1e-3):
            raise SimtoolError(
                f"{type(self.model).__name__} changes its logits after the last matrix (a cap, a scale or a bias),"
                " which simtool's loss does not know. Choose another architecture."
            )


def build_model(
    name: str, vocabulary_size: int, seed: int, residual_precision: str = "fp32"
) -> "GPTNeoX | FromTransformers":
    """A model with initial weights: a name from `SIZES`, or a folder whose config.json transformers reads.

    Parameters
    ----------
    vocabulary_size
        Of the tokenizer; the model's is padded to a multiple of 128.
    residual_precision
        Of what layers hand on: "fp32", or "bf16" for a name from `SIZES`.
    """
    if name in SIZES:
        model = uninitialized_model(SIZES[name].shape, padded_vocabulary(vocabulary_size))
        model.reset(seed)
        model.gpt_neox.residual = RESIDUALS[residual_precision]
        return model
    if residual_precision != "fp32":
        raise SimtoolError("A residual stream in bf16 is for the sizes by name only. Leave --residual-precision out.")
    if (Path(name) / "config.json").exists():
        transformers = import_transformers()
        _check_config(Path(name), _read_config(Path(name)))
        try:
            config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
            config.vocab_size = padded_vocabulary(vocabulary_size)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                return FromTransformers(transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=False))
        except (OSError, ValueError) as error:
            raise _not_loaded(Path(name), error) from error
    raise unknown("model", name, SIZES)


def uninitialized_model(shape: Shape, vocabulary_size: int) -> GPTNeoX:
    """The module with whatever lay in memory as weights, for those who set all of them: torch's are not drawn first."""
    with torch.device("meta"):
        model = GPTNeoX(shape, vocabulary_size)
    model = model.to_empty(device="cpu")
    model.gpt_neox.frequencies.copy_(frequencies(shape))
    return model


def load_model(folder: Path) -> "GPTNeoX | FromTransformers":
    """The model of a checkpoint, an export, or any folder of transformers, in fp32."""
    from safetensors.torch import load_file

    folder = Path(folder)
    check_checkpoint(folder)
    config = _read_config(folder)
    _check_config(folder, config)
    weights = folder / "model.safetensors"
    with damage_as_message(weights, "Export the checkpoint again, or fetch the model again."):
        if _is_ours(config) and weights.exists():
            shape = Shape(config["num_hidden_layers"], config["hidden_size"], config["num_attention_heads"])
            model = uninitialized_model(shape, config["vocab_size"])
            state = {k.replace("lm_head.", "embed_out."): v for k, v in load_file(weights).items()}
            names = model.state_dict().keys()
            if names <= state.keys():
                model.load_state_dict({name: state[name].float() for name in names})
                return model
    transformers = import_transformers()
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise _not_loaded(folder, error) from error
    return FromTransformers(model)


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        return parse_json((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SimtoolError(f"No model at {folder}: it has no config.json.") from error
    except (OSError, ValueError) as error:
        raise SimtoolError(f"{folder / 'config.json'} cannot be read: {error}.") from error


def _check_config(folder: Path, config: Any) -> None:
    """Refuse a configuration that names a kernel of the hub for its attention or its experts: transformers would fetch
    and run it, whatever `trust_remote_code` says."""
    items = [("", value) for value in config] if isinstance(config, list) else []
    for key, value in config.items() if isinstance(config, dict) else items:
        if "implementation" in key and "/" in json.dumps(value):
            raise SimtoolError(
                f"The config.json of {folder} names code to be fetched ({key}: {json.dumps(value)}), and simtool runs"
                " none of a model's code.\nRemove the line: transformers then takes an implementation of its own."
            )
        _check_config(folder, value)


def _not_loaded(folder: Path, error: Exception) -> SimtoolError:
    if "trust_remote_code" in str(error):
        return SimtoolError(
            f"The model of {folder} needs code that comes with it, and simtool runs none of a model's code.\n"
            "Name a model whose architecture is part of transformers."
        )
    if any(folder.glob("*.bin")) and not any(folder.glob("*.safetensors*")):
        return SimtoolError(
            f"The weights of {folder} are pickled (.bin), which can run code when they are read; simtool reads none.\n"
            "Save them as safetensors: save_pretrained() of transformers does."
        )
    return SimtoolError(f"transformers cannot load a causal model from {folder}: {error}")


def _is_ours(config: dict[str, Any]) -> bool:
    """Whether our module is exactly what this config says."""
    rope = config.get("rope_parameters") or {}
    return (
        config.get("model_type") == "gpt_neox"
        and config.get("rotary_pct", rope.get("partial_rotary_factor", ROTARY_SHARE)) == ROTARY_SHARE
        and config.get("rotary_emb_base", rope.get("rope_theta", ROTARY_BASE)) == ROTARY_BASE
        and rope.get("rope_type", "default") == "default"
        and not config.get("rope_scaling")
        and config.get("use_parallel_residual", True)
        and config.get("hidden_act") == "gelu"
        and config.get("layer_norm_eps", 1e-5) == 1e-5
        and config.get("attention_bias", True)
        and config["intermediate_size"] == 4 * config["hidden_size"]
        and not config.get("tie_word_embeddings", False)
    )


def import_transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise SimtoolError("This needs transformers: pip install '.[train]' in a clone of simtool.") from error
    return transformers


# ---- its cost ---------------------------------------------------------------------------------------------


def flops_per_token(model: nn.Module, sequence_length: int) -> float:
    """Floating-point operations a trained token: 6 N + 12 L D T, as PaLM counts (arXiv:2204.02311, appendix B).

    N counts every parameter but the input embedding, which is looked up and not multiplied; the output matrix is
    in. Attention counts whole, though a causal kernel does half of it; both conventions are the common ones.
    """
    if isinstance(model, GPTNeoX):
        n = model.shape.n_parameters + model.head.numel()
        return 6.0 * n + 12.0 * model.shape.n_layers * model.shape.width * sequence_length
    n = sum(parameter.numel() for parameter in model.parameters())
    embedding = model.model.get_input_embeddings().weight
    n -= embedding.numel() if embedding is not model.head else 0
    config = model.model.config
    return 6.0 * n + 12.0 * config.num_hidden_layers * config.hidden_size * sequence_length
