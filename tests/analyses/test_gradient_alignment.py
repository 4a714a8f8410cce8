"""One row per fine-tuned model, and the alignment of each group of parameters."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from analyses import gradient_alignment
from tests.training import toys


def test_alignment_of_each_leaf(leaves):
    targets = {"sums": toys.toy_store("sums", 40, 8, examples=True)}
    table, groups = gradient_alignment.alignments(leaves, toys.toy_store("web", 64, 7), targets, toys.LENGTH)
    assert table.select("arm", "target", "seed").rows() == [("control", "sums", 0), ("code", "sums", 0)]
    assert "forgetting" not in table.columns  # nobody watched the steps
    assert {row["group"] for row in groups} == {"embed_in", "layer 1", "layer 2", "final_layer_norm", "embed_out"}
