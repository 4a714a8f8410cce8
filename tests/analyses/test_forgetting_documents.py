"""What a document loses in SFT, and what it goes with, by hand."""

import numpy as np
import polars as pl
import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from analyses import forgetting_documents
from tests.training import toys


def frame(rows) -> pl.DataFrame:
    names = ("size", "arm", "target", "seed", "phase", "corpus", "loss_on", "document", "nats", "n_tokens")
    types = {"target": pl.String, "document": pl.UInt64}
    return pl.DataFrame(rows, schema=list(names), orient="row", schema_overrides=types)


def test_change_of_a_document_by_hand():
    run = ("nano", "control")
    found = forgetting_documents.by_document(
        frame(
            [
                (*run, None, 0, "midtrain", "web", "text", 7, 40.0, 20),  # 2 nats per token
                (*run, None, 1, "midtrain", "web", "text", 7, 60.0, 20),  # 3
                (*run, "sums", 0, "sft", "web", "text", 7, 50.0, 20),  # 2.5: up by 0.5
                (*run, "sums", 1, "sft", "web", "text", 7, 50.0, 20),  # 2.5: down by 0.5
                (*run, None, 0, "pretrain", "web", "text", 7, 99.0, 20),  # not what SFT started from
                (*run, None, 0, "midtrain", "web", "text", 8, 9.0, 3),  # too short to say
                (*run, "sums", 0, "sft", "web", "text", 8, 9.0, 3),
                (*run, "sums", 0, "sft", "sums", "text", 9, 9.0, 20),  # another corpus
            ]
        ),
        "web",
    )
    assert found.rows(named=True) == [
        {"size": "nano", "arm": "control", "target": "sums", "document": 7, "n_tokens": 20, "loss_before": 2.5,
         "change": 0.0, "change_lowest_seed": -0.5, "change_highest_seed": 0.5, "n_seeds": 2}
    ]  # fmt: skip


def test_likeness_is_the_mean_log_ratio():
    documents, target, general = toys.toy_store("web", 5), toys.toy_store("code", 50), toys.toy_store("web", 50, 3)
    found = forgetting_documents.likeness(documents, target, general)
    p, q = ({t: (store.ids == t).sum() + 1 for t in range(toys.VOCABULARY)} for store in (target, general))
    P, Q = sum(p.values()), sum(q.values())
    for d in range(5):
        bits = [np.log2(p[t] / P) - np.log2(q[t] / Q) for t in documents.document(d).tolist()]
        assert found[d] == pytest.approx(np.mean(bits))


def test_relations_find_what_was_put_in():
    rng = np.random.default_rng(0)
    n = 300
    before = rng.normal(size=n)
    table = pl.DataFrame(
        {"size": "nano", "arm": "control", "target": "sums", "n_tokens": rng.permutation(n), "loss_before": before,
         "likeness": rng.normal(size=n), "change": before + 0.1 * rng.normal(size=n)}
    )  # fmt: skip
    found = {row["with"]: row for row in forgetting_documents.relations(table).iter_rows(named=True)}
    assert found["loss_before"]["low"] > 0.95
    assert found["likeness"]["low"] < 0 < found["likeness"]["high"]
    assert found["n_tokens"]["share_forgotten"] == (table["change"] > 0).mean()
