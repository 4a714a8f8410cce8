"""Near-duplicates are counted."""

import numpy as np
import pytest

from simtool.tokens.overlap import Overlap, overlap
from simtool.tokens.tokenize import tokenize_corpus
from tests.tokens.toys import corpus_of


def test_overlap_counts_shared_13_grams(tokenizer, tmp_path):
    words = [f"word{i} " for i in range(300)]
    train = "".join(words[:200])
    half, none, short = "".join(words[150:250]), "".join(words[200:300]), "A short one."
    kept = {
        name: tokenize_corpus(corpus_of(*[("", text) for text in texts], name=name), tokenizer, tmp_path, {"all": 1.0})
        for name, texts in (("train", [train, short]), ("validation", [train + "more", half, none, short, "Another."]))
    }
    found = overlap(kept["validation"]["all"], kept["train"]["all"])
    assert found.shares[0] > 0.9
    assert 0.35 < found.shares[1] < 0.55
    assert found.shares[2:].tolist() == [0, 1, 0]
    naive = {
        tuple(doc[i : i + 13]) for doc in [kept["train"]["all"].document(0).tolist()] for i in range(len(doc) - 12)
    }
    halved = kept["validation"]["all"].document(1).tolist()
    grams = [tuple(halved[i : i + 13]) in naive for i in range(len(halved) - 12)]
    assert found.shares[1] == pytest.approx(sum(grams) / len(grams))


def test_half_of_a_document_is_enough_for_a_near_duplicate():
    found = Overlap(4, np.array([0.5, 0.49, 1.0, 0.0]))
    assert found.n_near_duplicates == 2 and str(found) == "2 of 4 documents (50.0%) are at least half there"
