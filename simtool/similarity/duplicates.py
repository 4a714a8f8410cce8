"""Near-duplicates between corpora: what lets two corpora score above the noise ceiling.

Two samples of one text share no document, so no pair can be expected to be more alike than they are; a pair that is
holds the same documents. They are found by MinHash (Broder, 1997) over runs of words.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import regex

from simtool.profiles.resolve import Options, first_texts

if TYPE_CHECKING:
    from simtool.similarity.matrix import SimilarityMatrix

WORDS = 5  # of a run
PERMUTATIONS = 128  # the standard error of a Jaccard similarity of 0.8 is 0.035
ALIKE = 0.8  # Jaccard similarity from which on two documents are near-duplicates; Lee et al. (arXiv:2107.06499)
BANDS = 16
UNICODE_WORDS = regex.compile(r"[\p{L}&&\p{Word_Break=Other}]|\w+", regex.VERSION1)
DOCUMENTS = 5_000  # of each corpus are compared


def pairs_above_ceiling(result: "SimilarityMatrix", options: Options) -> list[dict[str, Any]]:
    """The pairs that are more alike than two samples of one text, with how many documents they share nearly whole
    (None where a text is not at hand)."""
    pairs = []
    for i, j in result.above_ceiling():
        names = result.corpora[i], result.corpora[j]
        texts = [first_texts(name, options, DOCUMENTS) for name in names]
        shared = n_near_duplicates(*texts) if all(texts) else None
        pairs.append({"corpora": list(names), "documents": len(texts[0]), "near_duplicates": shared})
    return pairs


def n_near_duplicates(texts: Iterable[str], others: Iterable[str]) -> int:
    """How many of the texts have a near-duplicate among the others."""
    from rensa import RMinHash, RMinHashLSH

    def sketch(text: str) -> RMinHash:
        minhash = RMinHash(num_perm=PERMUTATIONS, seed=0)
        minhash.update(sorted(runs_of_words(text)))
        return minhash

    index = RMinHashLSH(threshold=ALIKE, num_perm=PERMUTATIONS, num_bands=BANDS)
    sketches = [sketch(text) for text in others]
    for n, minhash in enumerate(sketches):
        index.insert(n, minhash)
    alike = 0
    for minhash in map(sketch, texts):
        alike += any(minhash.jaccard(sketches[n]) >= ALIKE for n in index.query(minhash))
    return alike


def runs_of_words(text: str) -> set[str]:
    """All runs of WORDS words (letters of scripts without spaces are words); a shorter text is one run."""
    words = UNICODE_WORDS.findall(text.lower())
    return {" ".join(words[n : n + WORDS]) for n in range(max(len(words) - WORDS + 1, 1))}
