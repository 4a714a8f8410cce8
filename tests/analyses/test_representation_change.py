"""One row per fine-tuned model and layer, paired with its control."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from analyses import representation_change
from tests.training import toys


def test_representations_before_and_after(leaves):
    table, differences = representation_change.changes(leaves, toys.toy_store("web", 200, 7), toys.LENGTH)
    assert table.columns[:8] == ["size", "arm", "target", "seed", "layer", "cka", "low", "high"]
    assert table.height == 2 * 3 and (table["low"] <= table["cka"]).all() and (table["cka"] <= table["high"]).all()
    assert table["distortion"].min() > 0
    own = {(arm, layer): cka for arm, layer, cka in table.select("arm", "layer", "cka").iter_rows()}
    for row in differences:
        assert row["cka"]["mean"] == pytest.approx(own["code", row["layer"]] - own["control", row["layer"]])
        assert row["cka"]["low"] <= row["cka"]["mean"] <= row["cka"]["high"]
