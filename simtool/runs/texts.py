"""From names of corpora to their token stores: on disk already, or tokenized now."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from simtool.errors import SimtoolError
from simtool.tokens.store import SHARES, Overlap, TokenStore, find_store, overlap, text_identity, tokenize_corpus
from simtool.tokens.tokenizer import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from simtool.corpora.corpus import Corpus
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
    from simtool.mixture import parse_mixture
    from simtool.profiles.resolve import find_text_or_hub

    tokenizer = load_tokenizer(options.tokenizer, options.data)
    if shares is None:
        shares = SHARES if options.split == "train" else {options.split: 1.0}
    stores = {}
    for name in dict.fromkeys(corpus for text in names for corpus in parse_mixture(text).weights):
        corpus = find_text_or_hub(name, options)
        options.report(f"Tokenizing {name}: {corpus.describe()}")
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
    """A split of each corpus. With options, what is not tokenized is, if its text is at hand.

    The text at hand decides: a store of another text under the same name is not used.
    """
    return {name: _store_for(name, split, root, tokenizer, options) for name in dict.fromkeys(names)}


def _store_for(name: str, split: str, root: Path, tokenizer: Tokenizer, options: "Options | None") -> TokenStore:
    from simtool.profiles.resolve import local_text

    corpus = local_text(name, options) if options else None
    if corpus is None or options is None:
        return find_store(root, name, split, tokenizer)
    text = text_identity(corpus)
    try:
        return find_store(root, name, split, tokenizer, text)
    except SimtoolError:
        tokenize([name], root, options)
        return find_store(root, name, split, tokenizer, text)


def file_content(corpus: "Corpus | None") -> str | None:
    """A hash of the files that a corpus is read from, wherever they lie; None where it is not read from files."""
    content = getattr(corpus.source, "content", None) if corpus else None
    return content() if content else None
