"""The mixed text itself: a seeded, shuffled sample in which each corpus has its share of the tokens.

Of a corpus on this machine the documents with the smallest seeded hash of their text are taken, wherever they stand;
of the hub the first of the stream. The same seed gives the same documents in the same order.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simtool.corpora.corpus import Corpus, Document, document_hash
from simtool.corpora.hub import Hub, Hubs
from simtool.corpora.reading import Reading
from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.profiles.resolve import Options, find_text_or_hub
from simtool.tokens.tokenizer import Tokenizer, load_tokenizer


@dataclass(frozen=True)
class Sample:
    """Documents in the order in which they are trained on, each with its corpus.

    n_tokens   int64 (n_documents,)
    passes     by corpus: how often its text was gone through; 1 where no document comes twice
    """

    documents: list[Document]
    corpora: list[str]
    n_tokens: np.ndarray
    passes: Mapping[str, float]

    @property
    def shares(self) -> dict[str, float]:
        """The share of the tokens that each corpus has."""
        totals = dict.fromkeys(self.passes, 0)
        for corpus, n in zip(self.corpora, self.n_tokens.tolist(), strict=True):
            totals[corpus] += n
        return {corpus: n / int(self.n_tokens.sum()) for corpus, n in totals.items()}

    @property
    def has_prompts(self) -> bool:
        return any(not segment.counted for document in self.documents for segment in document.segments)

    def rows(self) -> Iterator[dict[str, Any]]:
        """text and corpus; messages, too, where any document has a prompt (null in those that have none)."""
        chats = self.has_prompts
        for document, corpus in zip(self.documents, self.corpora, strict=True):
            row: dict[str, Any] = {"text": document.text, "corpus": corpus}
            yield {**row, "messages": messages_of(document)} if chats else row


def messages_of(document: Document) -> list[dict[str, str]] | None:
    """The turns of a chat or pair, reasoning within the assistant's; None of plain text."""
    turns: list[dict[str, str]] = []
    between = ""  # a line break between turns, or the tags around reasoning
    for role, text, _ in document.segments:
        speaker = "assistant" if role == "reasoning" else role
        if role == "text":
            return None
        if role == "template":
            between = text
            continue
        if turns and turns[-1]["role"] == speaker:
            turns[-1]["content"] += between + text
        else:
            turns.append({"role": speaker, "content": (between if between.strip() else "") + text})
        between = ""
    if turns and between.strip():
        turns[-1]["content"] += between
    return turns or None


def draw_sample(mixture: Mixture, tokens: int, seed: int, options: Options, max_epochs: float) -> Sample:
    """So many tokens of a mixture, each share as near as whole documents allow.

    Raises
    ------
    SimtoolError
        Where a corpus would have to be repeated more often than `max_epochs`.
    """
    tokenizer = load_tokenizer(options.tokenizer, options.data)
    documents: list[Document] = []
    corpora: list[str] = []
    sizes: list[int] = []
    passes = {}
    for name, share in mixture.weights.items():
        corpus = find_text_or_hub(name, options)
        taken, passes[name] = _take(corpus, name, share * tokens, seed, tokenizer, options.skip_bad, max_epochs)
        documents += [document for document, _ in taken]
        sizes += [size for _, size in taken]
        corpora += [name] * len(taken)
    order = np.random.default_rng(seed).permutation(len(documents)).tolist()
    n_tokens = np.array(sizes, np.int64)[order]
    return Sample([documents[i] for i in order], [corpora[i] for i in order], n_tokens, passes)


Sized = list[tuple[Document, int]]  # documents, each with its tokens


def _take(
    corpus: Corpus, name: str, needed: float, seed: int, tokenizer: Tokenizer, skip_bad: bool, max_epochs: float
) -> tuple[Sized, float]:
    """Documents that come to so many tokens, and how many passes over the corpus they are."""
    batches = corpus.batches(reading=Reading(skip_bad))
    is_stream = isinstance(corpus.source, Hub | Hubs)
    pool = _first(batches, needed, tokenizer) if is_stream else _smallest(batches, needed, seed, tokenizer)
    total = sum(size for _, size in pool)
    if not total:
        raise SimtoolError(f"{name} is empty: {corpus.describe()} holds no text.")
    check_passes(name, total, needed, max_epochs)
    whole, rest = divmod(needed, total)
    part = pool[: _nearest([size for _, size in pool], rest)]
    if not whole and not part:
        part = pool[:1]  # a share of less than half a document is still in it
    return pool * int(whole) + part, max(1.0, needed / total)


def check_passes(name: str, available: float, needed: float, max_epochs: float) -> None:
    """SimtoolError where a corpus of so many tokens would have to be repeated too often."""
    if needed > available * max_epochs:
        raise SimtoolError(
            f"{name} holds {available:,.0f} tokens, and {needed:,.0f} of it are needed:"
            f" {needed / available:.1f} passes, above --max-epochs {max_epochs:g}.\n"
            "Ask for fewer --tokens, or allow more passes."
        )


def _nearest(sizes: list[int], tokens: float) -> int:
    """How many of the first documents come nearest to so many tokens."""
    return int(np.argmin(np.abs(np.cumsum([0, *sizes]) - tokens)))


def _with_sizes(documents: list[Document], tokenizer: Tokenizer) -> Sized:
    sizes = np.diff(tokenizer.encode([document.text for document in documents])[1])
    return list(zip(documents, sizes.tolist(), strict=True))


def _first(batches: Iterator[list[Document]], needed: float, tokenizer: Tokenizer) -> Sized:
    pool: Sized = []
    total = 0
    for documents in batches:
        pool += (sized := _with_sizes(documents, tokenizer))
        total += sum(size for _, size in sized)
        if total >= needed:
            break
    return pool


def _smallest(batches: Iterator[list[Document]], needed: float, seed: int, tokenizer: Tokenizer) -> Sized:
    """The documents with the smallest seeded hash that come to so many tokens, or all of them; in that order.

    Only those that may still be among them are kept and tokenized.
    """
    pool: list[tuple[int, Document, int]] = []
    last = float("inf")
    for documents in batches:
        keys = [document_hash(document.text.encode("utf-8", "replace"), seed) for document in documents]
        near = [i for i, key in enumerate(keys) if key < last]
        sized = _with_sizes([documents[i] for i in near], tokenizer) if near else []
        pool += [(keys[i], document, size) for i, (document, size) in zip(near, sized, strict=True)]
        pool.sort(key=lambda entry: entry[0])
        enough = int(np.searchsorted(np.cumsum([size for *_, size in pool]), needed)) + 1
        if enough < len(pool):
            pool = pool[:enough]
            last = pool[-1][0]
    return [(document, size) for _, document, size in pool]
