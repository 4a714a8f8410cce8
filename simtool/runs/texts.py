"""From names of corpora to their token stores: on disk already, or tokenized now."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from simtool.errors import SimtoolError
from simtool.tokens.overlap import Overlap, overlap
from simtool.tokens.store import TokenStore, find_store, text_identity
from simtool.tokens.tokenize import SHARES, tokenize_corpus
from simtool.tokens.tokenizer import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from simtool.corpora.corpus import Corpus
    from simtool.profiles.resolve import Options

GENERATED_TOKENS = 10_000_000  # of text that is made here, where nothing says how many are needed
SAMPLE_DOCUMENTS = 500  # whose length says how many documents hold so many tokens


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
        Of a corpus at most; None: all, but of text that is made here as much as `enough_of`.

    Raises
    ------
    SimtoolError
        When the shares are of other splits, leave out the training text, or are not above 0 and 1 together.
    """
    from simtool.mixture import parse_mixture
    from simtool.profiles.resolve import find_text_or_hub

    if shares is not None:
        _check_shares(shares)
    tokenizer = load_tokenizer(options.tokenizer, options.data)
    stores = {}
    for name in dict.fromkeys(corpus for text in names for corpus in parse_mixture(text).weights):
        corpus = find_text_or_hub(name, options)
        if tokens is None:
            corpus = enough_of(corpus, tokenizer, GENERATED_TOKENS)
        stores[name] = _tokenize(corpus, tokenizer, root, shares, tokens, options)
    return stores


def _check_shares(shares: Mapping[str, float]) -> None:
    of_one = min(shares.values(), default=0) > 0 and math.isclose(sum(shares.values()), 1, abs_tol=1e-6)
    if not (of_one and "train" in shares and set(shares) <= set(SHARES)):
        text, example = ("+".join(f"{name}:{share:g}" for name, share in some.items()) for some in (shares, SHARES))
        raise SimtoolError(
            f"--shares {text} does not divide a text. Give {', '.join(SHARES)} (train is needed) shares above 0 that"
            f" sum to 1, such as {example}."
        )


def _tokenize(
    corpus: "Corpus",
    tokenizer: Tokenizer,
    root: Path,
    shares: Mapping[str, float] | None,
    tokens: int | None,
    options: "Options",
) -> dict[str, TokenStore]:
    if shares is None:
        shares = SHARES if options.split == "train" else {options.split: 1.0}
    options.report(f"Tokenizing {corpus.name}: {corpus.describe()}")
    return tokenize_corpus(corpus, tokenizer, root, shares, tokens, options.skip_bad)


def overlaps(splits: Mapping[str, TokenStore]) -> dict[str, Overlap]:
    """How much of each other split of a corpus also stands in its training split."""
    if "train" not in splits:
        return {}
    return {name: overlap(store, splits["train"]) for name, store in splits.items() if name != "train"}


def enough_of(corpus: "Corpus", tokenizer: Tokenizer, tokens: int) -> "Corpus":
    """Text that is made here goes on without an end, and all of it would fill gigabytes: so many documents as hold
    these tokens, a power of two, so that runs of like length share a store. Any other corpus as it is.
    """
    from simtool.corpora.generators import Generated

    source = corpus.source
    if not isinstance(source, Generated):
        return corpus
    texts = [document.text for document in corpus.documents(SAMPLE_DOCUMENTS)]
    _, offsets = tokenizer.encode(texts)
    n_documents = 2 ** math.ceil(math.log2(tokens * len(texts) / int(offsets[-1])))
    return replace(corpus, source=replace(source, n_documents=min(n_documents, source.n_documents)))


def stores_for(
    names: Iterable[str],
    split: str,
    root: Path,
    tokenizer: Tokenizer,
    options: "Options | None" = None,
    needed: Mapping[str, int] | None = None,
) -> dict[str, TokenStore]:
    """A split of each corpus. With options, what is not tokenized is, if its text is at hand.

    The text at hand decides: a store of another text under the same name is not used.

    Parameters
    ----------
    needed
        {corpus: tokens} that a run reads of text that is made here; where it is less, GENERATED_TOKENS.
    """
    needed = needed or {}
    return {
        name: _store_for(name, split, root, tokenizer, options, needed.get(name, 0)) for name in dict.fromkeys(names)
    }


def _store_for(
    name: str, split: str, root: Path, tokenizer: Tokenizer, options: "Options | None", needed: int
) -> TokenStore:
    from simtool.profiles.resolve import local_text

    corpus = local_text(name, options) if options else None
    if corpus is None or options is None:
        return find_store(root, name, split, tokenizer)
    enough = enough_of(corpus, tokenizer, max(GENERATED_TOKENS, math.ceil(needed / SHARES["train"])))
    for text in dict.fromkeys(map(text_identity, (corpus, enough))):  # all of it, where it was tokenized before
        try:
            return find_store(root, name, split, tokenizer, text)
        except SimtoolError:
            continue
    splits = _tokenize(enough, tokenizer, root, None, None, options)
    return splits[split] if split in splits else find_store(root, name, split, tokenizer, text_identity(enough))


def file_content(corpus: "Corpus | None") -> str | None:
    """A hash of the files that a corpus is read from, wherever they lie; None where it is not read from files."""
    return corpus.source.content() if corpus and corpus.source else None
