import numpy as np
import pytest

from simtool.errors import SimtoolError
from simtool.prediction.spans import WEIGHT_FLOOR, span_nats, span_starts, span_table
from simtool.tokens.tokenizer import load_tokenizer


def test_no_span_crosses_documents():
    # documents of 4, 0 and 3 tokens: spans 0-2, 3, 4-6
    np.testing.assert_array_equal(span_starts(np.array([0, 4, 4, 7])), [0, 3, 4])


def test_nats_are_the_sum_of_the_logarithms_of_mixed_probabilities():
    logs = np.log([[0.5, 1e-200], [0.1, 1e-190]])
    weights = np.array([[1.0, 0.0], [0.25, 0.75]])
    nats = span_nats(logs, weights, np.array([1, 3]))
    for row, (a, b) in zip(nats, weights, strict=True):
        a, b = ((w + WEIGHT_FLOOR) / (1 + 2 * WEIGHT_FLOOR) for w in (a, b))
        assert row[1] == pytest.approx(-np.log(0.5 * a + 0.1 * b))
        assert row[3] == pytest.approx(190 * np.log(10) - np.log(b + 1e-10 * a))
        assert row.sum() == pytest.approx(row[1] + row[3])


def test_a_mixture_that_holds_the_targets_corpus_costs_less():
    corpora = {
        "counting": [(fold, "one two three four five six seven " * 5) for fold in range(16)],
        "colours": [(fold, "red green blue yellow black white " * 5) for fold in range(16)],
    }
    table = span_table(corpora, {"colours": corpora["colours"]}, load_tokenizer("default"))
    none, some, most = table.nats(np.array([[1.0, 0.0], [0.9, 0.1], [0.1, 0.9]])).sum(axis=2)[:, 0]
    assert none > some > most > 0
    assert (table.tokens[0, ::2] == 0).all() and (table.tokens[0, 1::2] > 0).all()  # held out: odd folds


def test_a_corpus_without_a_second_half_is_refused():
    with pytest.raises(SimtoolError, match=r"^few has too few documents to be read in halves"):
        span_table({"few": [(0, "text")]}, {"few": [(0, "text")]}, load_tokenizer("default"))
