"""Tables of checkpoints: one row each of what there is, paired with its control; documents' losses by hand."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from analyses import _tiny, forgetting_documents, gradient_alignment, representation_change  # noqa: E402
from analyses.__main__ import names  # noqa: E402
from simtool.training.trainer import Execution, train  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import toys  # noqa: E402


def test_what_is_shared_is_no_question():
    assert {"representation_change", "gradient_alignment", "forgetting_documents"} <= set(names())
    assert "_tiny" not in names()


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny")
    found = []
    for arm, mixture in (("control", toys.WEB), ("code", toys.MIX)):
        middle = toys.recipe(toys.phase(steps=8, mixture=mixture))
        before = train(middle, toys.STORES, root / arm, Execution("cpu"))
        tuned = replace(middle, phases=(*middle.phases, toys.sft()))
        after = train(tuned, toys.STORES, root / f"{arm}-sums", Execution("cpu"), [root / arm])
        found.append(_tiny.Leaf(arm, "sums", 0, before.checkpoint, after.checkpoint, size="tiny"))
    return found


def test_representations_before_and_after(leaves):
    table, differences = representation_change.changes(leaves, toys.toy_store("web", 200, 7), toys.LENGTH)
    assert table.columns[:8] == ["size", "arm", "target", "seed", "layer", "cka", "low", "high"]
    assert table.height == 2 * 3 and (table["low"] <= table["cka"]).all() and (table["cka"] <= table["high"]).all()
    assert table["distortion"].min() > 0
    own = {(arm, layer): cka for arm, layer, cka in table.select("arm", "layer", "cka").iter_rows()}
    for one in differences:
        assert one["cka"]["mean"] == pytest.approx(own["code", one["layer"]] - own["control", one["layer"]])
        assert one["cka"]["low"] <= one["cka"]["mean"] <= one["cka"]["high"]


def test_alignment_of_each_leaf(leaves):
    targets = {"sums": toys.toy_store("sums", 40, 8, examples=True)}
    table, groups = gradient_alignment.alignments(leaves, toys.toy_store("web", 64, 7), targets, toys.LENGTH)
    assert table.select("arm", "target", "seed").rows() == [("control", "sums", 0), ("code", "sums", 0)]
    assert "forgetting" not in table.columns  # nobody watched the steps, so nothing is told of them
    assert {one["group"] for one in groups} == {"embed_in", "layer 1", "layer 2", "final_layer_norm", "embed_out"}


def frame(rows) -> pl.DataFrame:
    names = ("size", "arm", "target", "seed", "phase", "corpus", "loss_on", "document", "nats", "n_tokens")
    types = {"target": pl.String, "document": pl.UInt64}
    return pl.DataFrame(rows, schema=list(names), orient="row", schema_overrides=types)


def test_change_of_a_document_by_hand():
    run = ("nano", "control")
    found = forgetting_documents.by_document(
        frame(
            [
                (*run, None, 0, "midtrain", "web", "text", 7, 40.0, 20),  # 2 nats a token
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
