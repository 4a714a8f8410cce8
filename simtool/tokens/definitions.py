"""What a tokenizer's file holds, read by its kind: tokenizer.json, SentencePiece model, tiktoken ranks, or a folder
that only `transformers` can put together. To add a kind, write its reader and name it in `READERS`.

Nothing is executed from what is read.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from simtool.errors import SimtoolError
from simtool.integrity import parse_json
from simtool.tokens.backends import Backend, Reader, SentencePiece, Tiktoken, choose_backend
from simtool.tokens.catalogue import EMBEDDED_FILES, EMBEDDED_FOLDER, Identity, embedded_identity

# what ends a text where nothing says which it is, best first
END_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "</s>", "<eos>")
CONFIG = "tokenizer_config.json"


@dataclass(frozen=True)
class Definition:
    """A tokenizer as its file has it: which it is, and what encodes and decodes with it, made when it is called."""

    identity: Identity
    backends: Callable[[], tuple[Backend, Reader]]


def read_definition(path: Path, end_of_text: str | None = None) -> Definition:
    """The tokenizer of a file.

    Parameters
    ----------
    end_of_text
        The token that ends a text, where it is known; else one of `END_OF_TEXT`, or what the folder's
        tokenizer_config.json says.

    Raises
    ------
    SimtoolError
        Where it is none.
    """
    return _read(path, (_version(path), _version(path.parent / CONFIG)), end_of_text)


def _version(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=4)
def _read(path: Path, version: tuple, end_of_text: str | None) -> Definition:
    """`version` only says to the cache that a file changed."""
    return READERS[kind_of(path)](path, end_of_text)


def kind_of(path: Path) -> str:
    """ "json", "sentencepiece", "tiktoken" or "folder"; by what the file holds where its name leaves it open."""
    if path.name == CONFIG:
        return "folder"
    if path.suffix not in (".model", ".tiktoken"):
        return "json"
    try:
        with path.open("rb") as file:
            return "tiktoken" if RANK.fullmatch(file.readline(4096).rstrip()) else "sentencepiece"
    except OSError as error:
        raise SimtoolError(f"{path} cannot be read: {error.strerror or error}.") from error


# ---- tokenizer.json --------------------------------------------------------------------------------------


def _read_json(path: Path, end_of_text: str | None) -> Definition:
    try:
        text = path.read_text(encoding="utf-8")
        if path.parent == EMBEDDED_FOLDER:
            name = next(name for name, file in EMBEDDED_FILES.items() if file == path.name)
            return Definition(embedded_identity(name), partial(choose_backend, text, path))
        return json_definition(text, path, end_of_text)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SimtoolError(f"{path} is not a tokenizer.json ({type(error).__name__}: {error}).") from error


def json_definition(text: str, path: Path, end_of_text: str | None) -> Definition:
    """The tokenizer that a tokenizer.json's text defines; `path` is what messages call it."""
    definition = parse_json(text)
    model = definition["model"]
    vocabulary = model["vocab"]
    size = max(vocabulary.values()) + 1 if isinstance(vocabulary, dict) else len(vocabulary)
    ids = {token["content"]: token["id"] for token in definition.get("added_tokens") or []}
    size = max([size, *(number + 1 for number in ids.values())])
    identity = Identity(tokenizer_fingerprint(definition), size, _end_of_text(ids, path, end_of_text))
    if model.get("dropout"):
        raise SimtoolError(
            f"{path} drops merges at random (dropout {model['dropout']}), so a text has no fixed ids.\n"
            "Set model.dropout to null in it."
        )
    return Definition(identity, partial(choose_backend, text, path))


def _end_of_text(ids: Mapping[str, int], path: Path, end_of_text: str | None) -> int | None:
    """The id of the token that ends a text; None where nothing says which it is."""
    if end_of_text is not None:
        if end_of_text not in ids:
            raise SimtoolError(f"{path} has no token {end_of_text!r}, which ends a text of this tokenizer.")
        return ids[end_of_text]
    return next((ids[token] for token in (*END_OF_TEXT, eos_token(path.parent)) if token in ids), None)


def eos_token(folder: Path) -> str | None:
    """What a folder's tokenizer_config.json says to end a text with."""
    try:
        token = parse_json((folder / CONFIG).read_text(encoding="utf-8")).get("eos_token")
    except (OSError, ValueError, AttributeError):
        return None
    return token.get("content") if isinstance(token, dict) else token


def tokenizer_fingerprint(definition: dict[str, Any]) -> str:
    """16 hex digits of the SHA-256 of what determines ids: normalizer, pre-tokenizer, model, added tokens.

    Layout, padding, truncation, post-processor and decoder do not count, nor whether a default is spelled out
    or merges are pairs or strings: `tokenizers` has written both over the years.
    """
    canonical = {
        "normalizer": _spelled_out(definition.get("normalizer")),
        "pre_tokenizer": _spelled_out(definition.get("pre_tokenizer")),
        "model": _model(definition["model"]),
        "added_tokens": sorted(map(_spelled_out, definition.get("added_tokens") or []), key=lambda t: t["id"]),
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _spelled_out(part: Any) -> Any:
    if isinstance(part, list):
        return [_spelled_out(item) for item in part]
    if not isinstance(part, dict):
        return part
    defaults = {"use_regex": True} if part.get("type") == "ByteLevel" else {}
    # trim_offsets moves where a token says it lies in the text, never its id
    return defaults | {
        name: _spelled_out(value) for name, value in part.items() if value is not None and name != "trim_offsets"
    }


def _model(model: dict[str, Any]) -> dict[str, Any]:
    if "merges" not in model:
        return {name: value for name, value in model.items() if value is not None}
    absent = (None, False, "")  # the default of every option of a BPE model is one of these
    options = {name: value for name, value in model.items() if name not in ("vocab", "merges")}
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    set_options = {name: value for name, value in options.items() if value not in absent}
    return {"type": "BPE"} | set_options | {"vocab": model["vocab"], "merges": merges}


# ---- SentencePiece ---------------------------------------------------------------------------------------


def _read_sentencepiece(path: Path, end_of_text: str | None) -> Definition:
    content = path.read_bytes()
    try:
        backend = SentencePiece(content)
    except (RuntimeError, ValueError) as error:
        raise SimtoolError(f"{path} is not a model of SentencePiece, nor ranks of tiktoken ({error}).") from error
    model = backend.model
    end = model.eos_id() if end_of_text is None else model.piece_to_id(end_of_text)
    identity = Identity(_fingerprint(b"sentencepiece", content), model.get_piece_size(), end if end >= 0 else None)
    return Definition(identity, lambda: (backend, backend))


def _fingerprint(*parts: bytes) -> str:
    return hashlib.sha256(b"\n".join(parts)).hexdigest()[:16]


# ---- tiktoken --------------------------------------------------------------------------------------------

RANK = re.compile(rb"[A-Za-z0-9+/]+=* \d+")  # a line: a token in base64, and its id
GPT2_WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
GPT4_WORDS = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s"
)
LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
GPT4O_WORDS = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Ranks(NamedTuple):
    """What a file of ranks does not say: how text is cut into words first, and which token ends a text."""

    n_ranks: int
    words: str
    end_of_text: str
    end_of_text_id: int


TIKTOKEN = {
    "r50k_base": Ranks(50_256, GPT2_WORDS, "<|endoftext|>", 50_256),
    "p50k_base": Ranks(50_280, GPT2_WORDS, "<|endoftext|>", 50_256),
    "cl100k_base": Ranks(100_256, GPT4_WORDS, "<|endoftext|>", 100_257),
    "o200k_base": Ranks(199_998, GPT4O_WORDS, "<|endoftext|>", 199_999),
    "llama3": Ranks(128_000, LLAMA3_WORDS, "<|end_of_text|>", 128_001),
    "qwen": Ranks(151_643, LLAMA3_WORDS.replace("{1,3}", ""), "<|endoftext|>", 151_643),
}  # openai/tiktoken 0.14, meta-llama/llama3 and QwenLM/Qwen: their tokenizers' own code


def _read_tiktoken(path: Path, end_of_text: str | None) -> Definition:
    content = path.read_bytes()
    try:
        lines = [line.split() for line in content.splitlines() if line]
        ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    except ValueError as error:
        raise SimtoolError(f"{path} does not hold ranks of tiktoken ({error}).") from error
    known = _known_ranks(path, len(ranks))
    end = known.end_of_text_id if len(ranks) == known.n_ranks else max(ranks.values()) + 1
    special = {known.end_of_text: end}
    identity = Identity(_fingerprint(known.words.encode(), content), max(end, *ranks.values()) + 1, end)

    def backends() -> tuple[Backend, Reader]:
        backend = Tiktoken(known.words, ranks, special)
        return backend, backend

    return Definition(identity, backends)


def _known_ranks(path: Path, n_ranks: int) -> Ranks:
    """Told by the number of ranks, or by the name: my.cl100k_base.tiktoken is cut into words as cl100k_base is."""
    for name, known in TIKTOKEN.items():
        if n_ranks == known.n_ranks or name in path.name.split("."):
            return known
    raise SimtoolError(
        f"{path} holds {n_ranks:,} ranks of tiktoken, and a file of ranks does not say how text is cut into words.\n"
        f"Say it in its name, as in my.cl100k_base.tiktoken. Known: {', '.join(TIKTOKEN)}."
    )


# ---- a folder that `transformers` puts together ----------------------------------------------------------


def _read_folder(path: Path, end_of_text: str | None) -> Definition:
    """Through `transformers`, which has the rules of each family; never with code of the folder's own."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, trust_remote_code=False, local_files_only=True)
        return json_definition(tokenizer.backend_tokenizer.to_str(), path, end_of_text)
    except (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise SimtoolError(
            f"transformers cannot put the tokenizer of {path.parent} together: {str(error).splitlines()[0]}\n"
            "Name its .model or .tiktoken file itself, or a tokenizer.json."
        ) from error


READERS = {
    "json": _read_json,
    "sentencepiece": _read_sentencepiece,
    "tiktoken": _read_tiktoken,
    "folder": _read_folder,
}
