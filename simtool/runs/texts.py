"""From names of corpora to their token stores: on disk already, or tokenized now."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from simtool.errors import SimtoolError
from simtool.tokens.store import SHARES, Overlap, TokenStore, find_store, overlap, tokenize_corpus
from simtool.tokens.tokenizer import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from simtool.profiles.resolve import Options


def tokenize(
    names: Iterable[str],
    root: Path,
    options: "Options",
    shares: Mapping[str, float] | None = None,
    tokens: int | None = None,
) -> dict[str, dict[str, TokenStore]]:
    """The stores of these corpora, {corpus: {split: store}}; written where they do not exist yet.

    The training text is divided into train, validation and test; any other split that options name stays whole.

    Parameters
    ----------
    shares
        {split: share of the documents}; by default those of `SHARES`.
    tokens
        Of a corpus at most; None: all.
    """
    from simtool.profiles.resolve import find_text_or_hub

    tokenizer = load_tokenizer(options.tokenizer, options.data)
    if shares is None:
        shares = SHARES if options.split == "train" else {options.split: 1.0}
    stores = {}
    for name in names:
        corpus = find_text_or_hub(name, options)
        options.report(f"Tokenizing {name}: {corpus.source.describe() if corpus.source else ''}")
        stores[name] = tokenize_corpus(corpus, tokenizer, root, shares, tokens, options.skip_bad)
    return stores


def overlaps(splits: Mapping[str, TokenStore]) -> dict[str, Overlap]:
    """How much of each other split of a corpus also stands in its training split."""
    if "train" not in splits:
        return {}
    return {name: overlap(store, splits["train"]) for name, store in splits.items() if name != "train"}


def stores_for(
    names: Iterable[str], split: str, root: Path, tokenizer: Tokenizer, options: "Options | None" = None
) -> dict[str, TokenStore]:
    """A split of each corpus. With options, what is not tokenized is, if its text is at hand."""
    stores = {}
    for name in dict.fromkeys(names):
        try:
            stores[name] = find_store(root, name, split, tokenizer)
        except SimtoolError:
            if options is None or not _has_text(name, options):
                raise
            tokenize([name], root, options)
            stores[name] = find_store(root, name, split, tokenizer)
    return stores


def _has_text(name: str, options: "Options") -> bool:
    from simtool.profiles.resolve import local_text

    return local_text(name, options) is not None
