"""Text to token ids: every tokenizer known by name, its identity, and the one seam where a backend is chosen.

To add a tokenizer, write an entry in `TOKENIZERS`. Any tokenizer.json and any hub id works without one.

Text is data: a special token's string in a document, such as "<|endoftext|>", is encoded like any other text
and never becomes the special id, so an end of text is always a document's end. No special tokens are added.
Half a surrogate pair, which JSON can hold and UTF-8 cannot, is read as U+FFFD.
"""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from simtool.errors import SimtoolError, unknown

EMBEDDED = "default"
SMALL = "small"
EMBEDDED_FILES = {EMBEDDED: "tokenizer.json", SMALL: "small.json"}  # made by embedded/build.py
EMBEDDED_FOLDER = Path(str(resources.files("simtool.tokens") / "embedded"))
BACKENDS = ("fastokens", "tokenizers")
BACKEND_VARIABLE = "SIMTOOL_TOKENIZER_BACKEND"
END_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>")  # tokenizer.json does not say which it is
SURROGATE = re.compile("[\ud800-\udfff]")
SECONDS_TO_ANSWER = 5  # the hub's own retries take 24 s to say that there is no network


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


TOKENIZERS = {
    EMBEDDED: TokenizerEntry("Byte-level BPE that ships with simtool, for prose, code and mathematics alike."),
    SMALL: TokenizerEntry(
        "The first 4,096 entries of the default, for models so small that its logits would be the work."
    ),
    "pythia": TokenizerEntry(
        "GPT-NeoX-20B's tokenizer, which Pythia uses, and the paper with it.",
        "EleutherAI/pythia-70m",
        "gpt_neox_20b_tokenizer.json",
        identity=Identity("37a9aa4eeb84be95", 50_277, 0),
    ),
    "gpt2": TokenizerEntry(
        "GPT-2's tokenizer: web prose; it spends many tokens on code.",
        "openai-community/gpt2",
        "gpt2_tokenizer.json",
        identity=Identity("10e6f1a3e0898cf3", 50_257, 50_256),
    ),
    "llama2": TokenizerEntry(
        "Llama 2's SentencePiece tokenizer. Copies differ in their added tokens, so its fingerprint may too.",
        "meta-llama/Llama-2-7b-hf",
        "llama2_tokenizer.json",
        gated=True,
    ),
    "llama3": TokenizerEntry(
        "Llama 3's tokenizer: 128,000 entries, many languages.",
        "meta-llama/Meta-Llama-3-8B",
        "llama3_tokenizer.json",
        gated=True,
    ),
}
ALIASES = {"simtool": EMBEDDED}


@dataclass(frozen=True)
class Tokenizer:
    """One fingerprint: the same ids for every text. `load_tokenizer(name, data_dir)` gives it again.

    The file is read at the first text, so a known tokenizer has its identity even where its file is missing.
    It may be sent to other processes.
    """

    name: str
    fingerprint: str
    vocabulary_size: int
    end_of_text: int | None
    data_dir: Path | None = field(default=None, repr=False, compare=False)

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """The ids of all texts in one array; those of text i are `ids[offsets[i]:offsets[i + 1]]`.

        Returns
        -------
        ids
            uint16 (n_tokens,), or uint32 where the vocabulary needs it; read-only.
        offsets
            int64 (n_documents + 1,); read-only.
        """
        backend = self._backends[0]
        try:
            ids, offsets = backend.encode(texts)
        except (UnicodeEncodeError, TypeError):
            if not any(map(SURROGATE.search, texts)):
                raise
            ids, offsets = backend.encode([SURROGATE.sub("\ufffd", text) for text in texts])
        ids = ids.astype(self.dtype, copy=False)
        ids.flags.writeable = offsets.flags.writeable = False
        return ids, offsets

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of these ids; special tokens are shown as they are spelled."""
        return self._reference.model.decode(list(map(int, ids)), skip_special_tokens=False)

    def token_text(self, token: int) -> str:
        """One token for people to read: " the" is `␣the`, a line break `\\n`, a lone byte `\\xe2`."""
        piece = self._reference.model.id_to_token(int(token))
        if piece is None:
            raise IndexError(f"No token {token} in {self.name}: it has {self.vocabulary_size:,}.")
        if int(token) not in self._reference.added:
            piece = self._reference.bytes_of(piece).decode("utf-8", "backslashreplace")
        shown = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in piece)
        return "".join(shown).replace(" ", "␣")

    @property
    def dtype(self) -> type[np.unsignedinteger]:
        return np.uint16 if self.vocabulary_size <= 1 << 16 else np.uint32

    @property
    def backend(self) -> str:
        """What encodes here: "fastokens" or "tokenizers". Both give the same ids."""
        return self._backends[0].name

    @cached_property
    def _backends(self) -> "tuple[Backend, Reference]":
        path = find_tokenizer_file(self.name, self.data_dir) or _fetch(self.name, self.data_dir)
        definition, identity = _read(path, _version(path))
        if identity.fingerprint != self.fingerprint:
            raise SimtoolError(
                f"{path} is not the tokenizer {self.name!r}: its fingerprint is {identity.fingerprint},"
                f" not {self.fingerprint}.\nName the file itself to use it: --tokenizer {path}"
            )
        return choose_backend(definition, path)

    @property
    def _reference(self) -> "Reference":
        return self._backends[1]

    def __reduce__(self) -> tuple[Any, ...]:
        # Backends hold native memory and threads: the other process makes its own.
        identity = (self.fingerprint, self.vocabulary_size, self.end_of_text)
        return Tokenizer, (self.name, *identity, self.data_dir)


def load_tokenizer(name_or_path: str | Path, data_dir: Path | None = None) -> Tokenizer:
    """The tokenizer of a name in `TOKENIZERS`, a tokenizer.json (or its folder), or a hub id.

    Nothing is executed from what is loaded.

    Parameters
    ----------
    data_dir
        The folder whose `tokenizers/` is looked in before the hub; else SIMTOOL_DATA, if that is set.

    Raises
    ------
    SimtoolError
        When there is no such tokenizer, or when it is neither here nor to be had.
    """
    name = ALIASES.get(str(name_or_path), str(name_or_path))
    if data_dir is None and os.environ.get("SIMTOOL_DATA"):
        data_dir = Path(os.environ["SIMTOOL_DATA"]).expanduser()
    identity = embedded_identity(name) if name in EMBEDDED_FILES else None
    if name in TOKENIZERS:
        identity = identity or TOKENIZERS[name].identity
    if identity is None:
        path = find_tokenizer_file(name, data_dir) or _fetch(name, data_dir)
        identity = _read(path, _version(path))[1]
    return Tokenizer(name, *identity, data_dir)


def embedded_identity(name: str = EMBEDDED) -> Identity:
    """Of a tokenizer that ships: read from the small provenance file, not from its vocabulary."""
    provenance = json.loads((EMBEDDED_FOLDER / "provenance.json").read_text(encoding="utf-8"))
    about = provenance if name == EMBEDDED else provenance[name]
    return Identity(*(about[field] for field in Identity._fields))


def find_tokenizer_file(name: str, data_dir: Path | None = None) -> Path | None:
    """Where the tokenizer.json of a name, path or hub id lies on this machine: the data folder, then the
    hub's cache. None when only the hub can have it."""
    name = ALIASES.get(name, name)
    if name in EMBEDDED_FILES:
        return EMBEDDED_FOLDER / EMBEDDED_FILES[name]
    if name in TOKENIZERS:
        entry = TOKENIZERS[name]
        known = data_dir / "tokenizers" / entry.file if data_dir and entry.file else None
        return known if known and known.is_file() else _cached(entry.hub)
    path = Path(name).expanduser()
    if path.is_dir() and (path / "tokenizer.json").is_file():
        return path / "tokenizer.json"
    if path.is_file():
        return path
    if name.endswith(".json") or path.is_absolute() or name.startswith((".", "~")):
        raise SimtoolError(f"No tokenizer.json at {name}.")
    if name.count("/") != 1:
        raise unknown("tokenizer", name, TOKENIZERS)
    return _cached(name)


def _cached(repo: str) -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    try:
        path = try_to_load_from_cache(repo, "tokenizer.json")
    except ValueError as error:  # not of the form that a hub id has
        raise unknown("tokenizer", repo, TOKENIZERS) from error
    return Path(path) if isinstance(path, str) else None


def _fetch(name: str, data_dir: Path | None) -> Path:
    """From the hub (or HF_ENDPOINT) into its cache. The error lists every place that was tried."""
    entry = TOKENIZERS.get(name, TokenizerEntry("", hub=name))
    tried = []
    if entry.file:
        place = data_dir / "tokenizers" / entry.file if data_dir else "none given (--data DIR or SIMTOOL_DATA)"
        tried.append(f"data folder: {place}{': no such file' if data_dir else ''}")
    try:
        from huggingface_hub import HfApi, constants, hf_hub_download
    except ImportError as error:
        tried.append(f"hub: needs the package {error.name!r} (python -m pip install huggingface_hub)")
    else:
        tried.append(f"cache: nothing of {entry.hub} in {constants.HF_HUB_CACHE}")
        try:
            # Asked first with a limit: the download itself would retry for long before it says no.
            HfApi().model_info(entry.hub, timeout=SECONDS_TO_ANSWER)
            return Path(hf_hub_download(entry.hub, "tokenizer.json"))
        except Exception as error:
            tried.append(f"hub: {entry.hub} at {constants.ENDPOINT}: {_reason(error)}")
    gate = f" {entry.hub} is gated: accept its terms there and log in with `hf auth login`." if entry.gated else ""
    raise SimtoolError(
        f"The tokenizer {name!r} cannot be had. Tried\n"
        + "".join(f"  {line}\n" for line in tried)
        + f"Name a tokenizer.json, or use --tokenizer {EMBEDDED}, which needs nothing.{gate}"
    )


def _reason(error: Exception) -> str:
    """What went wrong at the hub, in a few words."""
    reasons = {
        "GatedRepoError": "gated",
        "RepositoryNotFoundError": "no such repository, or not yours to read",
        "RemoteEntryNotFoundError": "it has no tokenizer.json",
        "LocalEntryNotFoundError": "not reachable",
        "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set",
    }
    kinds = [kind.__name__ for kind in type(error).__mro__]
    known = next((reasons[kind] for kind in kinds if kind in reasons), None)
    if known is None and any(kind in ("ConnectError", "TimeoutException", "ConnectionError") for kind in kinds):
        known = "not reachable"
    return known or f"{kinds[0]}: {str(error).splitlines()[0] if str(error) else ''}"


# Identity


def readable_tokens(tokenizer: Tokenizer) -> tuple[Callable[[int], str] | None, str | None]:
    """A token's readable form; or None and the reason, where a profile is at hand but its tokenizer's file is not."""
    try:
        tokenizer.token_text(0)
    except SimtoolError as error:
        return None, str(error)
    return tokenizer.token_text, None


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


@lru_cache(maxsize=4)
def _read(path: Path, version: tuple[int, int]) -> tuple[str, Identity]:
    """The text of a tokenizer.json, and its identity. `version` only tells the cache that a file changed."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.parent == EMBEDDED_FOLDER:
            return text, embedded_identity(next(name for name, file in EMBEDDED_FILES.items() if file == path.name))
        definition = json.loads(text)
        model, added = definition["model"], definition.get("added_tokens") or []
        vocabulary = model["vocab"]
        size = max(vocabulary.values()) + 1 if isinstance(vocabulary, dict) else len(vocabulary)
        ids = {token["content"]: token["id"] for token in added}
        end = next((ids[token] for token in END_OF_TEXT if token in ids), None)
        size = max([size, *(number + 1 for number in ids.values())])
        identity = Identity(tokenizer_fingerprint(definition), size, end)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SimtoolError(f"{path} is not a tokenizer.json ({type(error).__name__}: {error}).") from error
    if model.get("dropout"):
        raise SimtoolError(
            f"{path} drops merges at random (dropout {model['dropout']}), so a text has no fixed ids.\n"
            "Set model.dropout to null in it."
        )
    return text, identity


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


# The seam: two backends with the same ids


class Backend(Protocol):
    name: str

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """ids uint32 (n_tokens,) and offsets int64 (n_documents + 1,)."""
        ...


class Reference:
    """`tokenizers`: it defines which ids are right, reads everything, and decodes."""

    name = "tokenizers"

    def __init__(self, definition: str):
        from tokenizers import Tokenizer as Model

        self.model = Model.from_str(definition)
        self.model.no_truncation()
        self.model.no_padding()
        self.model.encode_special_tokens = True  # that is: as text
        self.added = {number: token.content for number, token in self.model.get_added_tokens_decoder().items()}
        self.byte_level = "ByteLevel" in repr(self.model.decoder)

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        encoded = self.model.encode_batch_fast(texts, add_special_tokens=False)
        lengths = np.fromiter((len(encoding) for encoding in encoded), np.int64, len(encoded))
        offsets = np.concatenate([np.zeros(1, np.int64), lengths.cumsum()])
        ids = np.fromiter((i for encoding in encoded for i in encoding.ids), np.uint32, offsets[-1])
        return ids, offsets

    def encode_one(self, text: str) -> list[int]:
        return self.model.encode(text, add_special_tokens=False).ids

    def bytes_of(self, piece: str) -> bytes:
        """The bytes that a piece of the vocabulary stands for."""
        if self.byte_level:
            return bytes(byte_of_letter()[letter] for letter in piece)
        if byte := re.fullmatch(r"<0x([0-9A-F]{2})>", piece):
            return bytes.fromhex(byte[1])
        return piece.replace("▁", " ").encode()


class Fastokens:
    """`fastokens`: the same ids, some fifty times as fast, for the byte-level and SentencePiece BPEs."""

    name = "fastokens"

    def __init__(self, definition: str):
        from fastokens import Tokenizer as Model

        self.model = Model.from_json_str(definition)
        self.model.no_truncation()
        self.model.no_padding()

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids, offsets = self.model.encode_batch_flat(texts, split_special_tokens=True)
        return np.frombuffer(ids, "<u4"), np.frombuffer(offsets, "<i8")


def choose_backend(definition: str, path: Path) -> tuple[Backend, Reference]:
    """fastokens where it reads the tokenizer and agrees with `tokenizers` on `TRICKY`, else `tokenizers`.

    SIMTOOL_TOKENIZER_BACKEND names one instead. fastokens is checked even then: ids are never wrong.
    """
    requested = os.environ.get(BACKEND_VARIABLE, "")
    if requested not in ("", *BACKENDS):
        raise unknown(f"backend in {BACKEND_VARIABLE}", requested, BACKENDS)
    try:
        reference = Reference(definition)
    except Exception as error:  # all that `tokenizers` raises
        raise SimtoolError(f"{path} is not a tokenizer.json that `tokenizers` reads: {error}.") from error
    if requested == "tokenizers":
        return reference, reference
    try:
        fast = Fastokens(definition)
        problem = None if agree(fast, reference) else "its ids differ from those of `tokenizers`"
    except (ImportError, ValueError, RuntimeError) as error:
        problem = str(error)
    if problem is None:
        return fast, reference
    if requested == "fastokens":
        raise SimtoolError(
            f"fastokens cannot serve {path}: {problem}.\nUnset {BACKEND_VARIABLE} or set it to tokenizers."
        )
    return reference, reference


def agree(backend: Backend, reference: Reference) -> bool:
    """Whether the ids of every tricky string are the same."""
    texts = [*TRICKY, *reference.added.values()]
    ids, offsets = backend.encode(texts)
    pairs = itertools.pairwise(offsets)
    return all(
        ids[start:stop].tolist() == reference.encode_one(text) for text, (start, stop) in zip(texts, pairs, strict=True)
    )


def use_one_thread() -> None:
    """Keep this process to one thread of tokenization: for pipelines that run a process on each core.

    Call it before the first text, since backends start their threads then. fastokens otherwise uses every
    core (1.85 of 2 busy). A variable that the user has set is left as it is.
    """
    os.environ.setdefault("FASTOKENS_BPE_THREADS", "1")  # RAYON_NUM_THREADS has no effect on it
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@lru_cache(maxsize=1)
def byte_of_letter() -> dict[str, int]:
    """GPT-2's alphabet: a printable byte is its own letter, the others follow from U+0100 on."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(0x100 + i): byte for i, byte in enumerate(rest)}


def _tricky() -> Iterator[str]:
    """Where implementations have differed: spaces, breaks, digits, contractions, marks, folds, planes."""
    yield from [
        "",
        " ",
        "  a",
        "a  ",
        " \n \n  b",
        "\r\n\r\n",
        "a\tb",
        "\u00a0a\u2003b\u0085c\u2028d",
        "\0a\x1c",
    ]
    yield from ["I'm you'LL he'S I'ſ we'reD", "1 12 123 1234 12345", "٣४²Ⅷ𝟘 1.5e-10", "a_b-c/d\\e", "x" * 300]
    yield from ["def f(x):\n        return x  # ok\n", "aB AbC ABCd", "Ünïcode e\u0301 \u0301x ﬁ ǅ ʰ İ K ß"]
    yield from [
        "中文あア한글",
        "👩‍👩‍👧 🇬🇧 👍🏽",
        "नमस्ते مرحبا שלום",
        "\u200d\ufeff\u180e\u200b",
        "\U000e0041\U0010ffff",
    ]
    yield from [
        "<|endoftext|>",
        "a<|endoftext|>b",
        "<s></s>",
        " " * 30 + "y",
        "\n" * 9,
        "=" * 80,
        "'" * 5,
        "\t\t x",
    ]


TRICKY = tuple(_tricky())
