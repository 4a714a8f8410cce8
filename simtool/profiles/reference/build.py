"""Makes the profiles that ship with the package: python -m simtool.profiles.reference.build --data DIR

They hold counts only. A corpus is a random sample of documents (by a seeded hash of their text), the same
documents under every tokenizer; what does not depend on the tokenizer (characters, skeletons) is kept once,
in NAME.text.parquet. Hashed features are kept in fewer buckets than a count of one's own has.
"""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.corpus import Corpus
from simtool.corpora.sources import Files
from simtool.errors import SimtoolError
from simtool.profiles.count import Budget, count_corpus
from simtool.profiles.features import FEATURES, coarsen, split_by_tokenizer
from simtool.profiles.profile import Profile, save_profile
from simtool.profiles.resolve import REFERENCE, Options, local_text
from simtool.tokens.tokenizer import Tokenizer, load_tokenizer

CORPORA = tuple(name for name, entry in CATALOGUE.items() if entry.has_reference)
TEXT_FEATURES, TOKEN_FEATURES = split_by_tokenizer(FEATURES)
TOKENIZERS = ("default", "pythia")
SCRIPT_VERSION = 1
SEED = 0
TOKENS = 420_000  # a corpus, under the default tokenizer: with BUCKETS, what keeps all of them under 12 MB
BUCKETS = 1 << 13
N_LABELS = 100  # named n-grams a feature
FEWEST_LABEL = 5  # an n-gram is named only if it occurs in so many: what ships is counts, not text


def main(data: Annotated[Path, typer.Option(help="Folder with the corpora.")], tokens: int = TOKENS) -> None:
    """Count every reference corpus anew."""
    total = 0
    for name in CORPORA:
        corpus = local_text(name, Options(data=data))
        assert corpus is not None, f"{name} is not in {data}"
        source = source_of(corpus)
        # the first tokenizer decides which documents; the others count the same ones
        budget = Budget(tokens=tokens, seed=SEED, exact=True)
        for tokenizer in TOKENIZERS:
            features = list(FEATURES) if tokenizer == "default" else TOKEN_FEATURES
            loaded = load_tokenizer(tokenizer, data)
            profile = _count(corpus, loaded, features, budget)
            budget = Budget(documents=profile.size["documents"], seed=SEED, exact=True)
            total += _save(profile, TOKEN_FEATURES, source, REFERENCE / f"{name}.{tokenizer}.parquet")
            if tokenizer == "default":
                total += _save(profile, TEXT_FEATURES, source, REFERENCE / f"{name}.text.parquet")
            print(f"{name:12} {tokenizer:8} {profile.size}  total {total / 1e6:.2f} MB", flush=True)


def source_of(corpus: Corpus) -> str:
    """The file that a corpus is read from, by name and content, wherever it lies."""
    assert isinstance(corpus.source, Files)
    (file,) = corpus.source.files
    digest = hashlib.sha256(Path(file.location).read_bytes()).hexdigest()
    return f"{Path(file.location).name} (sha256 {digest[:16]})"


def _count(corpus: Corpus, tokenizer: Tokenizer, features: list[str], budget: Budget) -> Profile:
    try:
        return count_corpus(corpus, tokenizer, features, budget)
    except SimtoolError:  # smaller than the budget: all of it
        return count_corpus(corpus, tokenizer, features)


def _save(profile: Profile, features: list[str], source: str, path: Path) -> int:
    """Save some features of a profile, coarsened; how many bytes the file has."""
    counts, labels = {}, {}
    for name in features:
        fine = profile.features[name]
        hashed = FEATURES[name].n_buckets is not None
        n_buckets = min(BUCKETS, fine.shape[1])
        counts[name] = coarsen(fine, n_buckets) if hashed else fine
        if hashed or FEATURES[name].order > 1:
            labels[name] = {}
            for bucket, ngram in profile.labels.get(name, {}).items():  # most frequent first
                if fine[:, bucket].sum() >= FEWEST_LABEL and len(labels[name]) < N_LABELS:
                    labels[name].setdefault(bucket * counts[name].shape[1] // fine.shape[1], ngram)
    facts = {
        **profile.facts,
        "source": source,
        "script": f"simtool.profiles.reference.build {SCRIPT_VERSION}",
    }
    save_profile(replace(profile, features=counts, labels=labels, facts=facts), path, compression_level=19)
    return path.stat().st_size


if __name__ == "__main__":
    typer.run(main)
