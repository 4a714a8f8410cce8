"""What is known by name, as functions."""

import simtool
from simtool.corpora.catalogue import CATALOGUE
from simtool.published import PUBLISHED
from simtool.similarity.metrics import METRICS


def test_every_corpus_and_metric_is_listed():
    header, rows = simtool.list_corpora()
    assert [row[0] for row in rows] == [*CATALOGUE, *PUBLISHED] and all(len(row) == len(header) for row in rows)
    assert {row[0] for row in simtool.list_metrics()[1]} == set(METRICS)


def test_a_corpus_is_described_with_its_example():
    facts = simtool.describe_corpus("gsm8k")
    assert facts["corpus"] == "gsm8k" and facts["profile"] == "shipped"
    assert "Ida bakes" in facts["example prompt"]


def test_published_mixtures_are_listed_and_shown():
    header, rows = simtool.list_corpora()
    listed = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert listed["smollm3-stage1"]["role"] == "mixture" and listed["smollm3-stage1"]["text"] == "22 corpora"
    facts = simtool.describe_corpus("smollm3-stage1")
    assert "37.000%  dclm" in facts["shares of tokens"] and "stage1_8T.yaml" in facts["source"]
