"""Handing a mixture on, from Python."""

import json

import pytest

import simtool
from simtool.errors import SimtoolError


def test_a_recommendation_goes_along_with_its_hash(tmp_path):
    advice = simtool.mix("c4", ["starcoder"], "pycode", resamples=20)
    done = simtool.export_mixture(advice, "megatron", tmp_path / "blend.txt")
    basis = json.loads((tmp_path / "blend.json").read_text())["basis"]
    assert basis == {"kind": "recommendation", "content_sha256": advice.hash}
    assert simtool.mix("c4", ["starcoder"], "pycode", resamples=20).hash == advice.hash
    assert simtool.mix("c4", ["starcoder", "math"], "pycode", resamples=20).hash != advice.hash
    words = (tmp_path / "blend.txt").read_text().split()
    assert sum(map(float, words[::2])) == pytest.approx(1) and float(words[0]) == done.mixture.weights["c4"]


def test_a_mixture_of_a_prediction(tmp_path):
    from simtool.prediction.predict import save_prediction

    prediction = simtool.predict("c4", ["starcoder:0.2", "math:0.1"], "pycode", resamples=20)
    save_prediction(prediction, tmp_path / "p.json")
    simtool.export_mixture("starcoder", "nanotron", tmp_path / "n.yaml", prediction=tmp_path / "p.json")
    assert f"# prediction sha256 {prediction.hash}" in (tmp_path / "n.yaml").read_text()
    assert json.loads((tmp_path / "n.json").read_text())["mixture"] == {"starcoder": 0.2, "c4": 0.8}
    with pytest.raises(SimtoolError, match=r"Unknown mixture 'flan:0\.1'"):
        simtool.export_mixture("flan:0.1", "nanotron", tmp_path / "n.yaml", prediction=tmp_path / "p.json")


def test_text_in_memory_is_mixed(tmp_path):
    options = simtool.Options(corpora={"mine": [f"Text {n} of mine." for n in range(50)]})
    done = simtool.export_mixture("mine", "jsonl", tmp_path / "m.jsonl", tokens=50, options=options)
    assert done.shares == {"mine": 1.0}
    with pytest.raises(SimtoolError, match="lies in no file"):
        simtool.export_mixture("mine", "levanter", tmp_path / "m.yaml", options=options)
