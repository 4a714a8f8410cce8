"""Where an n-gram stands: excerpts of documents, of corpora whose text is at hand. Only a page that asks holds text."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from simtool.profiles.features import VIEWS, DocumentBatch, find_feature
from simtool.profiles.resolve import Options, first_texts
from simtool.tokens.tokenizer import Tokenizer

DOCUMENTS = 300  # of a corpus that are searched, its first
WIDTH = 200  # characters of an excerpt

Entries = Mapping[str, Iterable[int]]  # by feature: the columns whose n-grams are looked up
Excerpts = dict[str, dict[int, tuple[str, ...]]]  # by feature and column


def excerpts_of(name: str, entries: Entries, n: int, options: Options, tokenizer: Tokenizer) -> Excerpts | None:
    """For each n-gram, excerpts of the n documents that hold it most often; None where no text is at hand."""
    texts = first_texts(name, options, DOCUMENTS)
    if not texts:
        return None
    batches = [_single(text, tokenizer) for text in texts]
    return {feature: _excerpts(texts, batches, feature, columns, n, tokenizer) for feature, columns in entries.items()}


def _single(text: str, tokenizer: Tokenizer) -> DocumentBatch:
    return DocumentBatch([text], *tokenizer.encode([text]), np.zeros(1, np.int64))


def _excerpts(
    texts: Sequence[str],
    batches: Sequence[DocumentBatch],
    feature: str,
    columns: Iterable[int],
    n: int,
    tokenizer: Tokenizer,
) -> dict[int, tuple[str, ...]]:
    counted, view = find_feature(feature), VIEWS[find_feature(feature).view]
    buckets = [counted.buckets(*view.read(batch), tokenizer.vocabulary_size) for batch in batches]
    shown = {}
    for column in dict.fromkeys(columns):
        counts = np.array([np.count_nonzero(row == column) for row in buckets])
        most = np.argsort(-counts, kind="stable")[:n]
        firsts = {d: int(np.argmax(buckets[d] == column)) / len(buckets[d]) for d in most if counts[d]}
        shown[column] = tuple(excerpt(texts[d], share) for d, share in firsts.items())
    return shown


def excerpt(text: str, share: float) -> str:
    """WIDTH characters around a place that lies so far into a text, by symbols: symbols have about one length."""
    begin = max(min(int(share * len(text)) - WIDTH // 2, len(text) - WIDTH), 0)
    end = begin + WIDTH
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if end < len(text) else ''}"
