"""Corpora as token ids on disk, without PyTorch: `simtool.tokenize(["c4", "gsm8k"])`."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs

from simtool.profiles.resolve import Options
from simtool.runs import texts
from simtool.tokens.store import TokenStore


def tokenize(
    corpora: Sequence[str],
    stores: Path | None = None,
    shares: Mapping[str, float] | None = None,
    tokens: int | None = None,
    options: Options | None = None,
) -> dict[str, dict[str, TokenStore]]:
    """Turn corpora into token ids on disk, divided into splits by the content of each document.

    Parameters
    ----------
    stores
        Folder of tokenized corpora; in the cache by default.
    shares
        {split: share of the documents}; 0.9 train, 0.05 validation and 0.05 test by default.
    tokens
        Of each corpus at most; None: all, and 10 million of text that is made here.

    Returns
    -------
    {corpus: {split: store}}
    """
    return texts.tokenize(corpora, stores_folder(stores), options or Options(), shares, tokens)


def stores_folder(folder: Path | None = None) -> Path:
    """Where tokenized corpora are: the folder named, or the cache's."""
    cache = os.environ.get("SIMTOOL_CACHE")
    return folder or (Path(cache).expanduser() if cache else platformdirs.user_cache_path("simtool")) / "tokens"
