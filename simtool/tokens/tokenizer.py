"""Text to token ids: a tokenizer, by whatever name it goes, and the ids that every text gets from it.

Which are known by name: `catalogue`; where files lie: `files`; what they hold: `definitions`; what encodes: `backends`.
Half a surrogate pair, which JSON can hold and UTF-8 cannot, is read as U+FFFD.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from simtool.corpora.corpus import MarkedText
from simtool.errors import SimtoolError
from simtool.tokens.backends import BACKEND_VARIABLE, Backend, Reader, Reference, joined
from simtool.tokens.catalogue import ALIASES, EMBEDDED_FILES, TOKENIZERS, embedded_identity
from simtool.tokens.definitions import Definition, read_definition
from simtool.tokens.files import fetch_tokenizer_file, find_tokenizer_file

SURROGATE = re.compile("[\ud800-\udfff]")


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
        is_marked = any(isinstance(text, MarkedText) for text in texts)
        ids, offsets = joined([*map(self._marked_ids, texts)]) if is_marked else self._encode_plain(texts)
        ids = ids.astype(self.dtype, copy=False)
        ids.flags.writeable = offsets.flags.writeable = False
        return ids, offsets

    def _encode_plain(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        backend = self._backends[0]
        try:
            return backend.encode(texts)
        except (UnicodeEncodeError, TypeError):
            if not any(map(SURROGATE.search, texts)):
                raise
            return backend.encode([SURROGATE.sub("\ufffd", text) for text in texts])

    def _marked_ids(self, text: str) -> Sequence[int]:
        """The ids of a text in whose markup special tokens are read, while those in what is said stay text."""
        reader = self._backends[1]
        spans = text.spans if isinstance(text, MarkedText) else ()
        text = SURROGATE.sub("\ufffd", text)
        if isinstance(reader, Reference) and not self._is_special_outside(text, spans):
            return reader.encode_one(text, special=True)
        ids: list[int] = []
        at = 0
        for start, stop in spans if reader.special else ():
            for match in self._special_tokens.finditer(text, start, stop):
                ids += [*self._encode_plain([text[at : match.start()]])[0], reader.special[match[0]]]
                at = match.end()
        return [*ids, *self._encode_plain([text[at:]])[0]]

    def _is_special_outside(self, text: str, spans: Sequence[tuple[int, int]]) -> bool:
        matches = (match.span() for match in self._special_tokens.finditer(text))
        return any(not any(a <= start and stop <= b for a, b in spans) for start, stop in matches)

    @cached_property
    def _special_tokens(self) -> re.Pattern[str]:
        """Finds a special token; of two that begin alike, the longer."""
        tokens = sorted(self._backends[1].special, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, tokens)) or "(?!)")

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of these ids; special tokens are shown as they are spelled."""
        return self._backends[1].decode(list(map(int, ids)))

    def token_text(self, token: int) -> str:
        """One token for people to read: " the" is `␣the`, a line break `\\n`, a lone byte `\\xe2`."""
        piece = self._backends[1].piece(int(token))
        if piece is None:
            raise IndexError(f"No token {token} in {self.name}: it has {self.vocabulary_size:,}.")
        shown = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in piece)
        return "".join(shown).replace(" ", "␣")

    @property
    def dtype(self) -> type[np.unsignedinteger]:
        return np.uint16 if self.vocabulary_size <= 1 << 16 else np.uint32

    @property
    def backend(self) -> str:
        """What encodes here: "fastokens" or "tokenizers", which give the same ids; "sentencepiece"; "tiktoken"."""
        return self._backends[0].name

    @cached_property
    def _backends(self) -> tuple[Backend, Reader]:
        path, definition = _definition(self.name, self.data_dir)
        identity = definition.identity
        if identity.fingerprint != self.fingerprint:
            raise SimtoolError(
                f"{path} is not the tokenizer {self.name!r}: its fingerprint is {identity.fingerprint},"
                f" not {self.fingerprint}.\nName the file itself to use it: --tokenizer {path}"
            )
        return _backends_of(definition, os.environ.get(BACKEND_VARIABLE, ""))

    def __reduce__(self) -> tuple[Any, ...]:
        # Backends hold native memory and threads: the other process makes its own.
        identity = (self.fingerprint, self.vocabulary_size, self.end_of_text)
        return Tokenizer, (self.name, *identity, self.data_dir)


def load_tokenizer(name_or_path: str | Path, data_dir: Path | None = None) -> Tokenizer:
    """The tokenizer of a name in `TOKENIZERS`, a file (tokenizer.json, SentencePiece .model, .tiktoken), a folder with
    one, or a hub id.

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
        identity = _definition(name, data_dir)[1].identity
    return Tokenizer(name, *identity, data_dir)


def _definition(name: str, data_dir: Path | None) -> tuple[Path, Definition]:
    """What the file of a tokenizer holds, fetched if need be, and where it lies."""
    path = find_tokenizer_file(name, data_dir) or fetch_tokenizer_file(name, data_dir)
    entry = TOKENIZERS.get(name)
    return path, read_definition(path, entry.end_of_text or None if entry else None)


@lru_cache(maxsize=4)
def _backends_of(definition: Definition, requested: str) -> tuple[Backend, Reader]:
    """Made once in a process (0.25 s), for all corpora that it counts; `requested` is what the environment says."""
    return definition.backends()


def readable_tokens(tokenizer: Tokenizer) -> tuple[Callable[[int], str] | None, str | None]:
    """A token's readable form; or None and the reason, where a profile is at hand but its tokenizer's file is not."""
    try:
        tokenizer.token_text(0)
    except SimtoolError as error:
        return None, str(error)
    except IndexError:  # a vocabulary without it: its file is at hand
        pass
    return tokenizer.token_text, None
