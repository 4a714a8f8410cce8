"""Every tokenizer known by name, and the token that ends a text in each. To add one, write an entry in `TOKENIZERS`.

Any file of a tokenizer, any folder with one and any hub id works without an entry.
"""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import NamedTuple

EMBEDDED = "default"
SMALL = "small"
EMBEDDED_FILES = {EMBEDDED: "tokenizer.json", SMALL: "small.json"}  # made by embedded/build.py
EMBEDDED_FOLDER = Path(str(resources.files("simtool.tokens") / "embedded"))


class Identity(NamedTuple):
    """What must agree before ids may be compared."""

    fingerprint: str
    vocabulary_size: int  # largest id + 1
    end_of_text: int | None


@dataclass(frozen=True)
class TokenizerEntry:
    """A tokenizer known by name. `identity` is given where it was computed from the real file, so that
    profiles are distinguishable without that file."""

    about: str
    hub: str | None = None
    file: str | None = None  # in DATA/tokenizers/
    gated: bool = False  # the hub asks for an agreement first
    identity: Identity | None = None
    end_of_text: str = ""  # what its models were pretrained with between documents


# Ends of text as in public configurations and code: of Llama 3.2 and SmolLM3 in huggingface/smollm (id 128001), of
# OLMo 2 and 3 in allenai/OLMo and OLMo-core (100257), of GPT-OSS in openai/gpt-oss (199999), of Gemma 3 in
# google-deepmind/gemma (1), of Qwen 2.5 (base models; chat ends turns with <|im_end|>), Qwen 3 and DeepSeek in settings
# of models made from theirs.
TOKENIZERS = {
    EMBEDDED: TokenizerEntry(
        "Byte-level BPE that ships with simtool, for prose, code and mathematics alike.",
        end_of_text="<|endoftext|>",
    ),
    SMALL: TokenizerEntry(
        "The first 4,096 entries of the default, for models so small that its logits would be the work.",
        end_of_text="<|endoftext|>",
    ),
    "pythia": TokenizerEntry(
        "GPT-NeoX-20B's tokenizer, which Pythia uses, and the paper with it.",
        "EleutherAI/pythia-70m",
        "gpt_neox_20b_tokenizer.json",
        identity=Identity("37a9aa4eeb84be95", 50_277, 0),
        end_of_text="<|endoftext|>",
    ),
    "gpt2": TokenizerEntry(
        "GPT-2's tokenizer: web prose; it spends many tokens on code.",
        "openai-community/gpt2",
        "gpt2_tokenizer.json",
        identity=Identity("10e6f1a3e0898cf3", 50_257, 50_256),
        end_of_text="<|endoftext|>",
    ),
    "llama2": TokenizerEntry(
        "Llama 2's SentencePiece tokenizer. Copies differ in their added tokens, so its fingerprint may too.",
        "meta-llama/Llama-2-7b-hf",
        "llama2_tokenizer.json",
        gated=True,
        end_of_text="</s>",
    ),
    "llama3": TokenizerEntry(
        "Llama 3's tokenizer: 128,000 entries, many languages.",
        "meta-llama/Meta-Llama-3-8B",
        "llama3_tokenizer.json",
        gated=True,
        end_of_text="<|end_of_text|>",
    ),
    "llama3.1": TokenizerEntry(
        "Llama 3.1's and 3.3's tokenizer: Llama 3's, with other names for its special tokens.",
        "meta-llama/Llama-3.1-8B",
        "llama3.1_tokenizer.json",
        gated=True,
        end_of_text="<|end_of_text|>",
    ),
    "llama3.2": TokenizerEntry(
        "Llama 3.2's tokenizer, the same as Llama 3.1's, from the repository of its smallest model.",
        "meta-llama/Llama-3.2-1B",
        "llama3.2_tokenizer.json",
        gated=True,
        end_of_text="<|end_of_text|>",
    ),
    "olmo2": TokenizerEntry(
        "OLMo 2's tokenizer: 100,000 entries, those of GPT-4's.",
        "allenai/OLMo-2-0425-1B",
        "olmo2_tokenizer.json",
        end_of_text="<|endoftext|>",
    ),
    "olmo3": TokenizerEntry(
        "OLMo 3's tokenizer: OLMo 2's entries.",
        "allenai/Olmo-3-1025-7B",
        "olmo3_tokenizer.json",
        end_of_text="<|endoftext|>",
    ),
    "qwen2.5": TokenizerEntry(
        "Qwen 2.5's tokenizer: 151,643 entries, each digit alone.",
        "Qwen/Qwen2.5-0.5B",
        "qwen2.5_tokenizer.json",
        end_of_text="<|endoftext|>",
    ),
    "qwen3": TokenizerEntry(
        "Qwen 3's tokenizer: Qwen 2.5's, with special tokens for reasoning.",
        "Qwen/Qwen3-0.6B-Base",
        "qwen3_tokenizer.json",
        end_of_text="<|endoftext|>",
    ),
    "gpt-oss": TokenizerEntry(
        "GPT-OSS's tokenizer: o200k, 200,000 entries.",
        "openai/gpt-oss-20b",
        "gpt-oss_tokenizer.json",
        end_of_text="<|endoftext|>",
    ),
    "gemma3": TokenizerEntry(
        "Gemma 3's SentencePiece tokenizer: 262,144 entries, many languages.",
        "google/gemma-3-1b-pt",
        "gemma3_tokenizer.json",
        gated=True,
        end_of_text="<eos>",
    ),
    "deepseek-v3": TokenizerEntry(
        "DeepSeek V3's tokenizer: 128,000 entries, for Chinese and English.",
        "deepseek-ai/DeepSeek-V3-Base",
        "deepseek-v3_tokenizer.json",
        end_of_text="<｜end▁of▁sentence｜>",
    ),
    "smollm3": TokenizerEntry(
        "SmolLM3's tokenizer: Llama 3.2's entries.",
        "HuggingFaceTB/SmolLM3-3B-Base",
        "smollm3_tokenizer.json",
        end_of_text="<|end_of_text|>",
    ),
}
ALIASES = {"simtool": EMBEDDED, "llama3.3": "llama3.1"}


def embedded_identity(name: str = EMBEDDED) -> Identity:
    """Of a tokenizer that ships: read from the small provenance file, not from its vocabulary."""
    provenance = json.loads((EMBEDDED_FOLDER / "provenance.json").read_text(encoding="utf-8"))
    about = provenance if name == EMBEDDED else provenance[name]
    return Identity(*(about[field] for field in Identity._fields))
