"""The one seam where a tokenizer's backend is chosen: whatever encodes gives the ids of the tokenizer's own library.

Text is data: a special token's string in a document, such as "<|endoftext|>", is encoded like any other text
and never becomes the special id, so an end of text is always a document's end. No special tokens are added.
"""

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from simtool.errors import SimtoolError, unknown

BACKENDS = ("fastokens", "tokenizers")  # of a tokenizer.json
BACKEND_VARIABLE = "SIMTOOL_TOKENIZER_BACKEND"


class Backend(Protocol):
    name: str

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """ids uint32 (n_tokens,) and offsets int64 (n_documents + 1,)."""
        ...


class Reader(Protocol):
    """From ids back to text.

    special   {token: id}: those that no text becomes, but for a chat template's markup
    """

    @property
    def special(self) -> Mapping[str, int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...

    def piece(self, token: int) -> str | None:
        """The text of one token, bytes that are none as "\\xe2"; None where there is no such token."""
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
        added = self.model.get_added_tokens_decoder()
        self.added = {number: token.content for number, token in added.items()}
        self.special = {token.content: number for number, token in added.items() if token.special}
        self.byte_level = "ByteLevel" in repr(self.model.decoder)

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        encoded = self.model.encode_batch_fast(texts, add_special_tokens=False)
        lengths = np.fromiter((len(encoding) for encoding in encoded), np.int64, len(encoded))
        offsets = np.concatenate([np.zeros(1, np.int64), lengths.cumsum()])
        ids = np.fromiter((i for encoding in encoded for i in encoding.ids), np.uint32, offsets[-1])
        return ids, offsets

    def encode_one(self, text: str, special: bool = False) -> list[int]:
        """The ids of a text; `special`: where it has a special token's string, it is that token."""
        self.model.encode_special_tokens = not special
        try:
            return self.model.encode(text, add_special_tokens=False).ids
        finally:
            self.model.encode_special_tokens = True

    def decode(self, ids: Sequence[int]) -> str:
        return self.model.decode(ids, skip_special_tokens=False)

    def piece(self, token: int) -> str | None:
        if token in self.added:
            return self.added[token]
        piece = self.model.id_to_token(token)
        return None if piece is None else readable(self.bytes_of(piece))

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


class SentencePiece:
    """`sentencepiece`, on a .model file."""

    name = "sentencepiece"

    def __init__(self, model: bytes):
        from sentencepiece import SentencePieceProcessor

        self.model = SentencePieceProcessor(model_proto=model)
        numbers = filter(self.model.is_control, range(self.model.get_piece_size()))
        self.special = {self.model.id_to_piece(number): number for number in numbers}

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        return joined(self.model.encode([*map(_checked, texts)], out_type=int, num_threads=n_threads()))

    def decode(self, ids: Sequence[int]) -> str:
        """Special tokens are spelled out, and a space in front of the text is lost, as `sentencepiece` does."""
        groups = itertools.groupby(ids, self.model.is_control)
        return "".join(
            "".join(map(self.model.id_to_piece, group)) if is_special else self.model.decode(list(group))
            for is_special, group in groups
        )

    def piece(self, token: int) -> str | None:
        if not 0 <= token < self.model.get_piece_size():
            return None
        piece = self.model.id_to_piece(token)
        return readable(bytes([int(piece[3:5], 16)])) if self.model.is_byte(token) else piece.replace("▁", " ")


class Tiktoken:
    """`tiktoken`, on the ranks of a .tiktoken file.

    ranks     {bytes: id}
    special   {token: id}
    """

    name = "tiktoken"

    def __init__(self, pattern: str, ranks: Mapping[bytes, int], special: Mapping[str, int]):
        from tiktoken import Encoding

        self.special = dict(special)
        self.model = Encoding("simtool", pat_str=pattern, mergeable_ranks=dict(ranks), special_tokens=dict(special))

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        return joined(self.model.encode_ordinary_batch([*map(_checked, texts)], num_threads=n_threads()))

    def decode(self, ids: Sequence[int]) -> str:
        return self.model.decode(ids)

    def piece(self, token: int) -> str | None:
        try:
            return readable(self.model.decode_single_token_bytes(token))
        except KeyError:
            return None


def joined(lists: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """The ids of all texts in one array, and where each text's begin."""
    offsets = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    return np.fromiter(itertools.chain.from_iterable(lists), np.uint32, offsets[-1]), offsets


def readable(piece: bytes) -> str:
    return piece.decode("utf-8", "backslashreplace")


def _checked(text: str) -> str:
    """A text; these libraries would take bytes, and mend half a surrogate pair in ways of their own."""
    if not isinstance(text, str):
        raise TypeError(f"a text must be a string, not {type(text).__name__}")
    text.encode()
    return text


def choose_backend(definition: str, path: Path) -> tuple[Backend, Reference]:
    """fastokens where it reads the tokenizer and agrees with `tokenizers` on `TRICKY`, else `tokenizers`.

    SIMTOOL_TOKENIZER_BACKEND names one instead. fastokens is checked even then: ids are never wrong.
    """
    requested = os.environ.get(BACKEND_VARIABLE, "")
    if requested not in ("", *BACKENDS):
        raise unknown(f"backend in {BACKEND_VARIABLE}", requested, BACKENDS)
    try:
        reference = Reference(definition)
    except BaseException as error:  # all that `tokenizers` raises, and a panic of it, which is no Exception
        if not (isinstance(error, Exception) or type(error).__name__ == "PanicException"):
            raise
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


def n_threads() -> int:
    """Of tokenization in this process."""
    return 1 if os.environ.get("TOKENIZERS_PARALLELISM") == "false" else os.cpu_count() or 1


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
