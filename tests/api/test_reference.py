"""What is known by name, as functions."""

import simtool
from simtool.corpora.catalogue import CATALOGUE
from simtool.similarity.metrics import METRICS


def test_every_corpus_and_metric_is_listed():
    header, rows = simtool.list_corpora()
    assert [row[0] for row in rows] == list(CATALOGUE) and all(len(row) == len(header) for row in rows)
    assert {row[0] for row in simtool.list_metrics()[1]} == set(METRICS)


def test_a_corpus_is_described_with_its_example():
    facts = simtool.describe_corpus("gsm8k")
    assert facts["corpus"] == "gsm8k" and facts["profile"] == "shipped"
    assert "Ida bakes" in facts["example prompt"]
