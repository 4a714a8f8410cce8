"""What does the similarity matrix look like under Pythia's, GPT-2's, Llama 2's and our own tokenizer?

The same documents are cut by each: those of the profiles that ship, drawn again from the text.
"""

from pathlib import Path
from typing import Any

import polars as pl

from analyses import Missing, shipped_profile
from simtool.profiles.count import Budget, count_corpus
from simtool.profiles.profile import Profile
from simtool.profiles.reference.build import CORPORA, SEED
from simtool.profiles.resolve import Options, local_text
from simtool.similarity.matrix import similarity_matrix
from simtool.tokens.files import find_tokenizer_file
from simtool.tokens.tokenizer import Tokenizer, load_tokenizer

TOKENIZERS = ("default", "pythia", "gpt2", "llama2")
METRICS = ("token", "js")
RESAMPLES = 100


def make(data: Path | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """One row per tokenizer, metric and cell."""
    if data is None:
        raise Missing("It needs the text of the corpora and the tokenizers: --data DIR or SIMTOOL_DATA.")
    absent = [name for name in TOKENIZERS if find_tokenizer_file(name, data) is None]
    absent += [name for name in CORPORA if local_text(name, Options(data=data)) is None]
    if absent:
        raise Missing(f"It needs {', '.join(absent)}, which the data folder lacks.")
    parts, sizes = [], {}
    for name in TOKENIZERS:
        tokenizer = load_tokenizer(name, data)
        profiles = {corpus: _count(corpus, tokenizer, data) for corpus in CORPORA}
        sizes[name] = {corpus: profile.size for corpus, profile in profiles.items()}
        for metric in METRICS:
            matrix = similarity_matrix(profiles, metric=metric, feature="token", resamples=RESAMPLES)
            parts.append(matrix.to_polars().with_columns(tokenizer=pl.lit(name)))
    columns = ["tokenizer", "metric", "row", "column", "value", "low", "high", "at_ceiling", "tokens"]
    return pl.concat(parts).select(columns), {
        "sizes": sizes,
        "fingerprints": {name: load_tokenizer(name, data).fingerprint for name in TOKENIZERS},
        "resamples": RESAMPLES,
        "feature": "token",
    }


def _count(corpus: str, tokenizer: Tokenizer, data: Path) -> Profile:
    """The documents of the profile that ships, under any tokenizer."""
    text = local_text(corpus, Options(data=data))
    assert text is not None
    n_documents = shipped_profile(corpus, "default", ()).size["documents"]
    return count_corpus(text, tokenizer, ("token",), Budget(documents=n_documents, seed=SEED, exact=True), data=data)
